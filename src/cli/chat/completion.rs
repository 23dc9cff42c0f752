//! The Tab key: commands, and the paths that some of them take.

use super::command::COMMANDS;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

/// Completes what begins with `/`.
#[derive(Default)]
pub struct Completion {
    files: FilenameCompleter,
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..pos).unwrap_or(line);
        if ["/image ", "/explain "].iter().any(|command| typed.starts_with(command)) {
            return self.files.complete(line, pos, context);
        }
        Ok((0, commands(typed)))
    }
}

fn commands(typed: &str) -> Vec<Pair> {
    let is_meant = |(name, ..): &&(&str, &str, &str)| typed.starts_with('/') && name.starts_with(typed);
    let pair = |(name, argument, _): &(&str, &str, &str)| {
        let space = if argument.is_empty() { "" } else { " " };
        Pair { display: (*name).to_owned(), replacement: format!("{name}{space}") }
    };
    COMMANDS.iter().filter(is_meant).map(pair).collect()
}

impl Hinter for Completion {
    type Hint = String;
}
impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_completed_and_text_is_not() {
        let of = |typed| commands(typed).into_iter().map(|pair| pair.replacement).collect::<Vec<_>>();
        assert_eq!(of("/i"), ["/image "]);
        assert_eq!(of("/re"), ["/retain ", "/reset"]);
        assert_eq!(of("/").len(), COMMANDS.len());
        assert!(of("").is_empty() && of("//i").is_empty() && of("what").is_empty());
    }
}
