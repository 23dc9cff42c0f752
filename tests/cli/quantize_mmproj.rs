//! `sgl quantize-mmproj`.

use crate::harness::{FLAT, Folder, LABEL, TARGET, ask, sgl};
use sgl::fixtures::{self, Family};
use sgl::gguf::WeightType;
use std::fs;

fn quantize(folder: &Folder, arguments: &[&str]) -> crate::harness::Ran {
    folder.run(&[&["quantize-mmproj"], arguments].concat())
}

#[test]
fn a_copy_answers_as_the_original() {
    let folder = Folder::new();
    let ran = quantize(&folder, &[TARGET[1], "q8.gguf"]).ok();
    assert_eq!(ran.stderr, "");
    for line in [
        "weights:  7.96 MiB -> 4.92 MiB (0.62 of it)",
        "matrices: 22 are Q8_0",
        "as is:    48 norms, biases, embeddings, convolutions and others",
        "types:    23 F16, 47 F32 -> 1 F16, 47 F32, 22 Q8_0",
    ] {
        assert!(ran.stdout.lines().any(|found| found == line), "no {line:?} in {}", ran.stdout);
    }
    assert_eq!(folder.files(), ["q8.gguf"]);
    assert!(fs::metadata(folder.at("q8.gguf")).unwrap().len() < fs::metadata(TARGET[1]).unwrap().len() * 2 / 3);
    let ask_with = |mmproj: &str| ask(&["-m", TARGET[0], "--mmproj", mmproj, "-q"], &LABEL).ok().stdout;
    assert_eq!(ask_with(&folder.at("q8.gguf")), ask_with(TARGET[1]));
}

#[test]
fn the_same_type_is_the_same_file() {
    let folder = Folder::new();
    let ran = quantize(&folder, &[TARGET[1], "f16.gguf", "--type", "f16", "--json"]).ok().json();
    assert_eq!((&ran["type"], &ran["bytes_after"]), (&"f16".into(), &ran["bytes_before"]));
    assert_eq!((&ran["types_after"]["F16"], &ran["n_matrices"], &ran["check"]), (&23.into(), &22.into(), &().into()));
    assert!(fs::read(folder.at("f16.gguf")).unwrap() == fs::read(TARGET[1]).unwrap());
}

#[test]
fn the_check_tells_the_distance() {
    let folder = Folder::new();
    let mut errors = Vec::new();
    for weights in ["bf16", "q8_0", "q4_0"] {
        let arguments = [TARGET[1], weights, "--type", weights, "--check", FLAT, "-m", TARGET[0], "-t", "1", "--json"];
        let ran = quantize(&folder, &arguments).ok().json();
        let check = &ran["check"];
        assert_eq!(check["visual_tokens"], 256);
        let cosine = |name: &str| check[name].as_f64().unwrap();
        assert!(0.98 < cosine("worst_cosine") && cosine("worst_cosine") <= cosine("median_cosine"), "{check}");
        errors.push(check["relative_error"].as_f64().unwrap());
    }
    assert!(errors[0] > 0.0 && errors.is_sorted() && errors[1] < 0.05 && errors[2] < 0.3, "{errors:?}");
    let ran = quantize(&folder, &[TARGET[1], "f32", "--type", "f32", "--check", FLAT, "-m", TARGET[0], "-t", "1"]).ok();
    assert!(ran.stdout.contains("\ncheck:    256 visual tokens, relative error 0.000"), "{ran:?}");
}

#[test]
fn rows_that_are_no_blocks_are_said() {
    let folder = Folder::new();
    let family = Family::InternVlQwen2;
    let mut shape = family.tiny();
    shape.vision.inner = 72;
    let pair = fixtures::write(family, &shape, 1, WeightType::F32, folder.path()).unwrap();
    let ran = quantize(&folder, &[pair.mmproj.to_str().unwrap(), "copy.gguf", "--type", "q4_0"]).ok();
    assert!(ran.stdout.contains(" are Q4_0, 2 are F16: their rows are no whole blocks\n"), "{ran:?}");
    let again = quantize(&folder, &["copy.gguf", "again.gguf"]).ok();
    assert!(again.stdout.contains(" were quantized before\n"), "{again:?}");
    let ran = ask(&["-m", pair.model.to_str().unwrap(), "--mmproj", &folder.at("copy.gguf"), "-n", "2"], &LABEL);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn nothing_is_written_over() {
    let folder = Folder::new();
    let old = folder.write("old.gguf", b"old");
    quantize(&folder, &[TARGET[1], "old.gguf"]).failed(7, "old.gguf is there already");
    assert_eq!(fs::read(&old).unwrap(), b"old");
    quantize(&folder, &[TARGET[1], "old.gguf", "--force"]).ok();
    quantize(&folder, &["old.gguf", "./old.gguf", "--force"]).failed(2, "cannot be written over itself");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&old, folder.at("link.gguf")).unwrap();
        quantize(&folder, &["old.gguf", "link.gguf", "--force"]).failed(2, "cannot be written over itself");
        assert_eq!(folder.files(), ["link.gguf", "old.gguf"]);
    }
    assert!(fs::read(&old).unwrap().starts_with(b"GGUF"));
}

#[test]
fn what_is_no_mmproj_is_refused() {
    let folder = Folder::new();
    let ran = quantize(&folder, &[TARGET[0], "copy.gguf"]).failed(3, "is a text model, not an mmproj");
    assert!(ran.hint().contains("llama-quantize"), "{ran:?}");
    quantize(&folder, &[FLAT, "copy.gguf"]).failed(3, "is not a GGUF file");
    quantize(&folder, &["none.gguf", "copy.gguf"]).failed(3, "none.gguf");
    let cut = folder.write("cut.gguf", &fs::read(TARGET[1]).unwrap()[..100_000]);
    quantize(&folder, &[&cut, "copy.gguf"]).failed(3, "is truncated");
    quantize(&folder, &[TARGET[1], "none/copy.gguf"]).failed(7, "cannot write none/copy.gguf");
    quantize(&folder, &[TARGET[1], "copy.gguf", "--type", "q5_k"]).failed(2, "q5_k");
    quantize(&folder, &[TARGET[1], "copy.gguf", "--check", "none.png", "-m", TARGET[0]]).failed(3, "none.png");
    assert_eq!(sgl(&["quantize-mmproj", TARGET[1], "copy.gguf", "--check", FLAT]).code, Some(2));
    assert_eq!(folder.files(), ["cut.gguf"]);
}
