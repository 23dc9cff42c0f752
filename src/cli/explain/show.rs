//! Whether and how heat maps are drawn in the terminal, on standard error beside the other notes.

use super::super::args::Show;
use sgl::explain::terminal::Protocol;
use std::io::{self, IsTerminal};
use terminal_size::{Width, terminal_size_of};

/// `None`: not at all. Without being told so, only where somebody looks at both streams and no program reads them.
pub fn protocol(show: Show, is_json: bool) -> Option<Protocol> {
    let variable = |name: &str| std::env::var(name).ok();
    match show {
        Show::Auto => {
            let is_watched = !is_json && io::stdout().is_terminal() && io::stderr().is_terminal();
            if is_watched { Protocol::detect(variable) } else { None }
        }
        Show::Never => None,
        Show::Kitty => Some(Protocol::Kitty),
        Show::Iterm2 => Some(Protocol::Iterm2),
        Show::Sixel => Some(Protocol::Sixel),
        Show::Blocks => Some(Protocol::blocks(variable)),
    }
}

/// Width of the terminal in characters.
pub fn columns() -> u32 {
    terminal_size_of(io::stderr()).map_or(80, |(Width(columns), _)| columns.into())
}
