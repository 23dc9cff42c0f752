use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::fixture::{Fixture, parse, text_bytes};
use super::{GgufError, Header, Kind, PerLayer, check_guide, check_target, describe};

fn refusal(result: Result<impl Sized, GgufError>) -> String {
    result.map(drop).expect_err("must be refused").to_string()
}

fn target(text: &Fixture, mmproj: &Fixture) -> Result<(), GgufError> {
    check_target(&text.parse_as("model.gguf").unwrap(), &mmproj.parse_as("mmproj.gguf").unwrap())
}

fn guide(text: &Fixture, mmproj: &Fixture) -> Result<(), GgufError> {
    check_guide(&text.parse_as("model.gguf").unwrap(), &mmproj.parse_as("mmproj.gguf").unwrap())
}

#[test]
fn describes_a_text_model() {
    let fixture = Fixture::text_model("qwen2vl", 32)
        .numbers("qwen2vl.rope.dimension_sections", &[16, 24, 24, 0])
        .number("qwen2vl.attention.sliding_window", 128);
    let header = fixture.parse().unwrap();
    assert_eq!(
        describe(header.summary()),
        "\
file:             file.gguf
size:             1.13 KiB (1158 bytes)
format:           GGUF version 3
kind:             text model
architecture:     qwen2vl
name:             Tiny
size label:       1K
parameters:       128
tensors:          2
quantization:     Q4_K_M
main tensor type: Q8_0
layers:           2
embedding width:  32
heads:            4
key-value heads:  2
context length:   512
sliding window:   128
rope sections:    [16, 24, 24, 0]
vocabulary size:  3
tokenizer:        gpt2
bos token:        0 \"<s>\"
eos token:        1 \"</s>\"
chat template:    14 characters
"
    );
    assert_eq!(header.summary().text.as_ref().unwrap().chat_template.as_deref(), Some("{{ messages }}"));
    let embedding = header.tensor("token_embd.weight").unwrap();
    assert_eq!((&embedding.dims[..], embedding.type_name, embedding.bytes), (&[32, 3][..], "Q8_0", 102));
    assert_eq!(header.tensors().len(), 2);
    assert!(header.tensor("absent").is_none());
}

#[test]
fn describes_a_projector() {
    let header = Fixture::mmproj(32).parse().unwrap();
    assert_eq!(
        describe(header.summary()),
        "\
file:             file.gguf
size:             54.69 KiB (56000 bytes)
format:           GGUF version 3
kind:             projector
architecture:     clip
parameters:       13.84 thousand (13840)
tensors:          10
main tensor type: F32
vision:           true
audio:            false
projector type:   internvl
output width:     32
image size:       448
patch size:       14
vision layers:    2
"
    );
}

#[test]
fn serializes_with_whole_words() {
    let header = Fixture::text_model("qwen2", 32).parse().unwrap();
    let json = serde_json::to_value(header.summary()).unwrap();
    assert_eq!(json["kind"], "text model");
    assert_eq!(json["n_parameters"], 128);
    assert_eq!(json["text"]["n_heads"], 4);
    assert_eq!(json["text"]["eos_token"]["text"], "</s>");
    assert!(json["projector"].is_null());
}

#[test]
fn names_from_a_file_cannot_control_the_terminal() {
    let header = Fixture::text_model("llama", 32).text("general.size_label2", "x").parse().unwrap();
    let mut summary = header.summary().clone();
    summary.name = Some("\u{1b}[2Jgone\nkind: safe".into());
    let described = describe(&summary);
    assert!(described.contains("name:             \u{fffd}[2Jgone\u{fffd}kind: safe\n"), "{described}");
    let message = refusal(Fixture::new().pair("\u{1b}[2J", 77, &[]).parse());
    assert!(message.contains(r"\u{1b}[2J") && !message.contains('\u{1b}'), "{message}");
}

#[test]
fn both_supported_versions_and_other_alignments_are_read() {
    for version in [2, 3] {
        let fixture = Fixture::text_model("llama", 32).version(version);
        assert_eq!(fixture.parse().unwrap().summary().gguf_version, version);
    }
    for alignment in [1, 8, 4096] {
        let fixture = Fixture::new().alignment(alignment).tensor("a", &[3], 0).tensor("b", &[5], 0);
        assert_eq!(fixture.parse().unwrap().summary().n_parameters, 8, "{alignment}");
    }
}

