//! An answer as it is handed out: text, and the tokens that it comes from with their probabilities.

use super::stop::UntilStop;
use super::text::TextStream;
use crate::llama::{Model, Token, log_probabilities, most_probable_tokens};
use serde::Serialize;
use std::collections::VecDeque;

/// Most alternatives of a token.
pub const MAX_ALTERNATIVES: usize = 20;

/// A piece of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    /// Whole characters.
    pub text: String,
    /// The tokens that ended in it, where probabilities were asked for. A token that a stop string cuts is among them, later
    /// ones and the end token are not.
    pub tokens: Vec<TokenProbability>,
}

/// A token of an answer with its probability by the model's own distribution, before temperature, limits and grammar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenProbability {
    /// Its number.
    pub token: Token,
    /// What it stands for; maybe a part of a character.
    pub bytes: Vec<u8>,
    /// `ln p` of it, given what comes before.
    pub log_probability: f64,
    /// The most probable tokens in its place, itself among them if it is one of them.
    pub alternatives: Vec<Alternative>,
}

/// A token that could have been said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alternative {
    /// Its number.
    pub token: Token,
    /// What it stands for.
    pub bytes: Vec<u8>,
    /// `ln p` of it, given what comes before.
    pub log_probability: f64,
}

impl TokenProbability {
    /// Of `token` under `logits` (`[n_vocab]`), with the `n` most probable tokens.
    pub(super) fn of(model: &Model, logits: &[f32], token: Token, n: usize) -> Self {
        let log_probability = log_probabilities(logits);
        let alternative =
            |token| Alternative { token, bytes: model.name(token), log_probability: log_probability(token) };
        let alternatives = most_probable_tokens(logits, n.min(MAX_ALTERNATIVES)).into_iter().map(alternative).collect();
        let Alternative { token, bytes, log_probability } = alternative(token);
        Self { token, bytes, log_probability, alternatives }
    }
}

/// From tokens to what is handed out.
#[derive(Default)]
pub(super) struct Saying {
    bytes: TextStream,
    text: UntilStop,
    /// Tokens that are not handed out yet: where they begin and end in the text.
    waiting: VecDeque<(usize, usize, TokenProbability)>,
}

impl Saying {
    pub fn new(stops: &[String]) -> Self {
        Self { text: UntilStop::new(stops), ..Self::default() }
    }

    /// Adds a token.
    pub fn push(&mut self, bytes: &[u8], probability: Option<TokenProbability>) -> Said {
        let start = self.bytes.text.len();
        let text = self.text.push(self.bytes.push(bytes)).to_owned();
        if let Some(probability) = probability {
            // A character that is not complete yet ends later.
            let end = self.bytes.text.len() + usize::from(self.bytes.is_within_character());
            self.waiting.push_back((start, end, probability));
        }
        self.with_tokens(text)
    }

    /// Ends the answer.
    pub fn finish(&mut self) -> Said {
        let mut text = self.text.push(self.bytes.finish()).to_owned();
        text.push_str(self.text.finish());
        let mut said = self.with_tokens(text);
        let n_text = self.text.text().len();
        let cut = self.waiting.drain(..).filter(|(start, ..)| *start < n_text || !self.text.has_stopped());
        said.tokens.extend(cut.map(|(.., token)| token));
        said
    }

    /// Whether a stop string has ended the answer.
    pub fn has_stopped(&self) -> bool {
        self.text.has_stopped()
    }

    /// The answer, what is held back of it included.
    pub fn text(&self) -> &str {
        self.text.text()
    }

    fn with_tokens(&mut self, text: String) -> Said {
        let n_out = self.text.n_out();
        let mut tokens = Vec::new();
        while self.waiting.front().is_some_and(|(_, end, _)| *end <= n_out) {
            tokens.extend(self.waiting.pop_front().map(|(.., token)| token));
        }
        Said { text, tokens }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(token: Token) -> Option<TokenProbability> {
        Some(TokenProbability { token, bytes: Vec::new(), log_probability: -1.0, alternatives: Vec::new() })
    }

    /// Text and tokens of each piece.
    fn said(stops: &[&str], pieces: &[&[u8]]) -> Vec<(String, Vec<Token>)> {
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut saying = Saying::new(&stops);
        let mut all: Vec<Said> = (0..).zip(pieces).map(|(n, bytes)| saying.push(bytes, token(n))).collect();
        all.push(saying.finish());
        all.into_iter().map(|said| (said.text, said.tokens.iter().map(|token| token.token).collect())).collect()
    }

    fn piece(text: &str, tokens: &[Token]) -> (String, Vec<Token>) {
        (text.to_owned(), tokens.to_vec())
    }

    #[test]
    fn tokens_come_with_the_text_that_they_complete() {
        let euro = "€".as_bytes();
        let pieces = said(&[], &[b"a", &euro[..1], &euro[1..], b"", b"b"]);
        let expected =
            [piece("a", &[0]), piece("", &[]), piece("€", &[1, 2]), piece("", &[3]), piece("b", &[4]), piece("", &[])];
        assert_eq!(pieces, expected);
    }

    #[test]
    fn tokens_of_what_is_held_back_are_held_back() {
        let pieces = said(&["END"], &[b"x", b"E", b"N", b"y"]);
        assert_eq!(
            pieces,
            [piece("x", &[0]), piece("", &[]), piece("", &[]), piece("ENy", &[1, 2, 3]), piece("", &[])]
        );
        let pieces = said(&["END"], &[b"x", b"yE", b"N", b"D", b"z"]);
        assert_eq!(
            pieces,
            [piece("x", &[0]), piece("y", &[]), piece("", &[]), piece("", &[]), piece("", &[]), piece("", &[1])]
        );
    }

    #[test]
    fn what_never_becomes_a_character_is_replaced_at_the_end() {
        assert_eq!(said(&[], &[b"\xf0"]), [piece("", &[]), piece("\u{fffd}", &[0])]);
    }
}
