//! llama.cpp and libmtmd behind safe types: the only room of the crate with `unsafe`.
//!
//! Models, vocabularies, devices and samplers come from `llama-cpp-2`; contexts, embedding batches, vision and the
//! attention tap are ours, over the raw bindings. One owner type per C object; what a C object needs to outlive it is
//! held by the owner in an [`std::sync::Arc`].

#![allow(unsafe_code)]

mod attention;
mod backend;
mod batch;
mod chunk;
mod context;
mod convert;
mod fit;
mod mmproj;
mod model;
mod quantize;
mod sampler;
mod softmax;
mod threads;
mod tower;
mod vision;

#[cfg(test)]
mod tests;

pub use attention::LayerMass;
pub use backend::{Device, Memory, devices, end_process};
pub use batch::{Batch, Position};
pub use chunk::{Chunk, Chunks, ImageChunk};
pub use context::{CacheType, Context, ContextOptions, FlashAttention};
pub use fit::{Budget, Load, Placement, Plan, Wanted, fit, free_memory, gpu_memory};
pub use mmproj::{QuantizeError, Requantized, quantize_mmproj};
pub use model::{Model, ModelOptions, Token};
pub use quantize::quantize;
pub use sampler::{Sampler, SamplingOptions};
pub use softmax::{log_probabilities, log_probability, most_probable_tokens};
pub use threads::default_threads;
pub use vision::{Embeddings, ImageTokens, MAX_IMAGE_TOKENS, Vision, VisionOptions};

use std::path::PathBuf;

/// What llama.cpp or libmtmd refused. Where they only log their reason, it is quoted.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, thiserror::Error)]
pub enum LlamaError {
    /// The text model did not load.
    #[error("cannot load the model {path}: {reason}")]
    LoadModel { path: PathBuf, reason: String },
    /// The mmproj did not load.
    #[error("cannot load the mmproj {path}: {reason}")]
    LoadVision { path: PathBuf, reason: String },
    /// A text model could not be written with other weight types.
    #[error("cannot quantize {path}: {reason}")]
    Quantize { path: PathBuf, reason: String },
    /// No device has this name.
    #[error("there is no device `{name}`; `sgl devices` lists: {known}")]
    UnknownDevice { name: String, known: String },
    /// A context could not be created, mostly for want of memory.
    #[error(
        "cannot create a context of {n_ctx} tokens: {reason}; a smaller -c or a quantized cache (-ctk, -ctv) needs less memory"
    )]
    CreateContext { n_ctx: u32, reason: String },
    /// A path or text with a NUL byte inside.
    #[error("{what} has a zero byte inside, which llama.cpp cannot take")]
    ZeroByte { what: &'static str },
    /// The batch was refused before anything ran: a bug of the caller.
    #[error("llama.cpp refused a batch of {n_tokens} tokens: {reason}")]
    InvalidBatch { n_tokens: usize, reason: String },
    /// No place left in the KV cache.
    #[error("the context of {n_ctx} tokens is full; use a larger -c")]
    ContextFull { n_ctx: u32 },
    /// The computation was stopped through the context's cancel flag.
    #[error("cancelled")]
    Cancelled,
    /// The computation failed (out of device memory, a lost device).
    #[error("llama.cpp failed while computing: {reason}")]
    Compute { reason: String },
    /// libmtmd could not cut the prompt into text and picture chunks.
    #[error("cannot prepare the prompt's pictures: {reason}; pictures of a more usual shape may do")]
    Tokenize { reason: String },
    /// A grammar cannot be read, or allows nothing that the model can say.
    #[error("the grammar of the answer does not work: {reason}")]
    Grammar { reason: String },
    /// libmtmd could not encode a picture.
    #[error("cannot encode the picture: {reason}")]
    Encode { reason: String },
    /// A picture needs more tokens in one physical batch than the context has.
    #[error(
        "this model reads a picture of {n_tokens} visual tokens in one piece; use -b and -ub of at least {n_tokens}, not {n_ubatch}"
    )]
    BatchTooSmall { n_tokens: usize, n_ubatch: u32 },
}
