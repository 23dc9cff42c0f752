//! What a line says: a message, or a command that starts with `/`.

use crate::cli::error::Failure;
use crate::cli::resolve::usage;
use sgl::guidance::Retain;
use std::path::PathBuf;

/// A line, understood.
#[derive(Debug, PartialEq)]
pub enum Input {
    Message(String),
    Image(PathBuf),
    Retain(Option<Retain>),
    Explain(Option<PathBuf>),
    Stats,
    Reset,
    Help,
    Quit,
}

/// Name, argument, what it does.
pub const COMMANDS: [(&str, &str, &str); 7] = [
    ("/image", "PATH", "add a picture to the next message"),
    ("/retain", "[SHARE]", "say or set how many visual tokens the target reads, as --retain does"),
    ("/explain", "[PATH]", "draw what the guide looked at for the last answer (PNG) [default: heat.png]"),
    ("/stats", "", "say what each answer read and took"),
    ("/reset", "", "forget the conversation, but not what the encoders made of its pictures"),
    ("/help", "", "list the commands"),
    ("/quit", "", "leave, as Ctrl-D does"),
];

/// The commands, one to a line.
pub fn help() -> String {
    let line = |(name, argument, does): &(&str, &str, &str)| format!("  {:17}  {does}\n", format!("{name} {argument}"));
    let lines: String = COMMANDS.iter().map(line).collect();
    format!(
        "Commands:\n{lines}\nA line that ends in \\ goes on in the next; one that starts with // is text that starts with /."
    )
}

impl Input {
    /// Understands a line; `None` if it is blank.
    ///
    /// # Errors
    /// There is no such command, or its argument is wrong.
    pub fn parse(text: &str) -> Result<Option<Self>, Failure> {
        let text = text.trim();
        let Some(command) = text.strip_prefix('/') else {
            return Ok((!text.is_empty()).then(|| Self::Message(text.to_owned())));
        };
        if command.starts_with('/') {
            return Ok(Some(Self::Message(command.to_owned())));
        }
        let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let argument = argument.trim();
        let input = match name {
            "image" => Self::Image(path(argument)?.ok_or_else(|| usage("/image names no picture; use /image PATH"))?),
            "retain" if argument.is_empty() => Self::Retain(None),
            "retain" => Self::Retain(Some(argument.parse().map_err(usage)?)),
            "explain" => Self::Explain(path(argument)?),
            "stats" => Self::Stats,
            "reset" => Self::Reset,
            "help" => Self::Help,
            "quit" => Self::Quit,
            _ => {
                let names = COMMANDS.map(|(name, ..)| name).join(", ");
                return Err(usage(format!(
                    "there is no command /{name}; use one of {names}, or start with // for text that starts with /"
                )));
            }
        };
        if matches!(input, Self::Stats | Self::Reset | Self::Help | Self::Quit) && !argument.is_empty() {
            return Err(usage(format!("/{name} takes no argument; leave {argument} out")));
        }
        Ok(Some(input))
    }
}

/// A path to the end of the line, as a shell would take it: in quotes, or with spaces that may be escaped, and `~` for the
/// home folder. `None` if there is none.
fn path(text: &str) -> Result<Option<PathBuf>, Failure> {
    let quote = text.chars().next().filter(|first| ['"', '\''].contains(first));
    let unquoted = match quote {
        Some(quote) => unescaped(&text[1..], Some(quote)),
        None => unescaped(text, None),
    };
    let Some((path, rest)) = unquoted else {
        return Err(usage(format!("the path {text} has no closing quote; close it")));
    };
    if !rest.is_empty() {
        return Err(usage(format!("{rest} follows the quoted path; name one path at a time")));
    }
    let home = path.strip_prefix('~').filter(|rest| quote.is_none() && (rest.is_empty() || rest.starts_with('/')));
    let path = match home.zip(std::env::home_dir()) {
        Some((rest, home)) => home.join(rest.trim_start_matches('/')),
        None => PathBuf::from(path),
    };
    Ok((!path.as_os_str().is_empty()).then_some(path))
}

