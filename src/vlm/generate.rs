//! Reading a prompt, answering it, and scoring a given answer.

use super::plan::{Group, Input, plan};
use super::text::TextStream;
use super::{Prepared, Vlm, VlmError};
use crate::guidance::{GuidanceError, Importance, Kept};
use crate::llama::{Batch, Context, LayerMass, LlamaError, Sampler, SamplingOptions, Token, log_probability};
use crate::timing::ms_since;
use serde::Serialize;
use std::time::Instant;

/// The one sequence in use.
const SEQUENCE: i32 = 0;

/// How an answer is made.
#[derive(Debug, Clone, Default)]
pub struct GenerationOptions {
    /// Most tokens to generate (`-n`).
    pub n_predict: usize,
    /// How tokens are drawn.
    pub sampling: SamplingOptions,
    /// Collect the attention on the visual tokens and the answer's log probabilities.
    pub observe: bool,
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
    /// Prompt tokens that were read, after pruning.
    pub n_prompt: usize,
    /// Time to read the prompt.
    pub prefill_ms: f64,
    /// Time to generate.
    pub decode_ms: f64,
}

impl Vlm {
    /// Answers a prepared prompt of which only the `kept` visual tokens are read.
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
        let groups = plan(&prepared.prompt, kept, &[]);
        let n_prompt = n_entries(&groups);
        let context = self.context_for(n_prompt, options.n_predict)?;
        if options.observe {
            context.watch_attention(SEQUENCE, &prepared.prompt.visual_positions());
        }
        let result = generate(context, prepared, !kept.is_all(), &groups, options, on_read, on_text);
        let layers = if options.observe { context.take_attention(SEQUENCE) } else { Vec::new() };
        let mut generation = result?;
        if options.observe {
            generation.importance = Some(importance(prepared, layers)?);
        }
        Ok(generation)
    }

    /// `ln p(x_i | prompt with only the kept visual tokens, x_<i)` for each token of an answer, teacher-forced in one
    /// batch (SEE's consistency pass).
    ///
    /// # Errors
    /// As [`Vlm::answer`].
    pub fn score(&mut self, prepared: &Prepared, kept: &Kept, answer: &[Token]) -> Result<Vec<f64>, VlmError> {
        let tail = answer.split_last().map_or(&[][..], |(_, tail)| tail);
        let groups = plan(&prepared.prompt, kept, tail);
        let context = self.context_for(n_entries(&groups), 0)?;
        let mut answer = answer.iter();
        let mut log_probabilities = Vec::new();
        let mut on_logits = |logits: &[f32]| {
            log_probabilities.extend(answer.next().map(|&token| log_probability(logits, token)));
        };
        let mut feed = Feed::new(context, prepared, !kept.is_all(), false);
        feed.groups(&groups, &mut |_, _| {}, &mut on_logits)?;
        Ok(log_probabilities)
    }

    /// Logits (`[n_vocab]`) after a prompt of which only the `kept` visual tokens are read.
    ///
    /// # Errors
    /// As [`Vlm::answer`].
    pub fn prompt_logits(&mut self, prepared: &Prepared, kept: &Kept) -> Result<Vec<f32>, VlmError> {
        let groups = plan(&prepared.prompt, kept, &[]);
        let context = self.context_for(n_entries(&groups), 0)?;
        let mut last = Vec::new();
        let mut feed = Feed::new(context, prepared, !kept.is_all(), false);
        feed.groups(&groups, &mut |_, _| {}, &mut |logits| last = logits.to_vec())?;
        Ok(last)
    }
}

fn importance(prepared: &Prepared, layers: Vec<LayerMass>) -> Result<Importance, GuidanceError> {
    let mut importance = Importance::new(prepared.prompt.n_visual());
    for LayerMass { layer, mass } in &layers {
        importance.add(*layer, mass)?;
    }
    Ok(importance)
}

fn n_entries(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.entries.len()).sum()
}

