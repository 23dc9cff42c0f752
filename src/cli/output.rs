//! Standard output, whose reader may leave early, and messages on standard error, which may be closed: neither panics.

use super::error::{Exit, Failure};
use super::progress::Progress;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// What goes to standard error, and how much of it is wanted.
pub struct Console {
    quiet: bool,
    logs: bool,
}

impl Console {
    pub fn new(quiet: bool, logs: bool) -> Self {
        Self { quiet, logs }
    }

    /// A progress line, if someone watches and no logs would run through it.
    pub fn progress(&self) -> Progress {
        Progress::new(!self.quiet && !self.logs && io::stderr().is_terminal())
    }

    /// One line, unless quiet.
    pub fn say(&self, line: impl Display) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// What was asked for, quiet or not.
    pub fn show(&self, text: impl Display) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// What deserves attention, unless quiet.
    pub fn note(&self, line: impl Display) {
        self.say(format_args!("note: {line}"));
    }

    /// Why the program ends, quiet or not.
    pub fn failure(&self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        let _ = writeln!(io::stderr(), "error: {}", failure.message);
        if let Some(hint) = &failure.hint {
            let _ = writeln!(io::stderr(), "hint: {hint}");
        }
    }
}

/// Standard output.
#[derive(Default)]
pub struct Output {
    failed: Option<io::Error>,
    is_mid_line: bool,
}

impl Output {
    /// Writes and flushes; does nothing once that has failed.
    pub fn write(&mut self, text: &str) {
        if self.failed.is_none() && !text.is_empty() {
            let mut stdout = io::stdout().lock();
            self.failed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).err();
            self.is_mid_line = !text.ends_with('\n');
        }
    }

    /// Whether nobody takes what is written.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Ends a line that was begun, so that what follows on a terminal has its own.
    pub fn end_line(&mut self) {
        if self.is_mid_line {
            self.write("\n");
        }
    }

    /// Whether the reader got everything; `false` when it has left early, as `head` does.
    ///
    /// # Errors
    /// Something was not written for another reason.
    pub fn finish(&mut self) -> Result<bool, Failure> {
        match self.failed.take() {
            Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Some(error) => Err(Failure::new(Exit::Output, format!("cannot write to standard output: {error}"))),
            None => Ok(true),
        }
    }
}

/// Writes a whole text to standard output.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut output = Output::default();
    output.write(text);
    output.finish().map(drop)
}

/// One JSON object on one line.
pub fn json_line(value: &impl serde::Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(value).map_err(|error| Failure::new(Exit::Output, error))?;
    Ok(json + "\n")
}
