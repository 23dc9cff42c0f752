//! The program, run as its users run it, on the embedded pair.

mod bad_input;
mod demo;
mod explain;
mod flags;
mod goldens;
mod harness;
mod inspect;
mod pipes;
mod run;