fn generate(
    context: &mut Context,
    prepared: &Prepared,
    gaps: bool,
    groups: &[Group],
    options: &GenerationOptions,
    on_read: &mut dyn FnMut(usize, usize),
    on_text: &mut dyn FnMut(&str),
) -> Result<Generation, VlmError> {
    let model = context.model().clone();
    let n_prompt = n_entries(groups);
    let n_predict = options.n_predict.min((context.n_ctx() as usize).saturating_sub(n_prompt));
    let mut sampler = Sampler::new(&options.sampling);
    let mut tokens: Vec<Token> = Vec::new();
    let mut log_probabilities = Vec::new();
    let mut next = |logits: &[f32]| {
        let token = sampler.sample(logits);
        if options.observe {
            log_probabilities.push(log_probability(logits, token));
        }
        token
    };

    let start = Instant::now();
    let mut feed = Feed::new(context, prepared, gaps, options.observe);
    let mut token = None;
    feed.groups(groups, on_read, &mut |logits| token = Some(next(logits)))?;
    let prefill_ms = ms_since(start);
    let mut asked = || importance(prepared, feed.context.attention(SEQUENCE));
    let question_importance = options.observe.then(&mut asked).transpose()?;

    let start = Instant::now();
    let mut text = TextStream::default();
    let mut finish = Finish::Length;
    while let Some(current) = token.take().filter(|_| tokens.len() < n_predict) {
        tokens.push(current);
        if model.is_end(current) {
            finish = Finish::Stop;
            break;
        }
        on_text(text.push(&model.piece(current)));
        if tokens.len() < n_predict {
            let position = prepared.prompt.end + tokens.len() as i32 - 1;
            feed.token(current, position, &mut |logits| token = Some(next(logits)))?;
        }
    }
    on_text(text.finish());
    log_probabilities.truncate(tokens.len());
    let decode_ms = ms_since(start);
    Ok(Generation {
        text: text.text,
        tokens,
        log_probabilities,
        importance: None,
        question_importance,
        finish,
        n_prompt,
        prefill_ms,
        decode_ms,
    })
}

/// Feeds entries through a context, batch by batch.
struct Feed<'a> {
    context: &'a mut Context,
    prepared: &'a Prepared,
    batch: Batch,
    gaps: bool,
    observe: bool,
}

impl<'a> Feed<'a> {
    fn new(context: &'a mut Context, prepared: &'a Prepared, gaps: bool, observe: bool) -> Self {
        let batch = Batch::new(context);
        Self { context, prepared, batch, gaps, observe }
    }

    /// Decodes all groups; `on_logits` gets the logits of each output in order.
    fn groups(
        &mut self,
        groups: &[Group],
        on_read: &mut dyn FnMut(usize, usize),
        on_logits: &mut dyn FnMut(&[f32]),
    ) -> Result<(), LlamaError> {
        let n_all = n_entries(groups);
        let mut n_read = 0;
        for group in groups {
            let n_tokens = group.entries.len();
            let n_ubatch = self.context.n_ubatch();
            if group.non_causal && n_tokens > n_ubatch as usize {
                return Err(LlamaError::BatchTooSmall { n_tokens, n_ubatch });
            }
            self.context.set_causal(!group.non_causal);
            let result = self.group(group, &mut |n| on_read(n_read + n, n_all), on_logits);
            self.context.set_causal(true);
            result?;
            n_read += n_tokens;
        }
        Ok(())
    }

    fn group(
        &mut self,
        group: &Group,
        on_read: &mut dyn FnMut(usize),
        on_logits: &mut dyn FnMut(&[f32]),
    ) -> Result<(), LlamaError> {
        let mut n_read = 0;
        for entries in group.entries.chunks(self.context.n_batch() as usize) {
            self.start_batch();
            for entry in entries {
                let index = match entry.input {
                    Input::Token(token) => self.batch.add_token(token, entry.position.t, SEQUENCE)?,
                    Input::Row(row) => {
                        let row = self.prepared.row(row).unwrap_or(&[]);
                        self.batch.add_embedding(row, entry.position, SEQUENCE)?
                    }
                };
                if entry.output {
                    self.batch.want_logits(index);
                }
                if entry.query && self.observe {
                    self.batch.mark_query(index);
                }
            }
            self.context.decode(&mut self.batch)?;
            for (index, _) in entries.iter().enumerate().filter(|(_, entry)| entry.output) {
                on_logits(self.context.logits(index)?);
            }
            n_read += entries.len();
            on_read(n_read);
        }
        Ok(())
    }

    /// Decodes one generated token.
    fn token(&mut self, token: Token, t: i32, on_logits: &mut dyn FnMut(&[f32])) -> Result<(), LlamaError> {
        self.start_batch();
        let index = self.batch.add_token(token, t, SEQUENCE)?;
        self.batch.want_logits(index);
        if self.observe {
            self.batch.mark_query(index);
        }
        self.context.decode(&mut self.batch)?;
        on_logits(self.context.logits(index)?);
        Ok(())
    }

    fn start_batch(&mut self) {
        self.batch.clear();
        if self.gaps {
            self.batch.allow_position_gaps();
        }
    }
}