#[test]
fn numbers_per_layer_are_read() {
    let heads = Fixture::text_model("deci", 32).numbers("deci.attention.head_count_x", &[]);
    assert_eq!(heads.parse().unwrap().summary().text.as_ref().unwrap().n_heads, Some(PerLayer::Same(4)));
    let heads = Fixture::new().text("general.architecture", "lfm2").numbers("lfm2.attention.head_count_kv", &[0, 8, 0]);
    let header = heads.parse().unwrap();
    let text = header.summary().text.as_ref().unwrap();
    assert_eq!(text.n_key_value_heads, Some(PerLayer::Each(vec![0, 8, 0])));
    assert_eq!(text.n_heads, None);
}

#[test]
fn long_vocabularies_are_measured_but_not_kept() {
    let tokens: Vec<String> = (0..200_000).map(|id| format!("token {id}")).collect();
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let header = Fixture::new()
        .text("general.architecture", "llama")
        .number("tokenizer.ggml.eos_token_id", 199_999)
        .texts("tokenizer.ggml.tokens", &tokens)
        .number("tokenizer.ggml.bos_token_id", 200_000)
        .text("tokenizer.huggingface.json", &"x".repeat(2 << 20))
        .parse()
        .unwrap();
    let text = header.summary().text.as_ref().unwrap();
    assert_eq!(text.vocabulary_size, Some(200_000));
    assert_eq!(text.eos_token.as_ref().unwrap().text.as_deref(), Some("token 199999"));
    assert_eq!(text.bos_token.as_ref().unwrap().text, None);
}

#[test]
fn every_vision_projector_gives_its_width() {
    let width = |projector_type: &str, tensor: &str, dims: &[u64]| {
        let fixture = Fixture::mmproj_without_tensors(projector_type).tensor(tensor, dims, 0);
        fixture.parse().unwrap().summary().projector.as_ref().unwrap().output_width
    };
    for (projector_type, tensor, dims) in [
        ("mlp", "mm.2.weight", &[4, 9][..]),
        ("ldp", "mm.model.mb_block.1.block.2.1.bias", &[9]),
        ("ldpv2", "mm.model.peg.0.bias", &[9]),
        ("resampler", "resampler.proj.weight", &[9, 4]),
        ("adapter", "adapter.linear.dense_4h_to_h.weight", &[4, 9]),
        ("qwen2vl_merger", "mm.2.bias", &[9]),
        ("qwen2.5vl_merger", "mm.2.bias", &[9]),
        ("qwen3vl_merger", "mm.2.bias", &[9]),
        ("gemma3", "mm.input_projection.weight", &[9, 4]),
        ("gemma4v", "mm.input_projection.weight", &[4, 9]),
        ("idefics3", "mm.model.fc.weight", &[4, 9]),
        ("pixtral", "mm.2.weight", &[4, 9]),
        ("internvl", "mm.model.mlp.3.weight", &[4, 9]),
        ("llama4", "mm.model.fc.weight", &[4, 9]),
        ("janus_pro", "mm.1.bias", &[9]),
        ("glm4v", "mm.down.weight", &[4, 9]),
        ("minimax_m3", "mm.merger.fc2.bias", &[9]),
        ("mimovl", "mm.2.weight", &[4, 9]),
    ] {
        assert_eq!(width(projector_type, tensor, dims), Some(9), "{projector_type}");
        assert_eq!(width(projector_type, "mm.other", dims), None, "{projector_type}");
    }
    assert_eq!(width("of the future", "mm.2.weight", &[4, 9]), None);
}

#[test]
fn widths_count_every_embedding_plane() {
    let width = |fixture: Fixture| fixture.parse().unwrap().summary().projector.as_ref().unwrap().output_width;
    let mut qwen3vl = Fixture::mmproj_without_tensors("qwen3vl_merger").tensor("mm.2.bias", &[32], 0);
    qwen3vl = qwen3vl.tensor("v.patch_embd.weight", &[14, 14, 3, 8], 0);
    let text = Fixture::text_model("qwen3vl", 32).number("qwen3vl.n_deepstack_layers", 1);
    for (layer, expected) in [(5, 64), (11, 96), (17, 128)] {
        qwen3vl = qwen3vl.tensor(&format!("v.deepstack.{layer}.fc1.weight"), &[8, 8], 0);
        assert_eq!(width(qwen3vl.clone()), Some(expected));
        assert_eq!(target(&text, &qwen3vl).is_ok(), expected == 64);
    }
    let message = refusal(target(&Fixture::text_model("qwen3vl", 32), &qwen3vl));
    assert!(message.contains("width 128") && message.contains("width 32"), "{message}");

    let granite = Fixture::mmproj_without_tensors("granite4_vision").numbers("clip.vision.feature_layer", &[3, 7, 11]);
    assert_eq!(width(granite.clone()), Some(96));
    let mapping = [-1, 1, -1, 2, 1];
    target(&Fixture::text_model("granite", 32).numbers("granite.deepstack_mapping", &mapping), &granite).unwrap();

    let yi = Fixture::mmproj_without_tensors("mlp").tensor("mm.2.weight", &[4, 7], 0);
    assert_eq!(width(yi.tensor("mm.3.weight", &[4, 4], 0).tensor("mm.3.bias", &[9], 0)), Some(9));
}

