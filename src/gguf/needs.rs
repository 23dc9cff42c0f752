//! Memory that a model and its mmproj take, from the tables of their tensors.

use std::path::Path;

use super::check::{check_target, part_paths};
use super::types::tensor_type_named;
use super::{GgufError, Header, Tensor};

/// Sizes of the parts of a model that llama.cpp places apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// In their order.
    pub layers: Vec<LayerNeeds>,
    /// Weights of the output, of which a model that shares them with the input has a second copy.
    pub output_bytes: u64,
    /// Weights that stay in the host's memory: the input embeddings and others outside layers.
    pub input_bytes: u64,
    /// Weights of the mmproj.
    pub mmproj_bytes: u64,
    /// Width of a token's embedding.
    pub width: u64,
    /// Tokens in the vocabulary.
    pub n_vocab: u64,
    /// Context length in training; `None` if the file does not say.
    pub n_ctx_train: Option<u64>,
}

/// Sizes of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayerNeeds {
    /// Its weights.
    pub weight_bytes: u64,
    /// Elements of a token's key, of all heads; 0 in layers without a cache.
    pub key_width: u64,
    /// The same of its value.
    pub value_width: u64,
}

impl Needs {
    /// Reads the headers of a model, with all its parts, and of its mmproj.
    ///
    /// # Errors
    /// Those of [`Header::read`] and [`check_target`]: numbers of layers that no model has are refused here too.
    pub fn read(model: &Path, mmproj: &Path) -> Result<Self, GgufError> {
        let (first, mmproj) = (Header::read(model)?, Header::read(mmproj)?);
        check_target(&first, &mmproj)?;
        let mut others = Vec::new();
        if let Some(split) = first.summary().split {
            for path in part_paths(&first, split)? {
                others.push(Header::read(&path)?);
            }
        }
        let parts: Vec<&Header> = std::iter::once(&first).chain(&others).collect();
        Ok(Self::of(&parts, &mmproj))
    }

