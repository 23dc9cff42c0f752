//! GGUF headers, and the checks on a model and its mmproj before anything is loaded.
//!
//! [`Header::read`] touches the header only, never the weights, and treats the file as hostile: every count, length and
//! offset is held against the file's length and a fixed limit before it is used. What it accepts is what llama.cpp's
//! `gguf_init_from_file` and `llama_model_loader` accept, so that a file refused here is one that would have failed
//! later, after seconds of loading and with a message about something else.

mod check;
mod describe;
mod error;
mod facts;
#[cfg(test)]
pub(crate) mod fixture;
mod header;
mod metadata;
mod needs;
mod rewrite;
mod sane;
mod scan;
mod sniff;
mod source;
mod summary;
#[cfg(test)]
mod tests;
mod tower;
mod types;
mod weights;

pub use check::{check_guide, check_target};
pub use describe::describe;
pub use error::GgufError;
pub use header::Header;
pub use needs::{LayerNeeds, Needs, element_bytes};
pub(crate) use rewrite::{Rewrite, Rewritten};
pub use scan::Tensor;
pub use summary::{Kind, PerLayer, Projector, Split, Summary, TextModel, Token};
pub use weights::WeightType;
