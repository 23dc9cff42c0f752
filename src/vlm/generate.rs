//! Reading a prompt, answering it, and scoring a given answer.

use super::draft::{Draft, DraftReport};
use super::feed::{Feed, n_entries};
use super::held::Held;
use super::plan::plan;
use super::text::TextStream;
use super::{Prepared, SEQUENCE, Vlm, VlmError};
use crate::guidance::{GuidanceError, Importance, Kept};
use crate::llama::{LayerMass, Sampler, SamplingOptions, Token, log_probability};
use crate::timing::ms_since;
use serde::Serialize;
use std::time::Instant;

/// How an answer is made.
#[derive(Debug, Clone, Default)]
pub struct GenerationOptions {
    /// Most tokens to generate (`-n`).
    pub n_predict: usize,
    /// How tokens are drawn.
    pub sampling: SamplingOptions,
    /// Collect the attention on the visual tokens and the answer's log probabilities.
    pub observe: bool,
    /// A guess at the answer, verified several tokens at a time. Every token is drawn from the model's own logits as without
    /// it. Not used while observing, nor by models that cannot take tokens back (recurrent ones).
    pub draft: Vec<Token>,
    /// Go on after an end token: answers of a given length, for measurements.
    pub ignore_end: bool,
    /// Read the whole prompt, whatever is held of it: for measurements of single questions.
    pub afresh: bool,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// The token limit or the context ended it.
    Length,
}

/// An answer and what was learned while making it.
#[derive(Debug, Clone)]
pub struct Generation {
    /// The answer without special tokens.
    pub text: String,
    /// All generated tokens, the end token included.
    pub tokens: Vec<Token>,
    /// `ln p` of each token given those before it; empty unless observed.
    pub log_probabilities: Vec<f64>,
    /// Attention on the visual tokens, summed over question and generated tokens; `None` unless observed.
    pub importance: Option<Importance>,
    /// The part of it that is the question's, before any token was generated.
    pub question_importance: Option<Importance>,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt after pruning.
    pub n_prompt: usize,
    /// How many of them were still in the KV cache and not read again.
    pub n_held: usize,
    /// What became of the draft.
    pub draft: DraftReport,
    /// Time to read the prompt, the first guess of the draft included.
    pub prefill_ms: f64,
    /// Time to generate.
    pub decode_ms: f64,
}

