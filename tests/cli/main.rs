//! The program, run as its users run it, on the embedded pair.

mod bad_input;
mod chat;
#[cfg(unix)]
mod chat_terminal;
mod demo;
mod explain;
mod flags;
mod goldens;
mod harness;
mod inspect;
mod pipes;
mod run;
