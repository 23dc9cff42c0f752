//! Reading a prompt, answering it, and scoring a given answer.

use super::draft::DraftReport;
use super::reader::{Extent, Note, Task, Turn, fits};
use super::said::{Said, TokenProbability};
use super::speech::{Speech, Spoken};
use super::{Prepared, Prompt, Vlm, VlmError};
use crate::grammar::Grammar;
use crate::guidance::{GuidanceError, Importance, Kept};
use crate::llama::{LayerMass, LlamaError, SamplingOptions, Token};
use serde::Serialize;
use utoipa::ToSchema;

/// How an answer is made.
#[derive(Debug, Clone, Default)]
pub struct GenerationOptions {
    /// Most tokens to generate (`-n`).
    pub n_predict: usize,
    /// How tokens are drawn.
    pub sampling: SamplingOptions,
    /// Texts that end the answer and are not part of it; empty ones are ignored.
    pub stop: Vec<String>,
    /// What the answer must obey.
    pub grammar: Option<Grammar>,
    /// Tell the probability of each token, beside so many of the most probable ones, at most
    /// [`MAX_ALTERNATIVES`](super::MAX_ALTERNATIVES); `None`: no probabilities.
    pub n_alternatives: Option<usize>,
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The model ended it, or a stop string did.
    Stop,
    /// The token limit or the context ended it.
    #[default]
    Length,
}

/// An answer and what was learned while making it.
#[derive(Debug, Clone)]
pub struct Generation {
    /// The answer without special tokens and stop string.
    pub text: String,
    /// All generated tokens, the end token included.
    pub tokens: Vec<Token>,
    /// `ln p` of each token given those before it; empty unless observed.
    pub log_probabilities: Vec<f64>,
    /// The tokens of the text with their probabilities, where they were asked for.
    pub probabilities: Vec<TokenProbability>,
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
    /// `on_read` gets (read, all) prompt tokens, `on_said` each piece of the answer as it becomes complete.
    ///
    /// # Errors
    /// Those of [`Vlm::check_room`] before anything runs; [`VlmError::Llama`] after.
    pub fn answer(
        &mut self,
        prepared: &Prepared,
        kept: &Kept,
        options: &GenerationOptions,
        on_read: &mut dyn FnMut(usize, usize),
        on_said: &mut dyn FnMut(Said),
    ) -> Result<Generation, VlmError> {
        let turn = self.turn(prepared, kept, Task::Answer(Box::new(options.clone())))?;
        let turn = self.desk.take(turn, &mut |note| match note {
            Note::Read { done, all } => on_read(done, all),
            Note::Said(said) => on_said(said),
        })?;
        let Turn { n_prompt, n_held, prefill_ms, decode_ms, question_mass, mass, speech, .. } = turn;
        let importance = |mass| if options.observe { importance(prepared, mass).map(Some) } else { Ok(None) };
        let (question_importance, importance) = (importance(question_mass)?, importance(mass)?);
        let Spoken { text, tokens, log_probabilities, probabilities, finish, draft } =
            speech.map(Speech::finish).unwrap_or_default();
        Ok(Generation {
            text,
            tokens,
            log_probabilities,
            probabilities,
            importance,
            question_importance,
            finish,
            n_prompt,
            n_held,
            draft,
            prefill_ms,
            decode_ms,
        })
    }

    /// Whether a prompt of which only `n_kept` visual tokens are read has room, beside an answer of up to `n_predict`
    /// tokens. Asks nothing of the models, so that no picture is encoded in vain.
    ///
    /// # Errors
    /// [`VlmError::ContextTooSmall`], [`VlmError::PromptTooLong`], [`VlmError::TooFarApart`].
    pub fn check_room(&self, prompt: &Prompt, n_kept: usize, n_predict: usize) -> Result<(), VlmError> {
        let n_prompt = prompt.n_tokens() - prompt.n_visual() + n_kept;
        fits(self.options.n_ctx, self.model.n_ctx_train(), Extent { n_prompt, n_answer: n_predict, end: prompt.end })
    }

    /// `ln p(x_i | prompt with only the kept visual tokens, x_<i)` for each token of an answer, teacher-forced in one
    /// batch (SEE's consistency pass). What the KV cache holds stays there.
    ///
    /// # Errors
    /// As [`Vlm::answer`].
    pub fn score(&mut self, prepared: &Prepared, kept: &Kept, answer: &[Token]) -> Result<Vec<f64>, VlmError> {
        let task = Task::Score { answer: answer.to_vec(), log_probabilities: Vec::new() };
        let turn = self.turn(prepared, kept, task)?;
        match self.desk.take(turn, &mut |_| {})?.task {
            Task::Score { log_probabilities, .. } => Ok(log_probabilities),
            _ => Ok(Vec::new()),
        }
    }

    /// Logits (`[n_vocab]`) after a prompt of which only the `kept` visual tokens are read.
    ///
    /// # Errors
    /// As [`Vlm::answer`].
    pub fn prompt_logits(&mut self, prepared: &Prepared, kept: &Kept) -> Result<Vec<f32>, VlmError> {
        let turn = self.turn(prepared, kept, Task::Logits(Vec::new()))?;
        match self.desk.take(turn, &mut |_| {})?.task {
            Task::Logits(last) => Ok(last),
            _ => Ok(Vec::new()),
        }
    }

    fn turn(&self, prepared: &Prepared, kept: &Kept, task: Task) -> Result<Turn, LlamaError> {
        Turn::new(&self.model, prepared, kept, task, self.cancel.clone())
    }
}

fn importance(prepared: &Prepared, layers: Vec<LayerMass>) -> Result<Importance, GuidanceError> {
    let mut importance = Importance::new(prepared.prompt.n_visual());
    for LayerMass { layer, mass } in &layers {
        importance.add(*layer, mass)?;
    }
    Ok(importance)
}