impl Vlm {
    /// Answers a prepared prompt of which only the `kept` visual tokens are read; their image chunks must be encoded. What the
    /// KV cache still holds of the prompt's beginning is not read again.
    ///
    /// `on_read` gets (read, all) prompt tokens, `on_text` each piece of the answer as it becomes complete.
    ///
    /// # Errors
    /// [`VlmError::ContextTooSmall`] and [`VlmError::PromptTooLong`] before anything runs; [`VlmError::Llama`] after.
    pub fn answer(
        &mut self,
        prepared: &Prepared,
        kept: &Kept,
        options: &GenerationOptions,
        on_read: &mut dyn FnMut(usize, usize),
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Generation, VlmError> {
        let prompt = &prepared.prompt;
        let n_prompt = n_entries(&plan(prompt, kept, &[]));
        // Scoring reads text and a few visual tokens beside what is held.
        let reserve = if self.scores_apart() {
            prompt.n_tokens() - prompt.n_visual() + prompt.n_visual() / 8 + options.n_predict
        } else {
            0
        };
        self.make_room(n_prompt, options.n_predict, reserve)?;
        let can_cut = !self.model().is_recurrent();
        let (context, held) = self.sequence();
        let n_predict = options.n_predict.min((context.n_ctx() as usize).saturating_sub(n_prompt));
        let mut draft = Draft::new(if options.observe || !can_cut { &[] } else { &options.draft });
        let guess = draft.guess(n_predict.saturating_sub(1));
        let groups = plan(prompt, kept, guess);
        let n_held = if can_cut && !options.afresh { held.in_common(prepared, &groups, options.observe) } else { 0 };
        let n_held = held.cut(context, n_held);
        if options.observe {
            context.watch_attention(SEQUENCE, &prompt.visual_positions());
        }
        let mut feed = Feed::new(context, held, prepared, SEQUENCE, !kept.is_all(), options.observe);
        let start = Instant::now();
        let mut speech = Speech::new(options, n_predict, on_text);
        let result = feed.groups(&groups, n_held, on_read, &mut |logits| speech.hear(logits, guess));
        let prefill_ms = ms_since(start);
        let result = result.map_err(VlmError::from).and_then(|()| {
            let mut asked = || importance(prepared, feed.context.attention(SEQUENCE));
            let question_importance = if options.observe { Some(asked()?) } else { None };
            let start = Instant::now();
            speech.speak(&mut feed, &mut draft, guess.len())?;
            Ok((question_importance, ms_since(start)))
        });
        let layers = if options.observe { feed.context.take_attention(SEQUENCE) } else { Vec::new() };
        let (question_importance, decode_ms) = match result {
            Ok(result) => result,
            Err(error) => {
                held.clear(context);
                return Err(error);
            }
        };
        let importance = if options.observe { Some(importance(prepared, layers)?) } else { None };
        let (text, tokens, log_probabilities, finish) = speech.finish();
        Ok(Generation {
            text,
            tokens,
            log_probabilities,
            importance,
            question_importance,
            finish,
            n_prompt,
            n_held,
            draft: draft.report(),
            prefill_ms,
            decode_ms,
        })
    }

    /// `ln p(x_i | prompt with only the kept visual tokens, x_<i)` for each token of an answer, teacher-forced in one
    /// batch (SEE's consistency pass). What the KV cache holds stays there.
    ///
    /// # Errors
    /// As [`Vlm::answer`].
    pub fn score(&mut self, prepared: &Prepared, kept: &Kept, answer: &[Token]) -> Result<Vec<f64>, VlmError> {
        let tail = answer.split_last().map_or(&[][..], |(_, tail)| tail);
        let mut answer = answer.iter();
        let mut log_probabilities = Vec::new();
        self.read_apart(prepared, kept, tail, &mut |logits| {
            log_probabilities.extend(answer.next().map(|&token| log_probability(logits, token)));
        })?;
        Ok(log_probabilities)
    }

    /// Logits (`[n_vocab]`) after a prompt of which only the `kept` visual tokens are read.
    ///
    /// # Errors
    /// As [`Vlm::answer`].
    pub fn prompt_logits(&mut self, prepared: &Prepared, kept: &Kept) -> Result<Vec<f32>, VlmError> {
        let mut last = Vec::new();
        self.read_apart(prepared, kept, &[], &mut |logits| last = logits.to_vec())?;
        Ok(last)
    }

    /// Reads a prompt and what follows it without touching what is held, where there is a sequence to spare and room.
    fn read_apart(
        &mut self,
        prepared: &Prepared,
        kept: &Kept,
        tail: &[Token],
        on_logits: &mut dyn FnMut(&[f32]),
    ) -> Result<(), VlmError> {
        const APART: i32 = SEQUENCE + 1;
        let groups = plan(&prepared.prompt, kept, tail);
        let n_all = n_entries(&groups);
        let apart = self.scores_apart();
        let n_held = if apart { self.held.len() } else { 0 };
        let fits = self.context.as_ref().is_some_and(|context| n_held + n_all <= context.n_ctx() as usize);
        self.make_room(n_all, 0, 0)?;
        let can_cut = !self.model().is_recurrent();
        let (context, held) = self.sequence();
        if !(apart && fits) {
            held.clear(context);
        }
        let mut read = Held::default();
        let mut n_shared = 0;
        if apart && can_cut {
            n_shared = held.in_common(prepared, &groups, false);
            held.share(context, APART, n_shared);
        }
        let sequence = if apart { APART } else { SEQUENCE };
        let mut feed = Feed::new(context, &mut read, prepared, sequence, !kept.is_all(), false);
        let result = feed.groups(&groups, n_shared, &mut |_, _| {}, on_logits);
        context.forget(sequence);
        Ok(result?)
    }
}

/// The answer as it is drawn.
struct Speech<'a> {
    sampler: Sampler,
    options: &'a GenerationOptions,
    n_predict: usize,
    on_text: &'a mut dyn FnMut(&str),
    tokens: Vec<Token>,
    log_probabilities: Vec<f64>,
    text: TextStream,
    finish: Finish,
    /// Tokens drawn from the last batch: those of the guess that were right, then one more.
    drawn: Vec<Token>,
    /// No more tokens can be drawn from the last batch: the guess was wrong from here on.
    astray: bool,
}