    /// The same from headers; the first part's comes first.
    pub fn of(parts: &[&Header], mmproj: &Header) -> Self {
        let text = parts.first().and_then(|first| first.summary().text.as_ref());
        let n_layers = text.and_then(|text| text.n_layers).unwrap_or(0) as usize;
        let tensor = |name: &str| parts.iter().find_map(|part| part.tensor(name));
        let mut needs = Self {
            layers: (0..n_layers).map(|layer| cached(|name| tensor(&format!("blk.{layer}.{name}.weight")))).collect(),
            mmproj_bytes: mmproj.tensors().map(|(_, tensor)| tensor.bytes).sum(),
            width: text.and_then(|text| text.embedding_width).unwrap_or(0),
            n_vocab: text.and_then(|text| text.vocabulary_size).unwrap_or(0),
            n_ctx_train: text.and_then(|text| text.context_length),
            ..Self::default()
        };
        for (name, tensor) in parts.iter().flat_map(|part| part.tensors()) {
            let layer = name.strip_prefix("blk.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
            match layer.and_then(|layer| needs.layers.get_mut(layer)) {
                Some(layer) => layer.weight_bytes += tensor.bytes,
                None if name.starts_with("output") => needs.output_bytes += tensor.bytes,
                None => needs.input_bytes += tensor.bytes,
            }
        }
        if tensor("output.weight").is_none() {
            needs.output_bytes += tensor("token_embd.weight").map_or(0, |tensor| tensor.bytes);
        }
        needs
    }
}

/// Bytes of `n` elements of a type by its name, such as `q8_0`; `None` for an unknown one.
pub fn element_bytes(type_name: &str, n: u64) -> Option<u64> {
    let layout = tensor_type_named(type_name)?;
    Some(n.div_ceil(layout.block_elements).saturating_mul(layout.block_bytes))
}

/// A layer's cache, from what writes to it: its own matrices for keys and values, one for both that are compressed (MLA), or
/// one for queries, keys and values.
fn cached<'a>(tensor: impl Fn(&str) -> Option<&'a Tensor>) -> LayerNeeds {
    let rows = |name: &str| tensor(name)?.dims.get(1).copied();
    let shared = || rows("attn_kv_a_mqa").map(|width| (width, width));
    let fused = || {
        let n_queries = tensor("attn_output")?.dims.first().copied()?;
        let width = rows("attn_qkv")?.checked_sub(n_queries)? / 2;
        Some((width, width))
    };
    let (key_width, value_width) =
        rows("attn_k").zip(rows("attn_v")).or_else(shared).or_else(fused).unwrap_or_default();
    LayerNeeds { weight_bytes: 0, key_width, value_width }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, FAMILIES};
    use crate::gguf::WeightType;
    use crate::gguf::fixture::Fixture;

    #[test]
    fn every_tensor_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        for family in FAMILIES {
            let shape = family.tiny();
            let pair = fixtures::write(family, &shape, 1, WeightType::F16, dir.path()).unwrap();
            let needs = Needs::read(&pair.model, &pair.mmproj).unwrap();
            let (model, mmproj) = (Header::read(&pair.model).unwrap(), Header::read(&pair.mmproj).unwrap());
            let all: u64 = model.tensors().map(|(_, tensor)| tensor.bytes).sum();
            let copied = match model.tensor("output.weight") {
                Some(_) => 0,
                None => model.tensor("token_embd.weight").unwrap().bytes,
            };
            let layers: u64 = needs.layers.iter().map(|layer| layer.weight_bytes).sum();
            assert_eq!(layers + needs.output_bytes + needs.input_bytes, all + copied, "{}", family.name());
            assert_eq!(needs.layers.len() as u64, model.summary().text.as_ref().unwrap().n_layers.unwrap());
            assert!(needs.layers.iter().all(|layer| layer.weight_bytes > 0) && needs.input_bytes > 0);
            assert!(needs.layers.iter().any(|layer| layer.key_width > 0 && layer.value_width > 0), "{}", family.name());
            assert_eq!(needs.mmproj_bytes, mmproj.tensors().map(|(_, tensor)| tensor.bytes).sum::<u64>());
        }
    }

    #[test]
    fn no_memory_is_taken_for_layers_that_no_model_has() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, file: Fixture| {
            let path = dir.path().join(name);
            std::fs::write(&path, file.bytes()).unwrap();
            path
        };
        let mmproj = write("mmproj.gguf", Fixture::mmproj(32));
        let needs = |model: Fixture| Needs::read(&write("model.gguf", model), &mmproj);
        assert_eq!(needs(Fixture::text_model("qwen2", 32)).unwrap().layers.len(), 2);
        let tall = Fixture::new().text("general.architecture", "qwen2").number("qwen2.block_count", u32::MAX).tensor(
            "output_norm.weight",
            &[32],
            0,
        );
        let error = needs(tall).unwrap_err();
        assert!(error.to_string().contains("qwen2.block_count"), "{error}");
    }

    #[test]
    fn caches_are_as_wide_as_what_is_written_to_them() {
        let layer = |tensors: &[(&str, [u64; 2])]| {
            let fixture = tensors.iter().fold(Fixture::text_model("qwen2", 32), |fixture, (name, dims)| {
                fixture.tensor(&format!("blk.1.{name}.weight"), dims, 0)
            });
            let needs = Needs::of(&[&fixture.parse().unwrap()], &Fixture::mmproj(32).parse().unwrap());
            assert_eq!(needs.layers[0], LayerNeeds::default());
            (needs.layers[1].key_width, needs.layers[1].value_width)
        };
        assert_eq!(layer(&[("attn_k", [32, 16]), ("attn_v", [32, 8])]), (16, 8));
        assert_eq!(layer(&[("attn_qkv", [32, 64]), ("attn_output", [32, 32])]), (16, 16));
        assert_eq!(layer(&[("attn_kv_a_mqa", [32, 20])]), (20, 20));
        assert_eq!(layer(&[("ssm_in", [32, 20])]), (0, 0));
    }

    #[test]
    fn blocks_are_whole() {
        assert_eq!(element_bytes("f16", 100), Some(200));
        assert_eq!(element_bytes("q8_0", 64), Some(68));
        assert_eq!(element_bytes("q4_0", 65), Some(54));
        assert_eq!(element_bytes("f17", 1), None);
    }
}