#[test]
fn matching_pairs_pass() {
    for architecture in ["qwen2", "internvl of the future", "qwen3next", "jamba"] {
        target(&Fixture::text_model(architecture, 32), &Fixture::mmproj(32)).unwrap();
        guide(&Fixture::text_model(architecture, 32), &Fixture::mmproj(32)).unwrap();
    }
    let unknown_width = Fixture::mmproj_without_tensors("of the future").tensor("mm.0", &[1], 0);
    target(&Fixture::text_model("qwen2", 32), &unknown_width).unwrap();
}

#[test]
fn wrong_roles_are_refused() {
    let text = Fixture::text_model("qwen2", 32);
    let mmproj = Fixture::mmproj(32);
    let other = |kind: &str| Fixture::new().text("general.type", kind).text("general.architecture", "qwen2");
    let sound = Fixture::new().text("general.architecture", "clip").flag("clip.has_audio_encoder", true);
    for (text, mmproj, expected) in [
        (&mmproj, &text, "the model model.gguf is an mmproj and the mmproj mmproj.gguf is a text model; swap the two"),
        (&mmproj, &mmproj, "model.gguf is an mmproj (vision projector), not a text model; pass it as the mmproj"),
        (&text, &text, "mmproj.gguf is a text model (\"qwen2\"), not an mmproj; swap the two paths"),
        (&other("adapter"), &mmproj, "model.gguf is not a complete model but of kind \"adapter\"; give the base model"),
        (&other("imatrix"), &mmproj, "model.gguf is not a complete model but of kind \"imatrix\""),
        (&Fixture::new(), &mmproj, "model.gguf is not a complete model but of kind \"data without an architecture\""),
        (&text, &other("adapter"), "mmproj.gguf is not an mmproj but of kind \"adapter\"; download the mmproj"),
        (&text, &sound, "the mmproj mmproj.gguf has no vision encoder (audio only); download the mmproj with vision"),
        (
            &text,
            &Fixture::mmproj(64),
            "mmproj.gguf writes embeddings of width 64 and the model model.gguf reads width 32",
        ),
        (
            &Fixture::new().text("general.architecture", "llama"),
            &mmproj,
            "model.gguf holds a vocabulary but no weights",
        ),
    ] {
        let message = refusal(target(text, mmproj));
        assert!(message.contains(expected), "{message}\nis not: {expected}");
        assert_eq!(message, refusal(guide(text, mmproj)));
    }
}

