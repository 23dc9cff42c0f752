//! The program, run as its users run it, on the embedded pair.

mod bad_input;
mod bench;
mod benchmarks;
mod calibrate;
mod chat;
#[cfg(unix)]
mod chat_terminal;
mod demo;
mod eval;
mod explain;
mod fit;
mod flags;
mod goldens;
mod harness;
mod inspect;
mod pipes;
mod quantize_mmproj;
mod run;
mod serve;
