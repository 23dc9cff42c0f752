//! Lines from a terminal, edited and remembered, or from a pipe, as they are.

use super::completion::Completion;
use super::history;
use crate::cli::error::{Exit, Failure};
use crate::cli::output::Console;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Behavior, CompletionType, Config, Editor};
use std::fs;
use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

/// Where lines come from.
pub enum Lines {
    Terminal { editor: Box<Editor<Completion, DefaultHistory>>, history: Option<PathBuf> },
    Pipe { n_read: usize },
}

/// What was read.
#[derive(Debug, PartialEq)]
pub enum Line {
    Text(String),
    /// Ctrl-C took back what was typed.
    Cleared,
    End,
}

impl Lines {
    /// Standard input.
    ///
    /// # Errors
    /// It is a terminal that cannot be used.
    pub fn open(keeps_history: bool, console: &Console) -> Result<Self, Failure> {
        if !io::stdin().is_terminal() {
            return Ok(Self::Pipe { n_read: 0 });
        }
        // Where standard output holds the answers, the prompt has no place on it.
        let behavior = if io::stdout().is_terminal() { Behavior::Stdio } else { Behavior::PreferTerm };
        let config = Config::builder()
            .behavior(behavior)
            .completion_type(CompletionType::List)
            .auto_add_history(true)
            .history_ignore_space(true)
            .max_history_size(1000)
            .map_err(failed)?
            .build();
        let mut editor = Box::new(Editor::with_config(config).map_err(failed)?);
        editor.set_helper(Some(Completion::default()));
        let mut lines = Self::Terminal { editor, history: None };
        if keeps_history && let Err(error) = lines.remember() {
            console.note(format_args!("what you type is not remembered: {error}"));
        }
        Ok(lines)
    }

    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal { .. })
    }

    /// The next line, or several that backslashes join.
    ///
    /// # Errors
    /// It cannot be read, or is no text.
    pub fn next(&mut self) -> Result<Line, Failure> {
        joined(|is_first| match self {
            Self::Terminal { editor, history } => {
                let line = match editor.readline(if is_first { "> " } else { ". " }) {
                    Ok(line) => line,
                    Err(ReadlineError::Interrupted) => return Ok(Line::Cleared),
                    Err(ReadlineError::Eof) => return Ok(Line::End),
                    Err(error) => return Err(failed(error)),
                };
                if let Some(history) = history {
                    // A history that can no longer be written is no reason to stop.
                    let _ = editor.append_history(history);
                }
                Ok(Line::Text(line))
            }
            Self::Pipe { n_read } => {
                *n_read += 1;
                from_pipe(*n_read)
            }
        })
    }

    /// Loads the history and keeps it.
    fn remember(&mut self) -> io::Result<()> {
        let (Self::Terminal { editor, history }, Some(file)) = (self, history::file()) else {
            return Err(io::Error::other("there is no home folder"));
        };
        fs::create_dir_all(file.parent().unwrap_or(&file))?;
        if file.try_exists()? {
            editor.load_history(&file).map_err(io::Error::other)?;
        }
        *history = Some(file);
        Ok(())
    }
}

/// Joins lines as long as they end in a backslash. An end in the middle is the end of the message.
fn joined(mut next: impl FnMut(bool) -> Result<Line, Failure>) -> Result<Line, Failure> {
    let mut text = String::new();
    let mut is_first = true;
    loop {
        match next(is_first)? {
            Line::Text(line) => match line.strip_suffix('\\') {
                Some(line) => text = text + line + "\n",
                None => return Ok(Line::Text(text + &line)),
            },
            Line::End if !is_first => return Ok(Line::Text(text)),
            other => return Ok(other),
        }
        is_first = false;
    }
}

fn from_pipe(number: usize) -> Result<Line, Failure> {
    let mut line = Vec::new();
    let cannot_read = |why| Failure::new(Exit::Input, format!("cannot read line {number} of standard input: {why}"));
    if io::stdin().lock().read_until(b'\n', &mut line).map_err(|error| cannot_read(error.to_string()))? == 0 {
        return Ok(Line::End);
    }
    let mut line = String::from_utf8(line).map_err(|_| cannot_read("it is not UTF-8".to_owned()))?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(Line::Text(line))
}

fn failed(error: ReadlineError) -> Failure {
    Failure::new(Exit::Input, format!("cannot read from the terminal: {error}; pipe the lines into it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], end: Line, expected: Line) {
        let mut lines = lines.iter();
        let next = |_| {
            Ok(lines.next().map_or_else(
                || if end == Line::End { Line::End } else { Line::Cleared },
                |line| Line::Text((*line).to_owned()),
            ))
        };
        assert_eq!(joined(next).unwrap(), expected);
    }

    #[test]
    fn backslashes_join_lines() {
        let text = |text: &str| Line::Text(text.to_owned());
        check(&["a", "b"], Line::End, text("a"));
        check(&[r"a\", r" b \", "c", "d"], Line::End, text("a\n b \nc"));
        check(&[r"a\b"], Line::End, text(r"a\b"));
        check(&[""], Line::End, text(""));
    }

    #[test]
    fn the_end_ends_a_message_and_ctrl_c_takes_it_back() {
        check(&[r"a\"], Line::End, Line::Text("a\n".to_owned()));
        check(&[], Line::End, Line::End);
        check(&[r"a\"], Line::Cleared, Line::Cleared);
    }
}
