//! Header values that fit the format and that no working model has. llama.cpp ends the process over most of them
//! (`GGML_ASSERT`, a division by zero), so they are looked for before it gets the file.

use std::collections::BTreeMap;
use std::path::Path;

use super::GgufError;
use super::metadata::Metadata;
use super::scan::Tensor;

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

/// Checks what `clip_model_loader` and the graphs of tools/mtmd take for granted about a vision encoder.
pub(super) fn check_projector(
    metadata: &Metadata,
    projector_type: &str,
    tensors: &BTreeMap<String, Tensor>,
) -> Sane {
    let key = |name: &str| format!("clip.vision.{name}");
    let number = |name: &str| metadata.number(&key(name));
    let range = |name: &str, low| in_range(metadata, &key(name), low, MAX_NUMBER);
    range("patch_size", 1)?;
    finite(metadata, &key("attention.layer_norm_epsilon"))?;
    if !is_vision_transformer(projector_type) {
        return Ok(());
    }
    range("image_size", number("patch_size").unwrap_or(1))?;
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
    if projector_type == "internvl" { check_internvl(metadata, tensors) } else { Ok(()) }
}

/// Checks what `clip_graph_internvl::build` and the graph functions it calls do not: that all shapes fit together.
fn check_internvl(metadata: &Metadata, tensors: &BTreeMap<String, Tensor>) -> Sane {
    let number = |name: &str| metadata.number(&format!("clip.vision.{name}"));
    let max_tiles = number("preproc_max_tiles").unwrap_or(12);
    in_range(metadata, "clip.vision.preproc_max_tiles", 0, MAX_NUMBER - 1)?;
    in_range(metadata, "clip.vision.preproc_min_tiles", 0, max_tiles)?;
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
            let right = format!("{shuffled}, the embedding length {width} times the square of the scale factor {scale}");
            require(input == shuffled, format!("the input width of {name}"), input, right)?;
        }
    }
    Ok(())
}

/// Architectures of vision-language models whose layers all have attention heads.
fn is_pure_attention(architecture: &str) -> bool {
    matches!(
        architecture,
        "llama" | "llama4" | "mistral3" | "qwen2" | "qwen2moe" | "qwen2vl" | "qwen3" | "qwen3moe" | "qwen3vl"
            | "qwen3vlmoe" | "gemma" | "gemma2" | "gemma3" | "gemma3n" | "gemma4" | "phi2" | "phi3" | "internlm2"
            | "minicpm" | "minicpm3" | "chatglm" | "glm4" | "deepseek" | "deepseek2" | "cogvlm" | "granite" | "smollm3"
    )
}

/// Projector types whose encoder is a vision transformer over the patches of [`PATCHES`]. Others (MobileNet in
/// `gemma3nv`, no encoder at all in `gemma4uv`, SAM in `deepseekocr`) and types not known here are left to clip.cpp.
fn is_vision_transformer(projector_type: &str) -> bool {
    matches!(
        projector_type,
        "internvl" | "mlp" | "ldp" | "ldpv2" | "adapter" | "resampler" | "gemma3" | "gemma4v" | "idefics3" | "pixtral"
            | "lightonocr" | "qwen2vl_merger" | "qwen2.5vl_merger" | "qwen3vl_merger" | "kimivl" | "cogvlm" | "llama4"
            | "janus_pro" | "lfm2" | "glm4v" | "nemotron_v2_vl" | "dots_ocr"
    )
}

/// The number at `key`, or every number of the array there, is in `low..=high`. Absent keys pass.
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
