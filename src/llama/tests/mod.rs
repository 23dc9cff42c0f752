//! What the crate claims about llama.cpp, checked in process: fidelity to libmtmd's own path, and the attention export
//! against the probabilities themselves.

mod architectures;
mod export;
mod families;
mod fidelity;
mod geometry;
mod harness;
mod products;
mod tower;
mod transformers;
