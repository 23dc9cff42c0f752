//! Markers that stand for pictures inside a template.
//!
//! A marker is a number between two copies of a delimiter, a private-use character that occurs neither in the template nor
//! in any text of the messages. Case mapping, trimming and joining never produce such a character, so each delimiter in
//! the output is one that was put in, whatever the texts say and whatever stands beside them.

use std::collections::HashSet;

use super::{ChatError, PromptPart};

/// Private use area B, which models' own tokens leave alone.
const FIRST: char = '\u{100000}';
const LAST: char = '\u{10FFFD}';

#[derive(Debug, Clone, Copy)]
pub(super) struct Marker(char);

impl Marker {
    /// A marker whose delimiter is in none of `texts`.
    pub(super) fn absent_from<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, ChatError> {
        let used: HashSet<char> = texts.flat_map(str::chars).filter(|character| *character >= FIRST).collect();
        (FIRST..=LAST).find(|character| !used.contains(character)).map(Self).ok_or(ChatError::NoMarker)
    }

    /// The marker of number `n`.
    pub(super) fn mark(self, n: usize) -> String {
        format!("{0}{n}{0}", self.0)
    }

    /// Numbers of the markers in `text`, in order.
    pub(super) fn found(self, text: &str) -> Vec<usize> {
        let inside = text.split(self.0).skip(1).step_by(2);
        inside.filter_map(|n| n.parse().ok()).collect()
    }

    /// Cuts `prompt` at the markers, which must be 0 to `expected`, once each and in order.
    pub(super) fn cut(self, prompt: &str, expected: usize) -> Result<Vec<PromptPart>, ChatError> {
        let found = self.found(prompt);
        let delimiters = prompt.matches(self.0).count();
        if delimiters != 2 * expected || !found.iter().copied().eq(0..expected) {
            return Err(ChatError::Pictures { expected, found });
        }
        let mut parts = Vec::with_capacity(2 * expected + 1);
        for (piece, text) in prompt.split(self.0).enumerate() {
            if piece % 2 == 1 {
                parts.push(PromptPart::Picture);
            } else if !text.is_empty() {
                parts.push(PromptPart::Text(text.to_owned()));
            }
        }
        Ok(parts)
    }
}