#[test]
fn models_that_do_not_generate_are_refused() {
    for architecture in ["bert", "modern-bert", "nomic-bert", "jina-bert-v3", "t5encoder", "gemma-embedding"] {
        let message = refusal(target(&Fixture::text_model(architecture, 32), &Fixture::mmproj(32)));
        let expected =
            format!("model.gguf has the architecture {architecture:?}, an embedding model, which cannot answer");
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn a_guide_needs_attention() {
    let mmproj = Fixture::mmproj(32);
    let no_heads = Fixture::new()
        .text("general.architecture", "recurrent of the future")
        .numbers("recurrent of the future.attention.head_count_kv", &[0, 0])
        .tensor("a", &[1], 0);
    let named = ["mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"].map(|name| Fixture::text_model(name, 32));
    for text in named.iter().chain([&no_heads]) {
        target(text, &mmproj).unwrap();
        let message = refusal(guide(text, &mmproj));
        assert!(message.starts_with("model.gguf cannot be a guide: its architecture "), "{message}");
        assert!(message.contains("has no attention layers"), "{message}");
    }
}

#[test]
fn other_formats_are_named() {
    let safetensors = [&40u64.to_le_bytes()[..], b"{\"__metadata__\":{}}"].concat();
    for (bytes, expected) in [
        (&b""[..], "it is empty; download"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS pointer; run `git lfs pull`"),
        (&safetensors, "safetensors checkpoint; convert it with"),
        (b"\x89PNG\r\n\x1a\n", "PNG picture; pass pictures as pictures"),
        (b"\xff\xd8\xff\xe0", "JPEG picture"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP picture"),
        (b"PK\x03\x04", "zip archive or a PyTorch checkpoint; convert"),
        (b"\n <!DOCTYPE html><html>", "HTML page, not the file behind it; download"),
        (b"<HTML><body>Not found", "HTML page"),
        (b"{\"error\":\"gone\"}", "JSON file"),
        (b"Invalid username or password.", "text file"),
        (b"lmgg\x01\0\0\0", "GGML file, the format before GGUF"),
        (b"FUGG\0\0\0\x03", "bytes swapped (big-endian)"),
        (&[0; 100], "zero bytes only"),
        (b"\x01\x02\x03\x04\xfe", "its format is unknown; give the path of a .gguf"),
    ] {
        let message = refusal(parse("some/file.gguf", bytes.to_vec()));
        assert!(message.starts_with("some/file.gguf is not a GGUF file: ") && message.contains(expected), "{message}");
    }
}

#[test]
fn unreadable_paths_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = refusal(Header::read(&folder.path().join("absent.gguf")));
    assert!(message.contains("cannot read ") && message.contains("absent.gguf"), "{message}");
    let message = refusal(Header::read(folder.path()));
    assert!(message.contains("is not a regular file"), "{message}");
}

#[test]
fn other_versions_are_refused() {
    let message = |version| refusal(Fixture::new().version(version).parse());
    assert!(message(1).contains("of version 1, and versions 2 and 3 are supported; convert the model again"));
    assert!(message(4).contains("of version 4, and versions 2 and 3 are supported; update sgl"));
    assert!(message(0).contains("of version 0"));
    assert!(message(3u32.swap_bytes()).contains("is a big-endian GGUF file; convert it again"));
}

#[test]
fn split_models_need_all_parts() {
    let folder = tempfile::tempdir().unwrap();
    let part = |number: u32| {
        let metadata = Fixture::text_model("qwen2", 32).number("split.no", number - 1).number("split.count", 3);
        let path = folder.path().join(format!("model-{number:05}-of-00003.gguf"));
        std::fs::write(&path, metadata.bytes()).unwrap();
        path
    };
    let mmproj = Fixture::mmproj(32).parse().unwrap();
    let check = |path: &Path| check_target(&Header::read(path)?, &mmproj);
    let [first, second] = [1, 2].map(part);
    assert_eq!(Header::read(&second).unwrap().summary().split.unwrap().part, 2);
    assert!(refusal(check(&second)).ends_with("is part 2 of 3; give part 1, the others are found beside it"));
    let message = refusal(check(&first));
    assert!(
        message.contains("is part 1 of 3 and ") && message.contains("model-00003-of-00003.gguf is missing; put all")
    );
    let third = part(3);
    check(&first).unwrap();
    let bytes = std::fs::read(&third).unwrap();
    std::fs::write(&third, &bytes[..bytes.len() - 1]).unwrap();
    assert!(refusal(check(&first)).contains("model-00003-of-00003.gguf is truncated"));
    let renamed = folder.path().join("renamed.gguf");
    std::fs::copy(&first, &renamed).unwrap();
    assert!(refusal(check(&renamed)).contains("renamed-00001-of-00003.gguf is missing"));
}

#[test]
fn every_truncation_is_refused() {
    let bytes = Fixture::text_model("qwen2", 32).numbers("qwen2.rope.dimension_sections", &[1, 2]).bytes();
    parse("whole.gguf", bytes.clone()).unwrap();
    for length in 1..bytes.len() {
        match parse("cut.gguf", bytes[..length].to_vec()) {
            Err(GgufError::Truncated { expected, actual, .. }) => {
                assert!(actual == length as u64 && actual < expected && expected <= bytes.len() as u64);
            }
            other => panic!("cut at {length}: {other:?}"),
        }
    }
}

#[test]
fn hostile_headers_are_refused_at_once() {
    let ok = Fixture::text_model("qwen2", 32);
    let entry = |dims: &[u64], kind, offset| Fixture::new().tensor_entry("t", dims, kind, offset);
    let with_key_length = |length: u64| {
        let mut bytes = Fixture::new().claim(0, 1).bytes();
        bytes.extend(length.to_le_bytes());
        parse("file.gguf", bytes)
    };
    let many = |item: u32, n: u64| Fixture::new().array("a", item, n, &[]).parse();
    for (result, expected) in [
        (ok.clone().claim(0, u64::MAX).parse(), "it claims 18446744073709551615 key-value pairs"),
        (ok.clone().claim(u64::MAX, 1).parse(), "it claims 18446744073709551615 tensors"),
        (Fixture::new().claim(0, 1 << 17).parse(), "is truncated"),
        (Fixture::new().claim(1 << 17, 0).parse(), "is truncated"),
        (with_key_length(u64::MAX), "a key is 18446744073709551615 bytes long"),
        (with_key_length(60_000), "is truncated"),
        (Fixture::new().pair("k", 8, &u64::MAX.to_le_bytes()).parse(), "is truncated"),
        (Fixture::new().pair("k", 8, &(1u64 << 20).to_le_bytes()).parse(), "is truncated"),
        (many(8, 1 << 60), "asks for at least 9223372036854775857 bytes and it has 49"),
        (many(0, 1 << 60), "asks for at least 1152921504606847025 bytes and it has 49"),
        (many(12, u64::MAX), "is truncated"),
        (many(4, 4096), "is truncated"),
        (many(9, 1), "the value of \"a\" is an array of arrays"),
        (many(9, 0), "the value of \"a\" is an array of arrays"),
        (many(13, 1), "the value of \"a\" has the unknown type 13"),
        (Fixture::new().pair("k", 99, &[]).parse(), "the value of \"k\" has the unknown type 99"),
        (Fixture::new().text("", "x").parse(), "a key is empty"),
        (ok.clone().text("general.name", "again").parse(), "the key \"general.name\" occurs twice"),
        (Fixture::new().number("general.alignment", 24).parse(), "the alignment 24 is not a power of two"),
        (Fixture::new().number("general.alignment", 0).parse(), "the alignment 0 is not a power of two"),
        (Fixture::new().text("general.alignment", "32").parse(), "the alignment is not a number"),
        (Fixture::new().numbers("general.alignment", &[32; 5000]).parse(), "the alignment is not a number"),
        (entry(&[1, 1, 1, 1, 1], 0, 0).parse(), "tensor \"t\" has 5 dimensions"),
        (
            entry(&[1 << 32, 1 << 32], 0, 0).parse(),
            "tensor \"t\" cannot have the shape [4294967296, 4294967296] in F32",
        ),
        (entry(&[1 << 62], 28, 0).parse(), "tensor \"t\" cannot have the shape [4611686018427387904] in F64"),
        (entry(&[0, u64::MAX], 0, 0).parse(), "tensor \"t\" cannot have the shape"),
        (entry(&[33], 8, 0).parse(), "tensor \"t\" cannot have the shape [33] in Q8_0"),
        (entry(&[1 << 40], 0, 0).parse(), "is truncated"),
        (
            entry(&[(1 << 61) - 1], 0, 0).tensor_entry("u", &[(1 << 61) - 1], 0, 1 << 63).parse(),
            "ends beyond the largest",
        ),
        (entry(&[8], 0, 32).parse(), "tensor \"t\" starts at 32 instead of 0"),
        (entry(&[8], 0, 0).tensor_entry("u", &[8], 0, 16).parse(), "tensor \"u\" starts at 16 instead of 32"),
        (entry(&[8], 0, 0).tensor_entry("t", &[8], 0, 32).parse(), "the tensor \"t\" occurs twice"),
        (
            entry(&[8], 4, 0).parse(),
            "tensor \"t\" of file.gguf has type 4, which this version of llama.cpp cannot read",
        ),
        (entry(&[8], u32::MAX, 0).parse(), "has type 4294967295"),
        (Fixture::new().tensor_entry(&"n".repeat(64), &[8], 0, 0).parse(), "a tensor name is 64 bytes long"),
    ] {
        let message = refusal(result);
        assert!(message.contains("file.gguf") && message.contains(expected), "{message}\nis not: {expected}");
    }
}

#[test]
fn tensor_types_of_llama_cpp_are_read() {
    for (kind, elements, name) in
        [(14, 256, "Q6_K"), (30, 1, "BF16"), (39, 32, "MXFP4"), (40, 64, "NVFP4"), (42, 64, "Q2_0")]
    {
        let mut bytes = Fixture::new().tensor_entry("t", &[elements], kind, 0).bytes();
        bytes.resize(bytes.len() + 1024, 0);
        let header = parse("file.gguf", bytes).unwrap();
        assert_eq!(header.summary().main_tensor_type, Some(name));
    }
}

#[test]
fn decoded_metadata_have_a_limit() {
    let array = vec![1; 4096];
    let full = (0..300).fold(Fixture::new(), |file, key| file.array(&format!("key {key}"), 0, 4096, &array));
    assert!(refusal(full.parse()).contains("its metadata take more than 67108864 bytes"));
    let texts = (0..100).fold(Fixture::new(), |file, key| file.text(&format!("key {key}"), &"x".repeat(1 << 20)));
    assert!(refusal(texts.parse()).contains("its metadata take more than 67108864 bytes"));
}

/// A file of a mebi-mebibyte: a beginning, then zeros.
struct Endless {
    beginning: Vec<u8>,
    position: u64,
    bytes_read: u64,
}

impl Read for &mut Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        out.fill(0);
        for (out, byte) in out.iter_mut().zip(self.beginning.iter().skip(self.position as usize)) {
            *out = *byte;
        }
        self.position += out.len() as u64;
        self.bytes_read += out.len() as u64;
        Ok(out.len())
    }
}

impl Seek for &mut Endless {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(position) => position,
            SeekFrom::End(offset) => (1u64 << 40).strict_add_signed(offset),
            SeekFrom::Current(offset) => self.position.strict_add_signed(offset),
        };
        Ok(self.position)
    }
}

