//! Header values that fit the format and that no working model has. llama.cpp ends the process over most of them
//! (`GGML_ASSERT`, a division by zero), so they are looked for before it gets the file.

use std::collections::BTreeMap;
use std::path::Path;

use super::GgufError;
use super::metadata::Metadata;
use super::scan::{NUMBER, REAL, STRING, Tensor};

/// What is impossible, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Defect {
    what: String,
    value: String,
    right: String,
}

impl Defect {
    pub fn error(&self, path: &Path) -> GgufError {
        let Self { what, value, right } = self.clone();
        GgufError::Impossible { path: path.into(), what, value, right }
    }
}

type Sane = Result<(), Defect>;

/// `LLAMA_MAX_LAYERS`.
const MAX_LAYERS: u64 = 512;
/// llama.cpp keeps context lengths and the numbers of an mmproj as signed numbers of 32 bits.
const MAX_NUMBER: u64 = i32::MAX as u64;
/// Far above any model's: clip.cpp lists every grid of so many tiles in memory.
const MAX_TILES: u64 = u16::MAX as u64;
const PATCHES: &str = "v.patch_embd.weight";
const POSITIONS: &str = "v.position_embd.weight";

/// Checks what `load_hparams` in llama-model.cpp and `load` in llama-vocab.cpp take for granted. Absent keys pass:
/// llama.cpp names them in an error of its own. `repeated` is a token that the vocabulary has twice.
pub(super) fn check_text(metadata: &Metadata, architecture: &str, repeated: Option<&str>) -> Sane {
    let key = |name: &str| format!("{architecture}.{name}");
    let number = |name: &str| metadata.number(&key(name));
    let range = |name: &str, low, high| in_range(metadata, &key(name), low, high);
    range("block_count", 1, MAX_LAYERS)?;
    range("context_length", 1, MAX_NUMBER)?;
    range("nextn_predict_layers", 0, number("block_count").unwrap_or(MAX_LAYERS))?;
    if is_pure_attention(architecture) {
        range("attention.head_count", 1, MAX_NUMBER)?;
    }
    for name in ["attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"] {
        finite(metadata, &key(name))?;
    }
    let n_heads = number("attention.head_count").filter(|&n_heads| n_heads > 0);
    let even_share = || number("embedding_length")?.checked_div(n_heads?);
    if let Some(head_size) = number("attention.key_length").or_else(even_share).filter(|_| n_heads.is_some()) {
        range("rope.dimension_count", 0, head_size)?;
    }
    check_pictures(metadata, architecture)?;
    let scaling = key("rope.scaling.type");
    if let Some(name) = metadata.text(&scaling) {
        let known = ["none", "linear", "yarn", "longrope"].contains(&name.as_str());
        require(known, scaling, format_args!("{name:?}"), "none, linear, yarn or longrope")?;
    }
    let vocabulary = metadata.text("tokenizer.ggml.model").unwrap_or_default();
    match repeated.filter(|_| !matches!(vocabulary.as_str(), "none" | "no_vocab")) {
        None => Ok(()),
        Some(token) => {
            defect("tokenizer.ggml.tokens", format_args!("a list with {token:?} twice"), "a list without repetitions")
        }
    }
}

/// Checks what graphs assert once a picture is read: `qwen3vl.cpp`, `qwen3vlmoe.cpp`, `glm4.cpp`, `glm4-moe.cpp` in
/// `src/models/`.
fn check_pictures(metadata: &Metadata, architecture: &str) -> Sane {
    let key = |name: &str| format!("{architecture}.{name}");
    match architecture {
        "qwen3vl" | "qwen3vlmoe" => {
            let n_layers = metadata.number(&key("block_count")).unwrap_or(MAX_LAYERS);
            in_range(metadata, &key("n_deepstack_layers"), 0, n_layers.saturating_sub(1))
        }
        "glm4" | "glm4moe" => {
            let key = key("rope.dimension_sections");
            let sections = metadata.numbers(&key).unwrap_or_default();
            let has_places = matches!(sections[..], [time, rows, ..] if time > 0 && rows > 0);
            require(has_places, key, format_args!("{sections:?}"), "numbers above 0 for time and rows")
        }
        _ => Ok(()),
    }
}

