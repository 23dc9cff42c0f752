//! **sgl**: small VLM guidance (SGL, CVPR 2025) for GGUF models on llama.cpp.
//!
//! A small vision-language model, the *guide*, answers a question about pictures first. Its attention ranks the visual
//! tokens, and a large one, the *target*, reads only the best of them, at their original positions. Where the guide is
//! confident and consistent, its answer is final and the target never runs.
//!
//! [`pipeline::Pipeline`] is the whole of it; [`vlm::Vlm`] one model; [`guidance`] the algorithm; [`engine::Engine`] many
//! requests on one pair.
//!
//! It needs its own `llama-cpp-sys-2`, and cargo reads `[patch]` only in the manifest of the workspace that is built. Who depends on
//! this crate says so there:
//!
//! ```toml
//! [patch.crates-io]
//! llama-cpp-sys-2 = { path = "sgl/vendor/llama-cpp-sys-2" } # or { git = "..." }, the repository that sgl-vlm comes from
//! ```

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod bench;
pub mod chat;
pub mod engine;
pub mod eval;
pub mod explain;
pub mod fixtures;
pub mod geometry;
pub mod gguf;
pub mod grammar;
pub mod guidance;
pub mod llama;
pub mod media;
pub mod pair;
pub mod pipeline;
pub mod profile;
pub mod server;
pub mod timing;
pub mod vlm;
