//! An answer as it is drawn, from logits to text.

use super::Finish;
use super::GenerationOptions;
use super::draft::{Draft, DraftReport};
use super::said::{Said, Saying, TokenProbability};
use crate::llama::{LlamaError, Model, Sampler, Token, log_probability};
use std::sync::Arc;

/// An answer in the making. After each batch [`Speech::hear`] gets the logits of its outputs, then [`Speech::go_on`] says what
/// to read next.
pub(super) struct Speech {
    model: Arc<Model>,
    sampler: Sampler,
    /// Most tokens.
    n_predict: usize,
    ignore_end: bool,
    observe: bool,
    n_alternatives: Option<usize>,
    draft: Draft,
    /// What the last batch guessed.
    guess: Vec<Token>,
    /// Tokens drawn from the last batch: those of the guess that were right, then one more.
    drawn: Vec<(Token, Option<TokenProbability>)>,
    /// No more tokens can be drawn from the last batch: the guess was wrong from here on.
    astray: bool,
    failed: Option<LlamaError>,
    saying: Saying,
    tokens: Vec<Token>,
    log_probabilities: Vec<f64>,
    probabilities: Vec<TokenProbability>,
    finish: Finish,
}

/// What the next batch reads.
pub(super) struct Next {
    /// Guessed tokens at the end of what was read that are to be taken back.
    pub n_wrong: usize,
    /// The last token said, and a guess at what follows it; `None` when the answer has ended.
    pub token: Option<Token>,
}

/// What is left of an answer that has ended.
#[derive(Default)]
pub(super) struct Spoken {
    pub text: String,
    pub tokens: Vec<Token>,
    pub log_probabilities: Vec<f64>,
    pub probabilities: Vec<TokenProbability>,
    pub finish: Finish,
    pub draft: DraftReport,
}

impl Speech {
    /// An answer of at most `n_predict` tokens; `can_draft` tells whether guessed tokens can be taken back.
    pub fn new(
        model: &Arc<Model>,
        options: &GenerationOptions,
        n_predict: usize,
        can_draft: bool,
    ) -> Result<Self, LlamaError> {
        let sampler = Sampler::new(&options.sampling);
        let sampler = match &options.grammar {
            Some(grammar) => sampler.with_grammar(model, grammar)?,
            None => sampler,
        };
        let draft = if options.observe || !can_draft { Vec::new() } else { options.draft.clone() };
        let mut speech = Self {
            model: model.clone(),
            sampler,
            n_predict,
            ignore_end: options.ignore_end,
            observe: options.observe,
            n_alternatives: options.n_alternatives,
            draft: Draft::new(draft),
            guess: Vec::new(),
            drawn: Vec::new(),
            astray: false,
            failed: None,
            saying: Saying::new(&options.stop),
            tokens: Vec::new(),
            log_probabilities: Vec::new(),
            probabilities: Vec::new(),
            finish: Finish::Length,
        };
        speech.guess = speech.draft.guess(n_predict.saturating_sub(1)).to_vec();
        Ok(speech)
    }

    /// What the next batch guesses.
    pub fn guess(&self) -> &[Token] {
        &self.guess
    }

    /// Shortens the guess of the next batch, if there is no room for more.
    pub fn guess_at_most(&mut self, n: usize) {
        self.guess.truncate(n);
    }

    /// Number of tokens said.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Draws the next token, unless the tokens that these logits follow were guessed wrong.
    pub fn hear(&mut self, logits: &[f32]) {
        if self.astray || self.failed.is_some() {
            return;
        }
        let token = match self.sampler.sample(logits) {
            Ok(token) => token,
            Err(error) => {
                self.failed = Some(error);
                return;
            }
        };
        if self.observe {
            self.log_probabilities.push(log_probability(logits, token));
        }
        self.astray = self.guess.get(self.drawn.len()) != Some(&token);
        let probability = self.n_alternatives.map(|n| TokenProbability::of(&self.model, logits, token, n));
        self.drawn.push((token, probability));
    }

    /// Goes on from what was drawn; `said` gets what became complete.
    ///
    /// # Errors
    /// [`LlamaError::Grammar`] when nothing could be drawn.
    pub fn go_on(&mut self, said: &mut dyn FnMut(Said)) -> Result<Next, LlamaError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let drawn = std::mem::take(&mut self.drawn);
        let n_guessed = self.guess.len();
        // The last token drawn is always one that was not read yet, unless it ends a grammar in the middle of the guess.
        let n_accepted = drawn.len().saturating_sub(1).min(n_guessed);
        self.draft.verified(n_guessed, n_accepted, drawn.last().map(|(token, _)| *token));
        let mut ended = drawn.is_empty();
        for (token, probability) in drawn {
            if self.tokens.len() == self.n_predict {
                break;
            }
            self.tokens.push(token);
            if !self.ignore_end && self.model.is_end(token) {
                self.finish = Finish::Stop;
                ended = true;
                break;
            }
            self.say(said, |saying, model| saying.push(&model.piece(token), probability));
            if self.saying.has_stopped() {
                self.finish = Finish::Stop;
                ended = true;
                break;
            }
        }
        let room = self.n_predict.saturating_sub(self.tokens.len());
        let token = self.tokens.last().copied().filter(|_| !ended && room > 0);
        self.astray = false;
        self.guess.clear();
        if token.is_some() {
            self.guess.extend(self.draft.guess(room - 1));
        } else {
            self.log_probabilities.truncate(self.tokens.len());
            self.say(said, |saying, _| saying.finish());
        }
        Ok(Next { n_wrong: n_guessed - n_accepted, token })
    }

    /// What came of it.
    pub fn finish(self) -> Spoken {
        Spoken {
            text: self.saying.text().to_owned(),
            tokens: self.tokens,
            log_probabilities: self.log_probabilities,
            probabilities: self.probabilities,
            finish: self.finish,
            draft: self.draft.report(),
        }
    }

    fn say(&mut self, said: &mut dyn FnMut(Said), next: impl FnOnce(&mut Saying, &Model) -> Said) {
        let piece = next(&mut self.saying, &self.model);
        self.probabilities.extend(piece.tokens.iter().cloned());
        if !piece.text.is_empty() || !piece.tokens.is_empty() {
            said(piece);
        }
    }
}