impl<'a> Speech<'a> {
    fn new(options: &'a GenerationOptions, n_predict: usize, on_text: &'a mut dyn FnMut(&str)) -> Self {
        Self {
            sampler: Sampler::new(&options.sampling),
            options,
            n_predict,
            on_text,
            tokens: Vec::new(),
            log_probabilities: Vec::new(),
            text: TextStream::default(),
            finish: Finish::Length,
            drawn: Vec::new(),
            astray: false,
        }
    }

    /// Draws the next token, unless the tokens that these logits follow were guessed wrong.
    fn hear(&mut self, logits: &[f32], guess: &[Token]) {
        if self.astray {
            return;
        }
        let token = self.sampler.sample(logits);
        if self.options.observe {
            self.log_probabilities.push(log_probability(logits, token));
        }
        self.astray = guess.get(self.drawn.len()) != Some(&token);
        self.drawn.push(token);
    }

    /// Goes on from what was drawn after the prompt and `n_guessed` tokens of the draft.
    fn speak(&mut self, feed: &mut Feed<'_>, draft: &mut Draft<'_>, mut n_guessed: usize) -> Result<(), VlmError> {
        let model = feed.context.model().clone();
        let is_end = |token| !self.options.ignore_end && model.is_end(token);
        loop {
            let drawn = std::mem::take(&mut self.drawn);
            // The guess holds no end, so that the last token drawn is always one that was not read yet.
            let n_accepted = drawn.len().saturating_sub(1).min(n_guessed);
            feed.take_back(n_guessed - n_accepted);
            draft.verified(n_guessed, n_accepted, drawn.last().copied());
            let mut ended = drawn.is_empty();
            for token in drawn {
                if self.tokens.len() == self.n_predict {
                    break;
                }
                self.tokens.push(token);
                if is_end(token) {
                    self.finish = Finish::Stop;
                    ended = true;
                    break;
                }
                (self.on_text)(self.text.push(&model.piece(token)));
            }
            let room = self.n_predict.saturating_sub(self.tokens.len());
            let Some(&last) = self.tokens.last().filter(|_| !ended && room > 0) else { break };
            let guess = draft.guess((room - 1).min(feed.context.n_batch() as usize - 1));
            n_guessed = guess.len();
            self.astray = false;
            let position = feed.prepared.prompt.end + self.tokens.len() as i32 - 1;
            feed.tokens(last, guess, position, &mut |logits| self.hear(logits, guess))?;
        }
        self.log_probabilities.truncate(self.tokens.len());
        (self.on_text)(self.text.finish());
        Ok(())
    }

    fn finish(self) -> (String, Vec<Token>, Vec<f64>, Finish) {
        (self.text.text, self.tokens, self.log_probabilities, self.finish)
    }
}

fn importance(prepared: &Prepared, layers: Vec<LayerMass>) -> Result<Importance, GuidanceError> {
    let mut importance = Importance::new(prepared.prompt.n_visual());
    for LayerMass { layer, mass } in &layers {
        importance.add(*layer, mass)?;
    }
    Ok(importance)
}