/// Text up to `end`, and what follows it; `None` if it does not come. A backslash takes what follows it literally: between
/// double quotes only the quote and itself, between single quotes and where it separates folders nothing.
fn unescaped(text: &str, end: Option<char>) -> Option<(String, &str)> {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        let escaped = rest.clone().next().filter(|escaped| match end {
            _ if next != '\\' || cfg!(windows) => false,
            Some('"') => ['"', '\\'].contains(escaped),
            Some(_) => false,
            None => true,
        });
        match escaped {
            Some(escaped) => {
                plain.push(escaped);
                rest.next();
            }
            None if end == Some(next) => return Some((plain, rest.as_str().trim())),
            None => plain.push(next),
        }
    }
    end.is_none().then_some((plain, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Input) {
        assert_eq!(Input::parse(text).unwrap(), Some(expected), "{text}");
    }

    #[track_caller]
    fn fails(text: &str, message: &str) {
        let failure = Input::parse(text).unwrap_err();
        let said = format!("{}; {}", failure.message, failure.hint.unwrap_or_default());
        assert!(said.contains(message), "{text}: {said}");
    }

    #[test]
    fn text_is_a_message() {
        check(" What is this?\n", Input::Message("What is this?".into()));
        check("a /image b", Input::Message("a /image b".into()));
        check("//image b", Input::Message("/image b".into()));
        check("// b", Input::Message("/ b".into()));
        check("two\nlines", Input::Message("two\nlines".into()));
        for blank in ["", " ", "\n\t"] {
            assert_eq!(Input::parse(blank).unwrap(), None);
        }
    }

    #[test]
    fn commands_take_their_arguments() {
        check("/retain", Input::Retain(None));
        check("/retain 10%", Input::Retain(Some(Retain::Share(0.1))));
        check("/retain\t64t ", Input::Retain(Some(Retain::Count(64))));
        check("/explain", Input::Explain(None));
        check("/explain my heat.png", Input::Explain(Some("my heat.png".into())));
        check("  /stats ", Input::Stats);
        for (name, ..) in COMMANDS {
            assert_eq!(Input::parse(name).is_err(), name == "/image", "{name}");
        }
    }

    #[test]
    fn paths_are_written_as_in_a_shell() {
        let check = |text: &str, path: &str| check(&format!("/image {text}"), Input::Image(path.into()));
        check("a.png", "a.png");
        check("my picture.png", "my picture.png");
        check("\"my picture.png\"", "my picture.png");
        check("'it is \"a\".png' ", "it is \"a\".png");
        check("it's.png", "it's.png");
        check("'~/a.png'", "~/a.png");
        check("~user/a.png", "~user/a.png");
        check("a~.png", "a~.png");
        let home = std::env::home_dir().unwrap();
        check("~/my a.png", home.join("my a.png").to_str().unwrap());
        check("~", home.to_str().unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_backslash_escapes() {
        let check = |text: &str, path: &str| check(&format!("/image {text}"), Input::Image(path.into()));
        check(r"my\ picture\'s.png", "my picture's.png");
        check(r#""a \"b\" \c\\""#, r#"a "b" \c\"#);
        check(r"'a\b'", r"a\b");
        check(r"a\\b", r"a\b");
    }

    #[test]
    fn what_is_wrong_is_said() {
        fails("/image", "/image PATH");
        fails("/image \"a.png", "no closing quote");
        fails("/image 'a.png' b.png", "b.png follows");
        fails("/image ''", "/image PATH");
        fails("/retain all", "all");
        fails("/retain 0", "0");
        fails("/quit now", "leave now out");
        for unknown in ["/", "/ image a", "/Image a", "/images a", "/?"] {
            fails(unknown, "/image, /retain, /explain, /stats, /reset, /help, /quit");
        }
    }

    #[test]
    fn help_lists_every_command() {
        let help = help();
        assert!(COMMANDS.iter().all(|(name, ..)| help.contains(&format!("\n  {name} "))), "{help}");
    }
}
