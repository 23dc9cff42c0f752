//! Raw bindings to llama.cpp and libmtmd with the patches of this repository applied.
//!
//! Stands in for the registry crate of the same name, so that `llama-cpp-2` builds on it unchanged.

#![allow(
    non_upper_case_globals,
    non_camel_case_types,
    non_snake_case,
    unpredictable_function_pointer_comparisons,
    unnecessary_transmutes,
    rustdoc::all,
    clippy::all
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));

/// Folder of loadable ggml backends; always `None`, since backends are linked in.
pub const BACKENDS_DIR: Option<&str> = None;

/// Of the build script, which cargo does not test.
#[cfg(test)]
#[path = "../build/parse.rs"]
mod parse;