/// Checks what `clip_model_loader` and the graphs of tools/mtmd take for granted about a vision encoder.
pub(super) fn check_projector(metadata: &Metadata, projector_type: &str, tensors: &BTreeMap<String, Tensor>) -> Sane {
    let key = |name: &str| format!("clip.vision.{name}");
    let number = |name: &str| metadata.number(&key(name));
    let range = |name: &str, low| in_range(metadata, &key(name), low, MAX_NUMBER);
    check_types(metadata, projector_type)?;
    range("patch_size", 1)?;
    finite(metadata, &key("attention.layer_norm_epsilon"))?;
    if !is_vision_transformer(projector_type) {
        return Ok(());
    }
    if has_one_picture_size(projector_type) {
        range("image_size", number("patch_size").unwrap_or(1))?;
    }
    for name in ["attention.head_count", "embedding_length", "block_count"] {
        range(name, 1)?;
    }
    if let (Some(width), Some(n_heads), None) =
        (number("embedding_length"), number("attention.head_count"), number("attention.head_dim"))
    {
        let right = format!("a multiple of the {n_heads} heads");
        require(width.is_multiple_of(n_heads), key("embedding_length"), width, right)?;
    }
    require(tensors.contains_key(PATCHES), PATCHES, "missing", "there")?;
    if projector_type == "internvl" {
        check_internvl(metadata, tensors)?;
    }
    check_grid(metadata, projector_type, tensors)
}