#[test]
fn an_endless_header_is_given_up_early() {
    let texts = Fixture::new().array("tokenizer.ggml.tokens", 8, 1 << 36, &[]);
    let numbers = Fixture::new().array("a", 10, 1 << 36, &[]);
    let text = Fixture::new().pair("k", 8, &(1u64 << 39).to_le_bytes());
    for fixture in [texts, numbers, text] {
        let mut file = Endless { beginning: fixture.bytes(), position: 0, bytes_read: 0 };
        let start = Instant::now();
        let message = refusal(Header::parse(Path::new("endless.gguf"), &mut file));
        assert!(message.contains("it is longer than 134217728 bytes"), "{message}");
        assert!(file.bytes_read < 130 << 20, "{} bytes read", file.bytes_read);
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    }
}

#[test]
fn weights_are_not_read() {
    let beginning = Fixture::new()
        .text("general.architecture", "llama")
        .tensor_entry("token_embd.weight", &[1 << 15, 1 << 20], 1, 0)
        .bytes();
    let mut file = Endless { beginning, position: 0, bytes_read: 0 };
    let header = Header::parse(Path::new("large.gguf"), &mut file).unwrap();
    assert_eq!(header.kind(), &Kind::TextModel);
    assert_eq!(header.summary().n_parameters, 1 << 35);
    assert!(file.bytes_read <= 1 << 17, "{} bytes read", file.bytes_read);
}

