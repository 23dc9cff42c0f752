//! Headers of models and of vision encoders, beside partners that are in order. What passes the checks is what llama.cpp is
//! given, so all that it says must be within the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sgl::gguf::{Header, Kind, Needs, check_guide, check_target, describe};
use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;

static MODEL: LazyLock<Header> = LazyLock::new(|| partner(include_bytes!("../corpus/gguf/model")));
static MMPROJ: LazyLock<Header> = LazyLock::new(|| partner(include_bytes!("../corpus/gguf/mmproj")));

fn partner(bytes: &'static [u8]) -> Header {
    Header::parse(Path::new("partner.gguf"), Cursor::new(bytes)).unwrap()
}

fuzz_target!(init: assert!(check_guide(&MODEL, &MMPROJ).is_ok()), |bytes: &[u8]| {
    let header = match Header::parse(Path::new("fuzzed.gguf"), Cursor::new(bytes)) {
        Ok(header) => header,
        Err(error) => return assert!(error.to_string().contains("fuzzed.gguf"), "{error}"),
    };
    let summary = header.summary();
    assert_eq!(summary.file_bytes, bytes.len() as u64);
    assert_eq!(summary.n_tensors, header.tensors().len());
    for (name, tensor) in header.tensors() {
        assert_eq!(tensor.n_elements, tensor.dims.iter().product::<u64>(), "{name}");
        assert!(tensor.bytes <= summary.file_bytes, "{name}");
        assert_eq!(header.tensor(name), Some(tensor));
    }
    assert_eq!(*header.kind() == Kind::TextModel, summary.text.is_some());
    assert!(!describe(summary).is_empty());

    let as_guide = check_guide(&header, &MMPROJ);
    let as_target = check_target(&header, &MMPROJ);
    assert!(as_guide.is_err() || as_target.is_ok(), "a guide can be a target");
    if as_target.is_ok() {
        let text = summary.text.as_ref().expect("a target is a text model");
        assert!(text.input_width.is_none_or(|width| width == 32));
        let needs = Needs::of(&[&header], &MMPROJ);
        let n_layers = text.n_layers.unwrap_or(0) as usize;
        assert_eq!(needs.layers.len(), n_layers);
        let layers: u64 = needs.layers.iter().map(|layer| layer.weight_bytes).sum();
        assert!(layers + needs.input_bytes <= summary.file_bytes);
    }
    if check_target(&MODEL, &header).is_ok() {
        let projector = summary.projector.as_ref().expect("a vision encoder has a projector");
        assert!(projector.has_vision && *header.kind() == Kind::Projector);
        assert!(Needs::of(&[&*MODEL], &header).mmproj_bytes <= summary.file_bytes);
    }
});