/// Checks what preprocessors (`mtmd-image.cpp`) and graphs take for granted about grids of patches and tiles.
fn check_grid(metadata: &Metadata, projector_type: &str, tensors: &BTreeMap<String, Tensor>) -> Sane {
    let key = |name: &str| format!("clip.vision.{name}");
    let number = |name: &str| metadata.number(&key(name)).unwrap_or(0);
    let (image, patch) = (number("image_size"), number("patch_size"));
    match projector_type {
        "internvl" | "gemma3" | "idefics3" if image > 0 && patch > 0 => {
            let scale = number("projector.scale_factor");
            let whole = scale == 0 || (image / patch).is_multiple_of(scale);
            let right = format!("a divisor of {}, the patches along a side", image / patch);
            require(whole, key("projector.scale_factor"), scale, right)
        }
        "qwen2vl_merger" | "qwen2.5vl_merger" | "qwen3vl_merger" | "glm4v" => {
            in_range(metadata, &key("spatial_merge_size"), 2, 2)
        }
        "mlp" if image > 0 => {
            let sides = metadata.numbers(&key("image_grid_pinpoints")).unwrap_or_default();
            let odd = sides.iter().find(|&&side| side <= 0 || !side.unsigned_abs().is_multiple_of(image));
            odd.map_or(Ok(()), |side| {
                defect(
                    key("image_grid_pinpoints"),
                    format_args!("a list with {side}"),
                    format_args!("multiples of {image}"),
                )
            })
        }
        "resampler" => match tensors.get("resampler.proj.weight").and_then(|tensor| tensor.dims.first()) {
            Some(&width) => require(
                width.is_multiple_of(128),
                "the width of resampler.proj.weight",
                width,
                "a multiple of the 128 of a head",
            ),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Checks the types of what clip.cpp reads for every encoder, and for InternVL's; `gguf_kv::get_val` asserts them.
fn check_types(metadata: &Metadata, projector_type: &str) -> Sane {
    let of_internvl = ["projector.scale_factor", "preproc_min_tiles", "preproc_max_tiles"];
    let numbers = [
        "image_size",
        "patch_size",
        "embedding_length",
        "feed_forward_length",
        "block_count",
        "projection_dim",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.head_dim",
    ];
    let of_internvl = of_internvl.into_iter().filter(|_| projector_type == "internvl");
    for (key, expected, right) in
        numbers.into_iter().chain(of_internvl).map(|name| (format!("clip.vision.{name}"), NUMBER, "uint32")).chain([
            ("clip.vision.attention.layer_norm_epsilon".into(), REAL, "float32"),
            ("clip.projector_type".into(), STRING, "a string"),
        ])
    {
        let found = metadata.type_of(&key).unwrap_or(expected);
        require(found == expected, key, format_args!("of GGUF type {found}"), right)?;
    }
    Ok(())
}

/// Checks what `clip_graph_internvl::build` and the graph functions it calls do not: that all shapes fit together.
fn check_internvl(metadata: &Metadata, tensors: &BTreeMap<String, Tensor>) -> Sane {
    let number = |name: &str| metadata.number(&format!("clip.vision.{name}"));
    let max_tiles = number("preproc_max_tiles").unwrap_or(12);
    in_range(metadata, "clip.vision.preproc_max_tiles", 1, MAX_TILES)?;
    in_range(metadata, "clip.vision.preproc_min_tiles", 1, max_tiles)?;
    // Where one of these is absent clip.cpp says so.
    let (Some(width), Some(patch), Some(image), Some(n_layers)) =
        (number("embedding_length"), number("patch_size"), number("image_size"), number("block_count"))
    else {
        return Ok(());
    };
    shape(tensors, PATCHES, &[patch, patch, 3, width])?;
    let side = image / patch;
    shape(tensors, POSITIONS, &[width, side.saturating_mul(side).saturating_add(1)])?;
    shape(tensors, "v.class_embd", &[width])?;
    for layer in 0..n_layers {
        let name = |part: &str| format!("v.blk.{layer}.attn_{part}.weight");
        if tensors.contains_key(&name("q")) && !tensors.contains_key(&name("qkv")) {
            for part in ["q", "k", "v"] {
                shape(tensors, &name(part), &[width, width])?;
            }
        } else {
            shape(tensors, &name("qkv"), &[width, width.saturating_mul(3)])?;
        }
    }
    let scale = number("projector.scale_factor").unwrap_or(1);
    in_range(metadata, "clip.vision.projector.scale_factor", 1, side)?;
    let shuffled = width.saturating_mul(scale).saturating_mul(scale);
    for name in ["mm.model.mlp.0.weight", "mm.model.mlp.1.weight"] {
        if let Some(&input) = tensors.get(name).and_then(|tensor| tensor.dims.first()) {
            let right =
                format!("{shuffled}, the embedding length {width} times the square of the scale factor {scale}");
            require(input == shuffled, format!("the input width of {name}"), input, right)?;
        }
    }
    Ok(())
}

/// Architectures of vision-language models whose layers all have attention heads.
fn is_pure_attention(architecture: &str) -> bool {
    matches!(
        architecture,
        "llama"
            | "llama4"
            | "mistral3"
            | "qwen2"
            | "qwen2moe"
            | "qwen2vl"
            | "qwen3"
            | "qwen3moe"
            | "qwen3vl"
            | "qwen3vlmoe"
            | "gemma"
            | "gemma2"
            | "gemma3"
            | "gemma3n"
            | "gemma4"
            | "phi2"
            | "phi3"
            | "internlm2"
            | "minicpm"
            | "minicpm3"
            | "chatglm"
            | "glm4"
            | "deepseek"
            | "deepseek2"
            | "cogvlm"
            | "granite"
            | "smollm3"
    )
}

/// Projector types whose encoder is a vision transformer over the patches of [`PATCHES`]. Others (MobileNet in
/// `gemma3nv`, no encoder at all in `gemma4uv`, SAM in `deepseekocr`) and types not known here are left to clip.cpp.
fn is_vision_transformer(projector_type: &str) -> bool {
    matches!(
        projector_type,
        "internvl"
            | "mlp"
            | "ldp"
            | "ldpv2"
            | "adapter"
            | "resampler"
            | "gemma3"
            | "gemma4v"
            | "idefics3"
            | "pixtral"
            | "lightonocr"
            | "qwen2vl_merger"
            | "qwen2.5vl_merger"
            | "qwen3vl_merger"
            | "kimivl"
            | "cogvlm"
            | "llama4"
            | "janus_pro"
            | "lfm2"
            | "glm4v"
            | "nemotron_v2_vl"
            | "dots_ocr"
    )
}

/// Projector types that take pictures of one size only, cut or scaled to it. For others the size may be 0.
fn has_one_picture_size(projector_type: &str) -> bool {
    matches!(
        projector_type,
        "internvl"
            | "mlp"
            | "ldp"
            | "ldpv2"
            | "adapter"
            | "gemma3"
            | "idefics3"
            | "llama4"
            | "janus_pro"
            | "cogvlm"
            | "nemotron_v2_vl"
    )
}

/// The number at `key` is in `low..=high`. Absent keys and arrays pass.
fn in_range(metadata: &Metadata, key: &str, low: u64, high: u64) -> Sane {
    let right = || match high {
        MAX_NUMBER => format!("{low} or more, in 31 bits"),
        _ => format!("from {low} to {high}"),
    };
    match metadata.number(key) {
        Some(number) => require((low..=high).contains(&number), key, number, right()),
        None if metadata.is_scalar(key) => defect(key, "no whole number", right()),
        None => Ok(()),
    }
}

/// The number at `key` is one that a norm can add to a variance. Absent keys pass.
fn finite(metadata: &Metadata, key: &str) -> Sane {
    const RIGHT: &str = "a small positive number";
    match metadata.real(key) {
        Some(number) => require(number >= 0.0, key, number, RIGHT),
        None if metadata.is_scalar(key) => defect(key, "not finite", RIGHT),
        None => Ok(()),
    }
}

/// The tensor is there and has these dimensions, in ggml's order.
fn shape(tensors: &BTreeMap<String, Tensor>, name: &str, expected: &[u64]) -> Sane {
    let right = format!("of shape {expected:?}");
    match tensors.get(name) {
        None => defect(name, "missing", right),
        // ggml does not distinguish axes of length 1 from absent ones.
        Some(Tensor { dims, .. }) => {
            let (dims, extra) = dims.split_at(dims.len().min(expected.len()));
            let fits = dims == expected && extra.iter().all(|&dim| dim == 1);
            require(fits, name, format_args!("of shape {dims:?}"), right)
        }
    }
}

fn require(holds: bool, what: impl ToString, value: impl ToString, right: impl ToString) -> Sane {
    if holds { Ok(()) } else { defect(what, value, right) }
}

fn defect(what: impl ToString, value: impl ToString, right: impl ToString) -> Sane {
    Err(Defect { what: what.to_string(), value: value.to_string(), right: right.to_string() })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, parse};
    use super::super::{GgufError, Header, check_guide, check_target};
    use super::*;

    /// Where in `bytes` the value of the key, or the first dimension of the tensor, of this name begins: both are
    /// preceded by a number of 32 bits.
    fn place(bytes: &[u8], name: &str) -> usize {
        let counted = [&(name.len() as u64).to_le_bytes(), name.as_bytes()].concat();
        let start = bytes.windows(counted.len()).position(|window| window == counted).expect(name);
        start + counted.len() + 4
    }

    fn overwritten(fixture: &Fixture, name: &str, offset: isize, value: u32) -> Vec<u8> {
        let mut bytes = fixture.bytes();
        let start = place(&bytes, name).strict_add_signed(offset);
        bytes[start..start + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    fn text() -> Fixture {
        Fixture::text_model("qwen2", 32)
            .number("qwen2.rope.dimension_count", 8)
            .real("qwen2.attention.layer_norm_rms_epsilon", 1e-6)
            .number("qwen2.nextn_predict_layers", 0)
            .text("qwen2.rope.scaling.type", "yarn")
    }

    #[track_caller]
    fn check_refused(result: Result<(), GgufError>, expected: &str) {
        let message = result.expect_err(expected).to_string();
        let end = "; the file is damaged or was converted wrongly, convert or download it again";
        assert!(message.contains(expected) && message.ends_with(end), "{message}\nis not: {expected}");
    }

    #[test]
    fn impossible_text_models_are_refused() {
        let mmproj = Fixture::mmproj(32).parse().unwrap();
        let check = |bytes: Vec<u8>| check_guide(&parse("model.gguf", bytes).unwrap(), &mmproj);
        check(text().bytes()).unwrap();
        let rms = "qwen2.attention.layer_norm_rms_epsilon";
        for (key, value, expected) in [
            ("qwen2.block_count", 0, r#""qwen2.block_count" of model.gguf is 0 and must be from 1 to 512;"#),
            ("qwen2.block_count", 513, r#""qwen2.block_count" of model.gguf is 513 and must be from 1 to 512;"#),
            ("qwen2.context_length", 0, "is 0 and must be 1 or more, in 31 bits;"),
            ("qwen2.context_length", 1 << 31, "is 2147483648 and must be 1 or more"),
            ("qwen2.attention.head_count", 0, "is 0 and must be 1 or more"),
            ("qwen2.nextn_predict_layers", 3, "is 3 and must be from 0 to 2;"),
            ("qwen2.rope.dimension_count", 9, "is 9 and must be from 0 to 8;"),
            (rms, (-1e-6f32).to_bits(), "and must be a small positive number;"),
            (rms, f32::NAN.to_bits(), "layer_norm_rms_epsilon\" of model.gguf is not finite and must be"),
            (rms, f32::INFINITY.to_bits(), "is not finite"),
        ] {
            check_refused(check(overwritten(&text(), key, 0, value)), expected);
        }
        check_refused(
            check(overwritten(&text(), "qwen2.rope.scaling.type", 8, u32::from_le_bytes(*b"yarm"))),
            r#"is "yarm" and must be none, linear, yarn or longrope;"#,
        );
        let long_heads = text().number("qwen2.attention.key_length", 16);
        check(overwritten(&long_heads, "qwen2.rope.dimension_count", 0, 16)).unwrap();
        check(overwritten(&text(), rms, 0, 0)).unwrap();
    }

    #[test]
    fn only_architectures_of_attention_alone_need_heads() {
        let mmproj = Fixture::mmproj(32).parse().unwrap();
        let text = Fixture::text_model("mamba", 32);
        let bytes = overwritten(&text, "mamba.attention.head_count", 0, 0);
        check_target(&parse("model.gguf", bytes).unwrap(), &mmproj).unwrap();
    }

    #[test]
    fn repeated_tokens_are_refused() {
        let mmproj = Fixture::mmproj(32).parse().unwrap();
        let check = |vocabulary: &str, tokens: &[&str]| {
            let text = Fixture::new()
                .text("general.architecture", "qwen2")
                .text("tokenizer.ggml.model", vocabulary)
                .texts("tokenizer.ggml.tokens", tokens)
                .tensor("token_embd.weight", &[32, 3], 8);
            check_target(&text.parse().unwrap(), &mmproj)
        };
        let expected = r#""tokenizer.ggml.tokens" of file.gguf is a list with "cat" twice and must be a list without"#;
        for vocabulary in ["gpt2", "llama"] {
            check_refused(check(vocabulary, &["cat", "dog", "cat"]), expected);
            check_refused(check(vocabulary, &["cat", "cat\0dog"]), expected);
            check(vocabulary, &["", "", "\0", "\0", "cat", "dog"]).unwrap();
        }
        check("no_vocab", &["cat", "cat"]).unwrap();

        let long: Vec<String> = (0..150_000).map(|id| id.to_string()).collect();
        let mut long: Vec<&str> = long.iter().map(String::as_str).collect();
        check("gpt2", &long).unwrap();
        long.push("149998");
        check_refused(check("gpt2", &long), r#"a list with "149998" twice"#);
    }

    #[test]
    fn impossible_projectors_are_refused() {
        let text = text().parse().unwrap();
        let mmproj = Fixture::mmproj(32).number("clip.vision.preproc_min_tiles", 1);
        let check = |bytes: Vec<u8>| check_target(&text, &parse("mmproj.gguf", bytes)?);
        check(mmproj.bytes()).unwrap();
        let epsilon = "clip.vision.attention.layer_norm_epsilon";
        let scale = "clip.vision.projector.scale_factor";
        for (name, offset, value, expected) in [
            ("clip.vision.image_size", 0, 0, r#""clip.vision.image_size" of mmproj.gguf is 0 and must be 14 or more"#),
            ("clip.vision.image_size", 0, 13, "is 13 and must be 14 or more"),
            ("clip.vision.image_size", 0, 462, r#"v.position_embd.weight" of mmproj.gguf is of shape [8, 1025] and"#),
            ("clip.vision.image_size", -4, 5, "is of GGUF type 5 and must be uint32;"),
            ("clip.vision.patch_size", 0, 0, "is 0 and must be 1 or more"),
            ("clip.vision.patch_size", 0, 16, "[14, 14, 3, 8] and must be of shape [16, 16, 3, 8];"),
            ("clip.vision.attention.head_count", 0, 0, "is 0 and must be 1 or more"),
            ("clip.vision.attention.head_count", 0, 3, "is 8 and must be a multiple of the 3 heads;"),
            ("clip.vision.embedding_length", 0, 0, "is 0 and must be 1 or more"),
            ("clip.vision.embedding_length", 0, 16, "[14, 14, 3, 8] and must be of shape [14, 14, 3, 16];"),
            ("clip.vision.block_count", 0, 0, "is 0 and must be 1 or more"),
            ("clip.vision.block_count", 0, 3, r#""v.blk.2.attn_qkv.weight" of mmproj.gguf is missing and must be"#),
            ("clip.vision.preproc_min_tiles", 0, 13, "is 13 and must be from 1 to 12;"),
            ("clip.vision.preproc_min_tiles", 0, 0, "is 0 and must be from 1 to 12;"),
            (epsilon, 0, (-1f32).to_bits(), "is -1 and must be a small positive number;"),
            (epsilon, 0, f32::NAN.to_bits(), "is not finite"),
            (epsilon, -4, 4, "is of GGUF type 4 and must be float32;"),
            (scale, 0, 0, "is 0 and must be from 1 to 32;"),
            (scale, 0, 1, r#""the input width of mm.model.mlp.0.weight" of mmproj.gguf is 32 and must be 8, the"#),
            ("v.patch_embd.weight", -5, 0x478, r#""v.patch_embd.weight" of mmproj.gguf is missing and must be there"#),
            ("v.position_embd.weight", -5, 0x278, r#""v.position_embd.weight" of mmproj.gguf is missing and must be"#),
            ("v.class_embd", -5, 0x178, r#""v.class_embd" of mmproj.gguf is missing and must be of shape [8];"#),
            ("v.blk.0.attn_qkv.weight", -5, 0x278, r#""v.blk.0.attn_qkv.weight" of mmproj.gguf is missing"#),
            ("v.blk.1.attn_k.weight", -5, 0x278, r#""v.blk.1.attn_k.weight" of mmproj.gguf is missing"#),
        ] {
            check_refused(check(overwritten(&mmproj, name, offset, value)), expected);
        }
    }

    #[test]
    fn other_encoders_need_no_patches() {
        let text = Fixture::text_model("gemma3n", 32).parse().unwrap();
        let with = |projector_type: &str| {
            let mmproj = Fixture::mmproj_without_tensors(projector_type)
                .number("clip.vision.attention.head_count", 0)
                .tensor("mm.0", &[1], 0);
            check_target(&text, &mmproj.parse().unwrap())
        };
        for projector_type in ["gemma3nv", "gemma4uv", "deepseekocr", "of the future"] {
            with(projector_type).unwrap();
        }
        check_refused(with("gemma3"), "clip.vision.attention.head_count");
    }

    #[test]
    fn text_models_that_stop_at_the_first_picture_are_refused() {
        let mmproj = Fixture::mmproj(32).parse().unwrap();
        let check = |text: Fixture| check_target(&text.parse().unwrap(), &mmproj);
        for architecture in ["glm4", "glm4moe"] {
            let text = || Fixture::text_model(architecture, 32);
            let key = format!("{architecture}.rope.dimension_sections");
            check(text().numbers(&key, &[4, 6, 6, 0])).unwrap();
            check_refused(check(text()), r#"rope.dimension_sections" of file.gguf is [] and must be numbers above 0"#);
            check_refused(check(text().numbers(&key, &[16, 0, 0, 0])), "is [16, 0, 0, 0] and must be numbers above 0");
        }
        for architecture in ["qwen3vl", "qwen3vlmoe"] {
            let text =
                |n| Fixture::text_model(architecture, 32).number(&format!("{architecture}.n_deepstack_layers"), n);
            check(text(0)).unwrap();
            check_refused(check(text(2)), r#"n_deepstack_layers" of file.gguf is 2 and must be from 0 to 1;"#);
        }
    }

    #[test]
    fn grids_that_do_not_come_out_even_are_refused() {
        let text = Fixture::text_model("llama", 32).parse().unwrap();
        let check = |projector_type: &str, add: &dyn Fn(Fixture) -> Fixture| {
            let mmproj = Fixture::mmproj_without_tensors(projector_type)
                .number("clip.vision.embedding_length", 8)
                .number("clip.vision.attention.head_count", 2)
                .tensor("v.patch_embd.weight", &[14, 14, 3, 8], 0);
            check_target(&text, &add(mmproj).parse().unwrap())
        };
        for projector_type in ["gemma3", "idefics3"] {
            let scaled =
                |scale| check(projector_type, &|mmproj| mmproj.number("clip.vision.projector.scale_factor", scale));
            scaled(4).unwrap();
            check_refused(scaled(3), r#"scale_factor" of file.gguf is 3 and must be a divisor of 32, the patches"#);
        }
        for projector_type in ["qwen2vl_merger", "qwen2.5vl_merger", "qwen3vl_merger", "glm4v"] {
            let merged =
                |merge| check(projector_type, &|mmproj| mmproj.number("clip.vision.spatial_merge_size", merge));
            merged(2).unwrap();
            check_refused(merged(3), r#"spatial_merge_size" of file.gguf is 3 and must be from 2 to 2;"#);
        }
        let pinned = |side| check("mlp", &|mmproj| mmproj.numbers("clip.vision.image_grid_pinpoints", &[448, side]));
        pinned(896).unwrap();
        check_refused(
            pinned(900),
            r#"image_grid_pinpoints" of file.gguf is a list with 900 and must be multiples of 448;"#,
        );
        check_refused(pinned(0), "is a list with 0 and must be");
        let resampled =
            |width| check("resampler", &|mmproj| mmproj.tensor("resampler.proj.weight", &[width, width], 0));
        check_refused(resampled(192), "resampler.proj.weight\" of file.gguf is 192 and must be a multiple of the 128");
    }

    #[test]
    fn the_demo_pair_passes() {
        let read = |name: &str| Header::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)).unwrap();
        check_target(&read("target.gguf"), &read("mmproj-target.gguf")).unwrap();
        check_guide(&read("guide.gguf"), &read("mmproj-guide.gguf")).unwrap();
    }
}
