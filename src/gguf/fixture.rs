//! GGUF files made byte by byte, valid or not.

use std::io::Cursor;
use std::path::Path;

use super::{GgufError, Header};

/// A GGUF file under construction.
#[derive(Clone)]
pub(crate) struct Fixture {
    version: u32,
    alignment: u64,
    n_pairs: u64,
    n_tensors: u64,
    pairs: Vec<u8>,
    tensors: Vec<u8>,
    data: Vec<u8>,
}

impl Fixture {
    pub fn new() -> Self {
        Self { version: 3, alignment: 32, n_pairs: 0, n_tensors: 0, pairs: vec![], tensors: vec![], data: vec![] }
    }

    /// A small complete text model of width `width`.
    pub fn text_model(architecture: &str, width: u32) -> Self {
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
    pub fn mmproj(width: u64) -> Self {
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

    pub fn mmproj_without_tensors(projector_type: &str) -> Self {
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

    pub fn version(self, version: u32) -> Self {
        Self { version, ..self }
    }

    /// The alignment of the tensors that follow, stated and used.
    pub fn alignment(self, alignment: u32) -> Self {
        Self { alignment: u64::from(alignment), ..self.number("general.alignment", alignment) }
    }

    /// Counts in the header, true or not.
    pub fn claim(self, n_tensors: u64, n_pairs: u64) -> Self {
        Self { n_tensors, n_pairs, ..self }
    }

    pub fn text(self, key: &str, value: &str) -> Self {
        self.pair(key, 8, &text_bytes(value))
    }

    pub fn number(self, key: &str, value: u32) -> Self {
        self.pair(key, 4, &value.to_le_bytes())
    }

    pub fn real(self, key: &str, value: f32) -> Self {
        self.pair(key, 6, &value.to_le_bytes())
    }

    pub fn flag(self, key: &str, value: bool) -> Self {
        self.pair(key, 7, &[u8::from(value)])
    }

    pub fn numbers(self, key: &str, values: &[i32]) -> Self {
        let elements: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.array(key, 5, values.len() as u64, &elements)
    }

    pub fn texts(self, key: &str, values: &[&str]) -> Self {
        let elements: Vec<u8> = values.iter().flat_map(|value| text_bytes(value)).collect();
        self.array(key, 8, values.len() as u64, &elements)
    }

    pub fn array(self, key: &str, item: u32, n_elements: u64, elements: &[u8]) -> Self {
        self.pair(key, 9, &[&item.to_le_bytes()[..], &n_elements.to_le_bytes(), elements].concat())
    }

    pub fn pair(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.n_pairs += 1;
        self.pairs.extend(text_bytes(key));
        self.pairs.extend(kind.to_le_bytes());
        self.pairs.extend(value);
        self
    }

    /// A tensor of zeros; `kind` is 0 for F32, 1 for F16 or 8 for Q8_0.
    pub fn tensor(self, name: &str, dims: &[u64], kind: u32) -> Self {
        let n_elements: u64 = dims.iter().product();
        let bytes = match kind {
            0 => n_elements * 4,
            1 => n_elements * 2,
            _ => n_elements / 32 * 34,
        };
        self.tensor_of(name, dims, kind, vec![0; bytes as usize])
    }

    /// A tensor with data of its own.
    pub fn tensor_of(self, name: &str, dims: &[u64], kind: u32, data: Vec<u8>) -> Self {
        let offset = self.data.len().next_multiple_of(self.alignment as usize);
        let mut file = self.tensor_entry(name, dims, kind, offset as u64);
        file.data.resize(offset, 0);
        file.data.extend(data);
        file
    }

    /// An entry in the tensor table, whatever it says, without data.
    pub fn tensor_entry(mut self, name: &str, dims: &[u64], kind: u32, offset: u64) -> Self {
        self.n_tensors += 1;
        self.tensors.extend(text_bytes(name));
        self.tensors.extend((dims.len() as u32).to_le_bytes());
        self.tensors.extend(dims.iter().flat_map(|dim| dim.to_le_bytes()));
        self.tensors.extend(kind.to_le_bytes());
        self.tensors.extend(offset.to_le_bytes());
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.n_tensors.to_le_bytes());
        bytes.extend(self.n_pairs.to_le_bytes());
        bytes.extend(&self.pairs);
        bytes.extend(&self.tensors);
        if !self.data.is_empty() {
            bytes.resize(bytes.len().next_multiple_of(self.alignment as usize), 0);
            bytes.extend(&self.data);
        }
        bytes
    }

    pub fn parse_as(&self, path: &str) -> Result<Header, GgufError> {
        parse(path, self.bytes())
    }

    pub fn parse(&self) -> Result<Header, GgufError> {
        self.parse_as("file.gguf")
    }
}

pub(crate) fn parse(path: &str, bytes: Vec<u8>) -> Result<Header, GgufError> {
    Header::parse(Path::new(path), Cursor::new(bytes))
}

pub(crate) fn text_bytes(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}
