use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::GgufError;
use super::metadata::Metadata;
use super::scan::Tensor;
use super::source::Source;
use super::summary::{PerLayer, Projector, TextModel, Token};

/// The shape of a text model.
pub(super) fn text_model(
    metadata: &Metadata,
    architecture: &str,
    source: &mut Source<'_, impl Read + Seek>,
) -> Result<TextModel, GgufError> {
    let key = |name: &str| format!("{architecture}.{name}");
    let number = |name: &str| metadata.number(&key(name));
    let per_layer = |name: &str| {
        let each = || metadata.numbers(&key(name))?.into_iter().map(|n| u64::try_from(n).ok()).collect::<Option<_>>();
        number(name).map(PerLayer::Same).or_else(|| each().map(PerLayer::Each))
    };
    let vocabulary = metadata.array("tokenizer.ggml.tokens");
    let mut token = |key: &str| -> Result<Option<Token>, GgufError> {
        let Some(id) = metadata.number(key) else {
            return Ok(None);
        };
        let text = vocabulary.map(|vocabulary| source.element(vocabulary, id)).transpose()?.flatten();
        Ok(Some(Token { id, text }))
    };
    let embedding_width = number("embedding_length");
    Ok(TextModel {
        n_layers: number("block_count"),
        embedding_width,
        input_width: embedding_width.map(|width| width.saturating_mul(1 + n_deepstack(metadata, architecture))),
        n_heads: per_layer("attention.head_count"),
        n_key_value_heads: per_layer("attention.head_count_kv"),
        context_length: number("context_length"),
        sliding_window: number("attention.sliding_window").filter(|&window| window > 0),
        rope_sections: metadata.numbers(&key("rope.dimension_sections")),
        vocabulary_size: vocabulary.map(|tokens| tokens.n_elements).or_else(|| number("vocab_size")),
        tokenizer: metadata.text("tokenizer.ggml.model"),
        bos_token: token("tokenizer.ggml.bos_token_id")?,
        eos_token: token("tokenizer.ggml.eos_token_id")?,
        chat_template: metadata.text("tokenizer.chat_template"),
    })
}

/// Extra embedding planes per token, as the architectures with DeepStack read them (`load_arch_hparams` in
/// `models/qwen3vl.cpp`, `qwen3vlmoe.cpp`, `granite.cpp`, `granite-swa.cpp`).
fn n_deepstack(metadata: &Metadata, architecture: &str) -> u64 {
    match architecture {
        "qwen3vl" | "qwen3vlmoe" => {
            let layers = metadata.number(&format!("{architecture}.n_deepstack_layers"));
            layers.unwrap_or(0).min(u64::from(u32::MAX))
        }
        "granite" | "granite_swa" => {
            let mut planes = metadata.numbers(&format!("{architecture}.deepstack_mapping")).unwrap_or_default();
            planes.retain(|&plane| plane >= 0);
            planes.sort_unstable();
            planes.dedup();
            planes.len() as u64
        }
        _ => 0,
    }
}

/// The shape of an mmproj.
pub(super) fn projector(metadata: &Metadata, tensors: &BTreeMap<String, Tensor>) -> Projector {
    let text = |key: &str| metadata.text(key).filter(|text| !text.is_empty());
    let has_vision = metadata.flag("clip.has_vision_encoder");
    let modality = if has_vision { "clip.vision.projector_type" } else { "clip.audio.projector_type" };
    let projector_type = text("clip.projector_type").or_else(|| text(modality));
    let output_width =
        projector_type.as_deref().filter(|_| has_vision).and_then(|name| output_width(name, metadata, tensors));
    Projector {
        has_vision,
        has_audio: metadata.flag("clip.has_audio_encoder"),
        projector_type,
        output_width,
        image_size: metadata.number("clip.vision.image_size"),
        patch_size: metadata.number("clip.vision.patch_size"),
        n_layers: metadata.number("clip.vision.block_count"),
    }
}

/// Width of a visual token, read off the tensor that writes it (`clip_n_mmproj_embd`, with the tensor names of
/// `clip_model_loader::load_tensors`).
fn output_width(projector_type: &str, metadata: &Metadata, tensors: &BTreeMap<String, Tensor>) -> Option<u64> {
    let dim = |name: &str, axis: usize| tensors.get(name)?.dims.get(axis).copied();
    match projector_type {
        "mlp" if tensors.contains_key("mm.3.weight") => dim("mm.3.bias", 0),
        "mlp" | "phi4" | "pixtral" | "lightonocr" | "dots_ocr" | "dots3note_v" | "muse-glimmer" | "mimovl" | "lfm2"
        | "kimivl" | "kimik25" | "paddleocr" | "yasa2" | "deepseek4v" => dim("mm.2.weight", 1),
        "qwen2vl_merger" | "qwen2.5vl_merger" | "qwen2.5o" | "exaone4_5" | "youtuvl" | "ling3vl" => dim("mm.2.bias", 0),
        "qwen3vl_merger" => {
            let is_plane = |name: &&String| name.starts_with("v.deepstack.") && name.ends_with(".fc1.weight");
            let n_planes = 1 + tensors.keys().filter(is_plane).count() as u64;
            dim("mm.2.bias", 0)?.checked_mul(n_planes)
        }
        "janus_pro" => dim("mm.1.bias", 0),
        "internvl" | "nemotron_v2_vl" => dim("mm.model.mlp.3.weight", 1),
        "gemma3" | "gemma3nv" => dim("mm.input_projection.weight", 0),
        "gemma4v" | "gemma4uv" => dim("mm.input_projection.weight", 1),
        "idefics3" | "llama4" | "step3vl" | "hunyuanvl" | "deepseekocr" | "deepseekocr2" => {
            dim("mm.model.fc.weight", 1)
        }
        "glm4v" | "glm5v" | "cogvlm" | "minicpmv4_6" => dim("mm.down.weight", 1),
        "minimax_m3" => dim("mm.merger.fc2.bias", 0),
        "resampler" => dim("resampler.proj.weight", 0),
        "adapter" => dim("adapter.linear.dense_4h_to_h.weight", 1),
        "ldp" => dim("mm.model.mb_block.1.block.2.1.bias", 0),
        "ldpv2" => dim("mm.model.peg.0.bias", 0),
        "granite4_vision" => {
            let n_blocks = metadata.array("clip.vision.feature_layer")?.n_elements;
            metadata.number("clip.vision.projection_dim")?.checked_mul(n_blocks)
        }
        _ => None,
    }
}
