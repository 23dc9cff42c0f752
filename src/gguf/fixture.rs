//! Small headers for the tests of this room.

use std::io::Cursor;
use std::path::Path;

use super::{GgufError, Header};
pub(crate) use crate::fixtures::writer::{Gguf as Fixture, text_bytes};

impl Fixture {
    /// A small complete text model of width `width`.
    pub(crate) fn text_model(architecture: &str, width: u32) -> Self {
        Self::new()
            .text("general.architecture", architecture)
            .text("general.type", "model")
            .text("general.name", "Tiny")
            .text("general.size_label", "1K")
            .number("general.file_type", 15)
            .number(&format!("{architecture}.block_count"), 2)
            .number(&format!("{architecture}.context_length"), 512)
            .number(&format!("{architecture}.embedding_length"), width)
            .number(&format!("{architecture}.attention.head_count"), 4)
            .number(&format!("{architecture}.attention.head_count_kv"), 2)
            .text("tokenizer.ggml.model", "gpt2")
            .texts("tokenizer.ggml.tokens", &["<s>", "</s>", "cat"])
            .number("tokenizer.ggml.bos_token_id", 0)
            .number("tokenizer.ggml.eos_token_id", 1)
            .text("tokenizer.chat_template", "{{ messages }}")
            .tensor("output_norm.weight", &[u64::from(width)], 0)
            .tensor("token_embd.weight", &[u64::from(width), 3], 8)
    }

    /// A small mmproj of InternVL's kind that writes width `width`.
    pub(crate) fn mmproj(width: u64) -> Self {
        Self::mmproj_without_tensors("internvl")
            .number("clip.vision.embedding_length", 8)
            .number("clip.vision.attention.head_count", 2)
            .real("clip.vision.attention.layer_norm_epsilon", 1e-6)
            .number("clip.vision.projector.scale_factor", 2)
            .tensor("v.patch_embd.weight", &[14, 14, 3, 8], 0)
            .tensor("v.position_embd.weight", &[8, 1025], 0)
            .tensor("v.class_embd", &[8], 0)
            .tensor("v.blk.0.attn_qkv.weight", &[8, 24], 0)
            .tensor("v.blk.1.attn_q.weight", &[8, 8], 0)
            .tensor("v.blk.1.attn_k.weight", &[8, 8], 0)
            .tensor("v.blk.1.attn_v.weight", &[8, 8], 0)
            .tensor("mm.model.mlp.0.weight", &[32], 0)
            .tensor("mm.model.mlp.1.weight", &[32, 8], 0)
            .tensor("mm.model.mlp.3.weight", &[8, width], 1)
    }

    pub(crate) fn mmproj_without_tensors(projector_type: &str) -> Self {
        Self::new()
            .text("general.architecture", "clip")
            .text("general.type", "mmproj")
            .text("clip.projector_type", projector_type)
            .flag("clip.has_vision_encoder", true)
            .number("clip.vision.image_size", 448)
            .number("clip.vision.patch_size", 14)
            .number("clip.vision.block_count", 2)
            .number("clip.vision.projection_dim", 32)
    }

    /// A tensor of zeros; `kind` is 0 for F32, 1 for F16 or 8 for Q8_0.
    pub(crate) fn tensor(self, name: &str, dims: &[u64], kind: u32) -> Self {
        let n_elements: u64 = dims.iter().product();
        let bytes = match kind {
            0 => n_elements * 4,
            1 => n_elements * 2,
            _ => n_elements / 32 * 34,
        };
        self.tensor_of(name, dims, kind, vec![0; bytes as usize])
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn parse_as(&self, path: &str) -> Result<Header, GgufError> {
        parse(path, self.bytes())
    }

    pub(crate) fn parse(&self) -> Result<Header, GgufError> {
        self.parse_as("file.gguf")
    }
}

pub(crate) fn parse(path: &str, bytes: Vec<u8>) -> Result<Header, GgufError> {
    Header::parse(Path::new(path), Cursor::new(bytes))
}