fn valid_file() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Fixture::text_model("qwen2", 32).numbers("qwen2.rope.dimension_sections", &[1, 2]).bytes()),
        Just(Fixture::mmproj(32).bytes()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_never_panic(
        mut bytes in valid_file(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        number in any::<prop::sample::Index>(),
        value in prop_oneof![any::<u64>(), (0u32..64).prop_map(|bit| 1 << bit), (0u64..64).prop_map(|n| u64::MAX - n)],
        overwrite in any::<bool>(),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let header_bytes = bytes.len().min(1000);
        for (place, byte) in edits {
            bytes[place.index(header_bytes)] = byte;
        }
        if overwrite {
            let place = number.index(header_bytes - 8);
            bytes[place..place + 8].copy_from_slice(&value.to_le_bytes());
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let start = Instant::now();
        if let Ok(header) = parse("mutated.gguf", bytes) {
            let _ = describe(header.summary());
            let _ = check_guide(&header, &header);
        }
        prop_assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn noise_after_the_magic_never_panics(noise in prop::collection::vec(any::<u8>(), 0..400), small in 0u64..20) {
        let counts = [3u32.to_le_bytes().as_slice(), &small.to_le_bytes(), &small.to_le_bytes()].concat();
        let _ = parse("noise.gguf", [b"GGUF".as_slice(), &counts, &noise].concat());
        let _ = parse("noise.gguf", [b"GGUF".as_slice(), &counts, &text_bytes("k"), &noise].concat());
        let _ = parse("noise.gguf", noise);
    }
}
