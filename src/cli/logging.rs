//! Logs to standard error: none by default, `-v` what llama.cpp and libmtmd tell, `-vv` their details too.

use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// `RUST_LOG` decides where no `-v` does.
pub fn init(verbosity: u8) {
    let filter = match verbosity {
        0 => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off")),
        1 => EnvFilter::new("info"),
        _ => EnvFilter::new("debug"),
    };
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // Internal errors are those of writing to standard error: there is nowhere left to tell them.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .without_time()
        .log_internal_errors(false)
        .init();
}
