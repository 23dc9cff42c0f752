use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

/// What one GGUF file is, from its header. Absent keys are `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The path that was given.
    pub path: PathBuf,
    /// Size of the file.
    pub file_bytes: u64,
    /// Version of the container, 2 or 3.
    pub gguf_version: u32,
    /// What the file can be used as.
    pub kind: Kind,
    /// `general.architecture`, for example `qwen2vl`; empty if the key is missing.
    pub architecture: String,
    /// `general.name`.
    pub name: Option<String>,
    /// `general.size_label`, for example `7B`.
    pub size_label: Option<String>,
    /// Elements of all tensors in this file.
    pub n_parameters: u64,
    /// Tensors in this file.
    pub n_tensors: usize,
    /// `general.file_type` by name, for example `Q4_K_M`.
    pub quantization: Option<String>,
    /// The type that most parameters are stored in, for example `Q4_K`.
    pub main_tensor_type: Option<&'static str>,
    /// Present if the model is split over several files.
    pub split: Option<Split>,
    /// Present for a text model.
    pub text: Option<TextModel>,
    /// Present for an mmproj.
    pub projector: Option<Projector>,
}

/// What a GGUF file can be used as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A language model, of whatever architecture.
    TextModel,
    /// An mmproj: encoders and projectors for pictures or sound.
    Projector,
    /// Neither: the value of `general.type`, for example `adapter` or `imatrix`.
    Other(String),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TextModel => "text model",
            Self::Projector => "projector",
            Self::Other(kind) => kind,
        })
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The place of a file in a split model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Split {
    /// This file's number, from 1.
    pub part: u64,
    /// Number of files.
    pub parts: u64,
}

/// A number that an architecture states once, or for each layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PerLayer {
    /// The same in all layers.
    Same(u64),
    /// One number per layer; 0 for a layer without it.
    Each(Vec<u64>),
}

impl PerLayer {
    /// Whether no layer has any.
    pub fn is_zero(&self) -> bool {
        match self {
            Self::Same(number) => *number == 0,
            Self::Each(numbers) => numbers.iter().all(|&number| number == 0),
        }
    }
}

impl fmt::Display for PerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(number) => write!(f, "{number}"),
            Self::Each(numbers) => write!(f, "{numbers:?}"),
        }
    }
}

/// The shape of a language model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextModel {
    /// Transformer (or recurrent) layers.
    pub n_layers: Option<u64>,
    /// Width of a token's embedding.
    pub embedding_width: Option<u64>,
    /// Width of a row of an embedding batch: more than `embedding_width` with DeepStack (`llama_model_n_embd_inp`).
    pub input_width: Option<u64>,
    /// Attention heads.
    pub n_heads: Option<PerLayer>,
    /// Key-value heads; `n_heads` if absent.
    pub n_key_value_heads: Option<PerLayer>,
    /// Context length in training, in tokens.
    pub context_length: Option<u64>,
    /// Attention window of the sliding-window layers, in tokens.
    pub sliding_window: Option<u64>,
    /// Rotary dimensions per position axis: present for M-RoPE.
    pub rope_sections: Option<Vec<i64>>,
    /// Tokens in the vocabulary.
    pub vocabulary_size: Option<u64>,
    /// Tokenizer family, for example `gpt2`.
    pub tokenizer: Option<String>,
    /// First token of a prompt.
    pub bos_token: Option<Token>,
    /// Token that ends an answer.
    pub eos_token: Option<Token>,
    /// Jinja source of the default chat template.
    pub chat_template: Option<String>,
}

/// A vocabulary entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its number.
    pub id: u64,
    /// Its text; `None` if the vocabulary has no such entry.
    pub text: Option<String>,
}

/// The shape of an mmproj.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Projector {
    /// Whether it encodes pictures.
    pub has_vision: bool,
    /// Whether it encodes sound.
    pub has_audio: bool,
    /// How visual tokens are made, for example `internvl`; the audio type if there is no vision.
    pub projector_type: Option<String>,
    /// Width of a visual token as the text model receives it (`clip_n_mmproj_embd`); `None` for an unknown
    /// `projector_type`.
    pub output_width: Option<u64>,
    /// Side of the square picture or tile that the encoder was trained on, in pixels.
    pub image_size: Option<u64>,
    /// Side of a patch, in pixels.
    pub patch_size: Option<u64>,
    /// Layers of the vision encoder.
    pub n_layers: Option<u64>,
}
