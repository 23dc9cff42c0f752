//! One prompt on its way through a model, batch by batch, and the answer or the scores that come of it.

use super::schedule::Demand;
use crate::guidance::Kept;
use crate::llama::{Batch, LayerMass, LlamaError, Model, Position, Token, log_probability};
use crate::timing::ms_since;
use crate::vlm::held::{Held, Item};
use crate::vlm::plan::{Entry, Group, Input, follow, n_entries, plan};
use crate::vlm::prepare::Images;
use crate::vlm::said::Said;
use crate::vlm::speech::Speech;
use crate::vlm::{GenerationOptions, Prepared};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What is done with a prompt once it is read.
pub(in crate::vlm) enum Task {
    /// It is answered.
    Answer(Box<GenerationOptions>),
    /// A given answer is scored: `ln p` of each of its tokens.
    Score { answer: Vec<Token>, log_probabilities: Vec<f64> },
    /// The logits behind it are wanted.
    Logits(Vec<f32>),
}

/// What happens while a turn is taken.
pub(in crate::vlm) enum Note {
    /// Prompt tokens that were read.
    Read { done: usize, all: usize },
    /// A piece of the answer.
    Said(Said),
}

/// A prompt, how far it has been read, and what comes of it.
pub(in crate::vlm) struct Turn {
    pub task: Task,
    /// The answer, once the turn has begun.
    pub speech: Option<Speech>,
    /// Tokens of the prompt.
    pub n_prompt: usize,
    /// How many of them did not have to be read.
    pub n_held: usize,
    /// Attention when the prompt was read, and at the end.
    pub question_mass: Vec<LayerMass>,
    pub mass: Vec<LayerMass>,
    pub prefill_ms: f64,
    pub decode_ms: f64,
    pub cancel: Arc<AtomicBool>,
    pub notes: Vec<Note>,
    images: Images,
    groups: Vec<Group>,
    /// Position of each visual token.
    positions: Vec<Position>,
    /// Position of the first token behind the prompt.
    end: i32,
    /// Cells that scoring the answer will need.
    reserve: usize,
    /// Whether tokens are missing between others.
    has_gaps: bool,
    /// Group that is being read, and entries of it that are.
    at: (usize, usize),
    n_read: usize,
    /// The token to read next, of an answer.
    next: Option<Token>,
    is_done: bool,
    since: Instant,
}

impl Turn {
    /// A prompt of which only the `kept` visual tokens are read.
    ///
    /// # Errors
    /// [`LlamaError::InvalidBatch`] when the image chunk of one of them is not encoded.
    pub fn new(
        model: &Model,
        prepared: &Prepared,
        kept: &Kept,
        task: Task,
        cancel: Arc<AtomicBool>,
    ) -> Result<Self, LlamaError> {
        let prompt = &prepared.prompt;
        let mut groups = plan(prompt, kept, &[], model.takes_mixed_batches());
        let n_prompt = n_entries(&groups);
        if let Task::Score { answer, .. } = &task {
            follow(&mut groups, prompt.end, answer.split_last().map_or(&[], |(_, others)| others));
        }
        let is_missing = |entry: &Entry| matches!(entry.input, Input::Row(row) if prepared.row(row).is_none());
        if groups.iter().flat_map(|group| &group.entries).any(is_missing) {
            let reason = "a visual token is kept whose picture is not encoded".to_owned();
            return Err(LlamaError::InvalidBatch { n_tokens: n_prompt, reason });
        }
        // Scoring reads text and a few visual tokens beside what is held.
        let reserve = prompt.n_tokens() - prompt.n_visual() + prompt.n_visual() / 8;
        Ok(Self {
            task,
            speech: None,
            n_prompt,
            n_held: 0,
            question_mass: Vec::new(),
            mass: Vec::new(),
            prefill_ms: 0.0,
            decode_ms: 0.0,
            cancel,
            notes: Vec::new(),
            images: prepared.images.clone(),
            groups,
            positions: prompt.visual_positions(),
            end: prompt.end,
            reserve,
            has_gaps: !kept.is_all(),
            at: (0, 0),
            n_read: 0,
            next: None,
            is_done: false,
            since: Instant::now(),
        })
    }

    fn options(&self) -> Option<&GenerationOptions> {
        if let Task::Answer(options) = &self.task { Some(options) } else { None }
    }

    /// Whether attention on the visual tokens is collected.
    pub fn is_observed(&self) -> bool {
        self.options().is_some_and(|options| options.observe)
    }

    /// Whether what is held of the prompt may be used.
    pub fn can_reuse(&self) -> bool {
        self.options().is_none_or(|options| !options.afresh)
    }

    /// Whether the sequence is to be as it was before.
    pub fn is_apart(&self) -> bool {
        self.options().is_none()
    }

    /// Tokens of the answer that were asked for.
    pub fn n_answer(&self) -> usize {
        self.options().map_or(0, |options| options.n_predict)
    }

    /// Entries that are read for sure.
    pub fn n_entries(&self) -> usize {
        n_entries(&self.groups)
    }

    /// Position behind the prompt, in the cache's own count.
    pub fn end(&self) -> i32 {
        self.end
    }

