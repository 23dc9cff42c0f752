//! A guess at the answer that the model verifies instead of finding it token by token. What it guesses never shows in the
//! answer: each token is drawn from the model's own logits, and a guess only decides which logits are at hand already.

use crate::llama::Token;
use serde::Serialize;
use utoipa::ToSchema;

/// Tokens that are guessed first; doubled while guesses hold, so that a wrong draft costs little.
const FIRST: usize = 8;
/// Tokens that are guessed after an answer came back to its draft.
const RETURNED: usize = 4;
/// Most tokens in one guess.
const MOST: usize = 64;
/// Wrong guesses after which the draft is given up: each costs what a prompt token costs.
const MOST_WRONG: usize = 16;

/// What became of a draft.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct DraftReport {
    /// Tokens that were verified.
    pub offered: usize,
    /// How many of them the model said too.
    pub accepted: usize,
}

/// A drafted answer and how far the real one follows it.
#[derive(Debug)]
pub(super) struct Draft {
    tokens: Vec<Token>,
    /// Where the answer stands in the draft; `None` while it goes its own way.
    at: Option<usize>,
    /// First token of the draft that has not been passed yet.
    passed: usize,
    size: usize,
    report: DraftReport,
}

impl Draft {
    pub fn new(tokens: Vec<Token>) -> Self {
        Self { tokens, at: Some(0), passed: 0, size: FIRST, report: DraftReport::default() }
    }

    /// The tokens to verify next, at most `room`.
    pub fn guess(&self, room: usize) -> &[Token] {
        let Some(at) = self.at.filter(|_| self.report.offered - self.report.accepted < MOST_WRONG) else { return &[] };
        let end = self.tokens.len().min(at.saturating_add(self.size.min(room)));
        self.tokens.get(at..end).unwrap_or(&[])
    }

    /// Notes that `n_guessed` tokens were verified and the answer went on with `said`: as many of the guess as it said, and
    /// the token that comes next, unless the answer ended.
    pub fn verified(&mut self, n_guessed: usize, n_accepted: usize, next: Option<Token>) {
        self.report.offered += n_guessed;
        self.report.accepted += n_accepted;
        if let Some(at) = &mut self.at {
            *at += n_accepted;
            self.passed = *at;
            self.size = if n_accepted < n_guessed { RETURNED } else { (2 * self.size).min(MOST) };
        }
        let Some(next) = next else { return };
        let rest = &self.tokens[self.passed.min(self.tokens.len())..];
        // Whoever inserts, drops or replaces a token often goes on as drafted.
        self.at = rest.iter().position(|&token| token == next).map(|found| self.passed + found + 1);
        if let Some(at) = self.at {
            self.passed = at;
        }
    }

    pub fn report(&self) -> DraftReport {
        self.report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Answers `answer` with the help of a draft; returns the number of batches, and what became of the draft.
    fn answer(answer: &[Token], tokens: &[Token]) -> (usize, DraftReport) {
        let mut draft = Draft::new(tokens.to_vec());
        let (mut said, mut n_batches) = (0, 0);
        while said < answer.len() {
            let guess = draft.guess(answer.len() - said - 1).to_vec();
            let n_accepted = guess.iter().zip(&answer[said..]).take_while(|(a, b)| a == b).count();
            draft.verified(guess.len(), n_accepted, answer.get(said + n_accepted).copied());
            said += n_accepted + 1;
            n_batches += 1;
        }
        (n_batches, draft.report())
    }

    #[test]
    fn a_right_draft_saves_most_batches() {
        let tokens: Vec<Token> = (0..32).collect();
        let (n_batches, report) = answer(&tokens, &tokens);
        assert!(n_batches <= 4, "{n_batches}");
        assert!(report.accepted >= 28 && report.accepted == report.offered, "{report:?}");
    }

    #[test]
    fn a_wrong_draft_costs_one_guess() {
        let (right, wrong): (Vec<Token>, Vec<Token>) = ((0..32).collect(), (100..132).collect());
        assert_eq!(answer(&right, &wrong), (32, DraftReport { offered: FIRST, accepted: 0 }));
    }

    #[test]
    fn an_answer_comes_back_to_its_draft() {
        let drafted: Vec<Token> = (0..20).collect();
        let mut said = drafted.clone();
        said[2] = 50; // replaced
        said.insert(9, 60); // inserted
        said.remove(14); // dropped
        let (n_batches, report) = answer(&said, &drafted);
        assert!(n_batches < said.len() * 3 / 4 && report.accepted > 8, "{n_batches} {report:?}");
    }

    #[test]
    fn without_a_draft_there_is_a_batch_for_each_token() {
        assert_eq!(answer(&[1, 2, 3], &[]), (3, DraftReport::default()));
    }

    #[test]
    fn a_draft_that_misleads_is_given_up() {
        // Every other token is drafted right, so that the answer keeps coming back.
        let said: Vec<Token> = (0..200).collect();
        let drafted: Vec<Token> = said.iter().map(|&token| if token % 2 == 0 { token } else { -1 }).collect();
        let (_, report) = answer(&said, &drafted);
        assert!(report.offered - report.accepted < MOST_WRONG + RETURNED, "{report:?}");
    }

    proptest! {
        #[test]
        fn more_is_never_accepted_than_offered_or_said(
            said in proptest::collection::vec(0..6, 1..40),
            drafted in proptest::collection::vec(0..6, 0..40),
        ) {
            let (n_batches, report) = answer(&said, &drafted);
            prop_assert!(report.accepted <= report.offered);
            prop_assert_eq!(n_batches + report.accepted, said.len());
        }
    }
}
