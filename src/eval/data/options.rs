//! Multiple choice: the choices, and the one that is right.

use super::error::DataError;
use super::record::Record;
use crate::eval::sample::Gold;

/// Choices by the letter that the file gives them; empty ones are left out.
pub(super) struct Options {
    letters: Vec<char>,
    pub(super) texts: Vec<String>,
}

impl Options {
    /// Fields of (letter, name).
    pub(super) fn of(record: &Record, fields: &[(char, &str)]) -> Result<Self, DataError> {
        let mut options = Self { letters: Vec::new(), texts: Vec::new() };
        for &(letter, name) in fields {
            if let Some(text) = record.maybe(name)?.filter(|text| text != "nan") {
                options.letters.push(letter);
                options.texts.push(text);
            }
        }
        options.at_least_two(record)
    }

    /// The columns A to E of a table.
    pub(super) fn of_columns(record: &Record) -> Result<Self, DataError> {
        Self::of(record, &[('A', "A"), ('B', "B"), ('C', "C"), ('D', "D"), ('E', "E")])
    }

    /// From a text whose lines `A. ...`, `B. ...` end it; gives the lines before them too.
    pub(super) fn of_lines(record: &Record, text: &str) -> Result<(String, Self), DataError> {
        let mut options = Self { letters: Vec::new(), texts: Vec::new() };
        let mut question: Vec<&str> = Vec::new();
        for line in text.lines() {
            let next = char::from(b'A' + options.letters.len().min(25) as u8);
            let choice = line.strip_prefix(next).and_then(|rest| rest.strip_prefix(". "));
            match (choice, options.texts.last_mut()) {
                (Some(choice), _) => {
                    options.letters.push(next);
                    options.texts.push(choice.trim().to_owned());
                }
                (None, Some(last)) => *last = format!("{last}\n{}", line.trim_end()).trim_end().to_owned(),
                (None, None) => question.push(line),
            }
        }
        Ok((question.join("\n").trim().to_owned(), options.at_least_two(record)?))
    }

    /// The choice that a field's letter names.
    pub(super) fn gold(&self, record: &Record, name: &str) -> Result<Gold, DataError> {
        let answer = record.text(name)?;
        let mut chars = answer.trim().chars();
        let letter = chars.next().filter(|_| chars.as_str().is_empty());
        let index = letter.and_then(|letter| self.letters.iter().position(|l| l.eq_ignore_ascii_case(&letter)));
        index.map(Gold::Choice).ok_or_else(|| {
            let letters: Vec<String> = self.letters.iter().map(char::to_string).collect();
            record.problem(format!("field `{name}`: expected one of {}, found `{answer}`", letters.join(", ")))
        })
    }

    fn at_least_two(self, record: &Record) -> Result<Self, DataError> {
        match self.texts.len() {
            0 | 1 => Err(record.problem(format!("expected two choices or more, found {}", self.texts.len()))),
            _ => Ok(self),
        }
    }
}