    /// Cells that scoring the answer will need beside its own.
    pub fn reserve(&self) -> usize {
        if self.is_apart() { 0 } else { self.reserve.saturating_add(self.n_answer()) }
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    pub fn is_done(&self) -> bool {
        self.is_done
    }

    pub fn has_gaps(&self) -> bool {
        self.has_gaps
    }

    /// Position of entry number `n` of the prompt.
    pub fn position(&self, n: usize) -> i32 {
        self.groups.iter().flat_map(|group| &group.entries).nth(n).map_or(self.end, |entry| entry.position.t)
    }

    /// How much of the prompt `held` begins with.
    pub fn in_common(&self, held: &Held) -> usize {
        held.in_common(&self.images, &self.groups, self.is_observed())
    }

    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// Prepares the answer, of at most `n_most` tokens; `can_cut` tells whether tokens can be taken back. Groups that are read
    /// in one piece have to fit `n_ubatch`.
    pub fn begin(&mut self, model: &Arc<Model>, n_most: usize, n_ubatch: u32, can_cut: bool) -> Result<(), LlamaError> {
        self.since = Instant::now();
        let largest = self.groups.iter().filter(|group| group.non_causal).map(|group| group.entries.len()).max();
        if let Some(n_tokens) = largest.filter(|&n| n > n_ubatch as usize) {
            return Err(LlamaError::BatchTooSmall { n_tokens, n_ubatch });
        }
        if let Task::Answer(options) = &self.task {
            let speech = Speech::new(model, options, options.n_predict.min(n_most), can_cut)?;
            follow(&mut self.groups, self.end, speech.guess());
            self.speech = Some(speech);
        }
        Ok(())
    }

    /// Goes on behind the first `n_held` entries.
    pub fn skip(&mut self, n_held: usize) {
        self.n_held = n_held;
        self.pass(n_held);
    }

    /// What can be used of the next batch.
    pub fn demand(&self) -> Demand {
        match (self.groups.get(self.at.0), &self.speech) {
            (Some(group), _) => Demand::Read { n: group.entries.len() - self.at.1, whole: group.non_causal },
            (None, Some(speech)) => Demand::Speak { n_guess: speech.guess().len() },
            (None, None) => Demand::Read { n: 0, whole: false },
        }
    }

    /// Whether the tokens of the next batch see each other.
    pub fn is_causal(&self) -> bool {
        self.groups.get(self.at.0).is_none_or(|group| !group.non_causal)
    }

    /// The next `n` entries.
    pub fn entries(&mut self, n: usize) -> Vec<Entry> {
        if let Some(group) = self.groups.get(self.at.0) {
            return group.entries[self.at.1..self.at.1 + n].to_vec();
        }
        let (Some(speech), Some(token)) = (&mut self.speech, self.next) else { return Vec::new() };
        speech.guess_at_most(n.saturating_sub(1));
        let mut said = Vec::new();
        let mut tokens = vec![token];
        tokens.extend(speech.guess());
        follow(&mut said, self.end + speech.len() as i32 - 1, &tokens);
        said.pop().map(|group| group.entries).unwrap_or_default()
    }

    /// Adds an entry to a batch and returns its index there.
    pub fn add(&self, entry: &Entry, batch: &mut Batch, sequence: i32) -> Result<usize, LlamaError> {
        let index = match entry.input {
            Input::Token(token) => batch.add_token(token, entry.position.t, sequence)?,
            Input::Row(row) => batch.add_embedding(self.images.row(row).unwrap_or(&[]), entry.position, sequence)?,
        };
        if entry.output {
            batch.want_logits(index);
        }
        if entry.query && self.is_observed() {
            batch.mark_query(index);
        }
        Ok(index)
    }

    /// What an entry is, in terms that other prompts share.
    pub fn item(&self, entry: &Entry) -> Item {
        self.images.item(entry.input)
    }

    /// Takes the logits of an output.
    pub fn hear(&mut self, logits: &[f32]) {
        if let Some(speech) = &mut self.speech {
            speech.hear(logits);
        }
        match &mut self.task {
            Task::Answer(_) => {}
            Task::Score { answer, log_probabilities } => {
                log_probabilities
                    .extend(answer.get(log_probabilities.len()).map(|&token| log_probability(logits, token)));
            }
            Task::Logits(last) => *last = logits.to_vec(),
        }
    }

    /// Goes on from `n` entries that were read. Returns how many of the last ones are to be taken back, and whether the prompt has
    /// just come to its end.
    pub fn go_on(&mut self, n: usize) -> Result<(usize, bool), LlamaError> {
        let was_reading = self.at.0 < self.groups.len();
        if was_reading {
            self.pass(n);
            self.notes.push(Note::Read { done: self.n_read - self.n_held, all: self.n_entries() - self.n_held });
            if self.at.0 < self.groups.len() {
                return Ok((0, false));
            }
            self.prefill_ms = ms_since(self.since);
            self.since = Instant::now();
        }
        let Some(speech) = &mut self.speech else {
            self.is_done = true;
            return Ok((0, was_reading));
        };
        let notes = &mut self.notes;
        let next = speech.go_on(&mut |said| notes.push(Note::Said(said)))?;
        self.next = next.token;
        self.is_done = next.token.is_none();
        self.decode_ms = ms_since(self.since);
        Ok((next.n_wrong, was_reading))
    }

    fn pass(&mut self, mut n: usize) {
        self.n_read += n;
        while let Some(group) = self.groups.get(self.at.0) {
            let here = n.min(group.entries.len() - self.at.1);
            self.at.1 += here;
            n -= here;
            if self.at.1 < group.entries.len() {
                break;
            }
            self.at = (self.at.0 + 1, 0);
        }
    }
}
