//! The progress line on a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use sgl::pipeline::Event;
use sgl::vlm::Role;
use std::time::Duration;

/// One line that says what is happening; nothing when hidden.
#[derive(Clone)]
pub struct Progress {
    line: ProgressBar,
}

impl Progress {
    pub fn new(is_shown: bool) -> Self {
        let line = if is_shown { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if is_shown {
            line.enable_steady_tick(Duration::from_millis(100));
        }
        Self { line }
    }

    /// A model's file is loaded up to `share`.
    pub fn loading(&self, role: Role, share: f32) {
        let name = match role {
            Role::Guide => "guide",
            Role::Target => "target",
        };
        self.count(format!("loading {name}"), (share * 100.0) as u64, 100);
    }

    /// `done` of `all` runs are measured.
    pub fn measuring(&self, done: usize, all: usize) {
        self.count("measuring".to_owned(), done as u64, all as u64);
    }

    /// `done` of `all` bytes of an mmproj have another type.
    pub fn converting(&self, done: u64, all: u64) {
        self.count("converting".to_owned(), done >> 20, (all >> 20).max(1));
    }

    /// `done` of `all` samples of a benchmark are answered.
    pub fn counting(&self, what: &str, done: usize, all: usize, text: &str) {
        self.line.set_style(style("{spinner} {prefix} {bar:24} {pos}/{len}  {msg}"));
        self.line.set_length(all as u64);
        self.line.set_position(done as u64);
        self.line.set_prefix(what.to_owned());
        self.line.set_message(text.to_owned());
    }

    /// Whether anybody sees it.
    pub fn is_shown(&self) -> bool {
        !self.line.is_hidden()
    }

    /// Something happens in a request. The line is gone before text comes.
    pub fn show(&self, event: &Event<'_>) {
        match *event {
            Event::Phase(phase) => {
                self.line.set_style(style("{spinner} {msg}"));
                self.line.set_message(phase.label());
            }
            Event::Progress { phase, done, all } => self.count(phase.label().to_owned(), done as u64, all as u64),
            Event::Said(_) => self.clear(),
        }
    }

    /// Does what writes to the terminal while the line is away.
    pub fn above(&self, write: impl FnOnce()) {
        self.line.suspend(write);
    }

    fn count(&self, what: String, done: u64, all: u64) {
        self.line.set_style(style("{spinner} {msg:15} {bar:30} {pos}/{len}"));
        self.line.set_length(all);
        self.line.set_position(done);
        self.line.set_message(what);
    }

    /// Removes the line.
    pub fn clear(&self) {
        self.line.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
