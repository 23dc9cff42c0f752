//! The text model at work: prompts of several requests in sequences of one context, read and answered together, batch by batch.
//!
//! A prompt is a [`Turn`]. It waits until there is a sequence and room in the cache, is admitted in the order of its coming, has
//! a part in batches until it is answered, and leaves what was read in its sequence, for the next prompt that begins alike.
//! With one turn at a time this is the plain way through a model, bit for bit.

mod room;
mod schedule;
mod turn;
mod worker;

pub(super) use room::{Extent, fits};
pub(super) use turn::{Note, Task, Turn};
pub(super) use worker::Desk;

use self::room::{Cells, most_positions};
use self::schedule::{Limits, share_out};
use super::VlmError;
use super::held::Held;
use super::processor::{Processor, run_on};
use crate::llama::{Batch, Context, ContextOptions, LlamaError, Memory, Model};
use std::collections::VecDeque;
use std::sync::Arc;

/// Most turns at once: llama.cpp has 256 sequences, and each turn may need two.
pub const MAX_PARALLEL: usize = 128;

/// How a reader's context is made.
pub(super) struct ReaderOptions {
    /// `n_ctx` and what concerns sequences in it are not used.
    pub context: ContextOptions,
    /// Cells of the cache; `None`: they grow with the prompts.
    pub n_ctx: Option<u32>,
    /// Make more room than is needed, since more will be.
    pub is_conversation: bool,
    /// Turns at once.
    pub n_parallel: usize,
    /// Whether each turn may be followed by a score of its own.
    pub scores: bool,
}

/// A text model, its context and who uses it.
pub(super) struct Reader {
    model: Arc<Model>,
    options: ReaderOptions,
    open: Option<(Context, Batch)>,
    sequences: Vec<Sequence>,
    waiting: VecDeque<(TurnId, Turn)>,
    active: Vec<Active>,
    next_id: TurnId,
    clock: u64,
    /// The last batch was one picture's own.
    after_whole: bool,
    processor: Option<Processor>,
}

pub(super) type TurnId = u64;

struct Sequence {
    held: Held,
    is_busy: bool,
    /// When it was used last.
    used: u64,
}

struct Active {
    id: TurnId,
    turn: Turn,
    /// Index in `sequences`.
    sequence: usize,
    /// Cells that it needs at most.
    n_cells: usize,
    failed: Option<VlmError>,
}

/// A turn that has ended.
pub(super) struct Ended {
    pub id: TurnId,
    pub notes: Vec<Note>,
    pub result: Result<Turn, VlmError>,
}

impl Ended {
    fn failed(id: TurnId, mut turn: Turn, error: VlmError) -> Self {
        Self { id, notes: std::mem::take(&mut turn.notes), result: Err(error) }
    }
}

impl Reader {
    pub fn new(model: &Arc<Model>, options: ReaderOptions) -> Self {
        let mut reader = Self {
            model: model.clone(),
            options,
            open: None,
            sequences: Vec::new(),
            waiting: VecDeque::new(),
            active: Vec::new(),
            next_id: 0,
            clock: 0,
            after_whole: false,
            processor: None,
        };
        reader.set_parallel(1);
        reader
    }

    /// Takes `n` turns at once from now on. What was read is forgotten.
    pub fn set_parallel(&mut self, n: usize) {
        // llama.cpp reserves an output for each sequence.
        let most = self.options.context.n_batch.min(self.options.context.n_ubatch).max(1) as usize;
        let n_parallel = n.clamp(1, most.div_ceil(2)).min(MAX_PARALLEL);
        // A score has a sequence of its own, in the cells of what it begins with.
        let n_sequences = if self.options.scores { (2 * n_parallel).min(most) } else { n_parallel };
        self.options.n_parallel = n_parallel;
        self.close();
        let sequence = |n| Sequence { held: Held::new(n), is_busy: false, used: 0 };
        self.sequences = (0..n_sequences as i32).map(sequence).collect();
    }

    /// Has computations run on the processor's thread.
    pub fn set_processor(&mut self, processor: Option<Processor>) {
        self.processor = processor;
    }

    /// Queues a turn.
    pub fn submit(&mut self, turn: Turn) -> TurnId {
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.push_back((id, turn));
        id
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.active.is_empty()
    }

    /// Memory of the context; zero before the first turn.
    pub fn memory(&self) -> Memory {
        self.open.as_ref().map(|(context, _)| context.memory()).unwrap_or_default()
    }

    /// Forgets what was read in sequences that nobody uses.
    pub fn forget(&mut self) {
        if let Some((context, _)) = &mut self.open {
            self.sequences.iter_mut().filter(|sequence| !sequence.is_busy).for_each(|s| s.held.clear(context));
        }
    }

    /// Runs a token, so that the first turn need not wait for weights and kernels.
    pub fn warm_up(&mut self) -> Result<(), VlmError> {
        let n_ctx = self.options.room(Extent { n_prompt: 1, n_answer: 0, end: 1 }, 0, self.model.n_ctx_train())?.least;
        self.reopen(n_ctx)?;
        let Some((context, batch)) = &mut self.open else { return Ok(()) };
        batch.clear();
        let index = batch.add_token(0, 0, 0)?;
        batch.want_logits(index);
        context.decode(batch)?;
        context.logits(index)?; // waits for the device
        context.forget(0);
        Ok(())
    }

    /// Stops a turn that nobody waits for any more.
    pub fn give_up(&mut self, id: TurnId) {
        if let Some(active) = self.active.iter_mut().find(|active| active.id == id) {
            active.failed = Some(LlamaError::Cancelled.into());
        }
    }

    /// Ends all turns and begins anew, after a bug.
    pub fn start_over(&mut self) -> Vec<Ended> {
        self.close();
        let active = std::mem::take(&mut self.active).into_iter().map(|active| (active.id, active.turn));
        let all = active.chain(std::mem::take(&mut self.waiting));
        let error = || LlamaError::Compute { reason: "a bug stopped the model; it was started anew".to_owned() };
        all.map(|(id, turn)| Ended::failed(id, turn, error().into())).collect()
    }

    /// Notes of turns that go on.
    pub fn notes(&mut self, mut on_note: impl FnMut(TurnId, Note)) {
        for active in &mut self.active {
            active.turn.notes.drain(..).for_each(|note| on_note(active.id, note));
        }
    }

    /// Admits whom there is room for, computes one batch, and returns the turns that have ended.
    pub fn step(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        for active in self.active.iter_mut().filter(|active| active.turn.is_cancelled()) {
            active.failed = Some(LlamaError::Cancelled.into());
        }
        self.dismiss(&mut ended);
        self.admit(&mut ended);
        let demands: Vec<_> = self.active.iter().map(|active| active.turn.demand()).collect();
        if let Some((context, _)) = &self.open {
            let (n_batch, n_ubatch) = (context.n_batch() as usize, context.n_ubatch() as usize);
            // Cells behind a sliding window go to whoever comes next, also when the window moved for a guess that is then taken
            // back: nobody comes next within what is computed at once.
            let is_narrow = context.window() > 0 && self.options.n_parallel > 1;
            let limits = Limits { n_batch: if is_narrow { n_ubatch } else { n_batch }, n_ubatch };
            let shares = share_out(&demands, limits, self.after_whole);
            let parts: Vec<_> = shares.into_iter().enumerate().filter(|(_, n)| *n > 0).collect();
            self.after_whole = parts.iter().any(|&(index, _)| !self.active[index].turn.is_causal());
            self.compute(&parts);
        }
        self.dismiss(&mut ended);
        ended
    }

    /// Computes a batch of the next entries of some turns: (index in `active`, number).
    fn compute(&mut self, parts: &[(usize, usize)]) {
        if parts.is_empty() {
            return;
        }
        match self.decode(parts) {
            Ok(()) => {}
            Err(error) if parts.len() == 1 => self.active[parts[0].0].failed = Some(error.into()),
            // Nothing was computed: whose fault it was shows when each goes alone.
            Err(LlamaError::InvalidBatch { .. } | LlamaError::ContextFull { .. }) => {
                parts.iter().for_each(|part| self.compute(std::slice::from_ref(part)));
            }
            Err(error) => {
                let reason = error.to_string();
                let error = || match &error {
                    LlamaError::Cancelled => LlamaError::Cancelled,
                    _ => LlamaError::Compute { reason: reason.clone() },
                };
                parts.iter().for_each(|&(index, _)| self.active[index].failed = Some(error().into()));
            }
        }
    }

    fn decode(&mut self, parts: &[(usize, usize)]) -> Result<(), LlamaError> {
        let Some((context, batch)) = &mut self.open else { return Ok(()) };
        batch.clear();
        let turns = || parts.iter().map(|&(index, _)| index);
        if turns().any(|index| self.active[index].turn.has_gaps()) {
            batch.allow_position_gaps();
        }
        let mut added = Vec::new();
        for &(index, n) in parts {
            let Active { turn, sequence, .. } = &mut self.active[index];
            for entry in turn.entries(n) {
                let sequence = self.sequences[*sequence].held.sequence;
                added.push((index, entry, turn.add(&entry, batch, sequence)?));
            }
        }
        let is_causal = turns().all(|index| self.active[index].turn.is_causal());
        context.cancel_with(turns().map(|index| self.active[index].turn.cancel.clone()).collect());
        context.set_causal(is_causal);
        let result = run_on(self.processor.as_ref(), || context.decode(batch));
        context.set_causal(true);
        result?;
        for (index, entry, at) in added {
            let Active { turn, sequence, .. } = &mut self.active[index];
            self.sequences[*sequence].held.push(turn.item(&entry), entry.position);
            if entry.output {
                turn.hear(context.logits(at)?);
            }
        }
        for &(index, n) in parts {
            let Active { turn, sequence, failed, .. } = &mut self.active[index];
            let held = &mut self.sequences[*sequence].held;
            match turn.go_on(n) {
                Ok((n_wrong, is_read)) => {
                    let n_right = held.len() - n_wrong;
                    if held.cut(context, n_right, i32::MAX) != n_right {
                        let reason = "the cache lost what stands before a wrong guess".to_owned();
                        *failed = Some(LlamaError::Compute { reason }.into());
                    }
                    if is_read && turn.is_observed() {
                        turn.question_mass = context.attention(held.sequence);
                    }
                }
                Err(error) => *failed = Some(error.into()),
            }
        }
        Ok(())
    }

    /// Admits waiting turns in order, as long as there are sequences and cells for the next one.
    fn admit(&mut self, ended: &mut Vec<Ended>) {
        while let Some(index) = self.waiting.iter().position(|(_, turn)| turn.is_cancelled())
            && let Some((id, turn)) = self.waiting.remove(index)
        {
            ended.push(Ended::failed(id, turn, LlamaError::Cancelled.into()));
        }
        while self.active.len() < self.options.n_parallel {
            let Some((id, mut turn)) = self.waiting.pop_front() else { break };
            match self.has_room(&turn) {
                Ok(Some(cells)) => match self.seat(&mut turn, cells) {
                    Ok(sequence) => {
                        self.active.push(Active { id, turn, sequence, n_cells: cells.n_turn, failed: None });
                    }
                    Err(error) => ended.push(Ended::failed(id, turn, error)),
                },
                Ok(None) => {
                    self.waiting.push_front((id, turn));
                    break;
                }
                Err(error) => ended.push(Ended::failed(id, turn, error)),
            }
        }
    }

    /// Cells for a turn: `None` as long as others need them.
    fn has_room(&mut self, turn: &Turn) -> Result<Option<Cells>, VlmError> {
        let reserve = if self.options.scores { turn.reserve() } else { 0 };
        let extent = Extent { n_prompt: turn.n_entries(), n_answer: turn.n_answer(), end: turn.end() };
        let cells = self.options.room(extent, reserve, self.model.n_ctx_train())?;
        if self.open.as_ref().is_none_or(|(context, _)| context.n_ctx() < cells.least) {
            if !self.active.is_empty() {
                return Ok(None);
            }
            // Less room than all could use is better than none.
            self.reopen(cells.best)
                .or_else(|error| if cells.best > cells.least { self.reopen(cells.least) } else { Err(error) })?;
        }
        let n_ctx = self.open.as_ref().map_or(0, |(context, _)| context.n_ctx() as usize);
        let cells = Cells { n_turn: cells.n_turn.min(n_ctx), ..cells };
        let n_busy: usize = self.active.iter().map(|active| active.n_cells).sum();
        Ok((n_busy + cells.n_turn <= n_ctx).then_some(cells))
    }

    /// Gives a turn the sequence that begins most like it.
    fn seat(&mut self, turn: &mut Turn, cells: Cells) -> Result<usize, VlmError> {
        let Some((context, _)) = &mut self.open else {
            return Err(LlamaError::Compute { reason: "there is no context".to_owned() }.into());
        };
        let can_cut = !self.model.is_recurrent();
        let n_ctx = (context.n_ctx() as usize).min(cells.most);
        let n_positions = most_positions(self.options.n_ctx, self.model.n_ctx_train());
        let n_most = n_ctx.saturating_sub(turn.n_prompt).min(n_positions.saturating_sub(turn.end().max(0) as usize));
        turn.begin(&self.model, n_most, context.n_ubatch(), can_cut)?;
        self.clock += 1;
        let n_busy: usize = self.active.iter().map(|active| active.n_cells).sum();
        let reuse = can_cut && turn.can_reuse();
        let (n_answers, n_all) = (self.options.n_parallel, self.sequences.len());
        let places = if turn.is_apart() && n_all > n_answers { n_answers..n_all } else { 0..n_answers };
        let n_needed = n_busy + cells.n_turn;
        let (sequence, n_held) = room::choose(&mut self.sequences, places, context, turn, reuse, n_needed);
        self.sequences[sequence].is_busy = true;
        self.sequences[sequence].used = self.clock;
        turn.skip(n_held);
        if turn.is_observed() {
            context.watch_attention(self.sequences[sequence].held.sequence, turn.positions());
        }
        Ok(sequence)
    }

    /// Lets those go who are done or have failed.
    fn dismiss(&mut self, ended: &mut Vec<Ended>) {
        let Some((context, _)) = &mut self.open else { return };
        for mut active in self.active.extract_if(.., |active| active.turn.is_done() || active.failed.is_some()) {
            let sequence = &mut self.sequences[active.sequence];
            sequence.is_busy = false;
            let mass =
                if active.turn.is_observed() { context.take_attention(sequence.held.sequence) } else { Vec::new() };
            if active.failed.is_some() || active.turn.is_apart() {
                sequence.held.clear(context);
                sequence.used = 0;
            }
            ended.push(match active.failed {
                Some(error) => Ended::failed(active.id, active.turn, error),
                None => {
                    active.turn.mass = mass;
                    Ended { id: active.id, notes: std::mem::take(&mut active.turn.notes), result: Ok(active.turn) }
                }
            });
        }
    }

    /// Makes a context of `n_ctx` cells. What the old one held is lost.
    fn reopen(&mut self, n_ctx: u32) -> Result<(), VlmError> {
        self.close(); // frees the old cache before the new one is made
        let n_seq_max = self.sequences.len() as u32;
        let options = ContextOptions { n_ctx, n_seq_max, kv_unified: n_seq_max > 1, ..self.options.context.clone() };
        let context = Context::new(&self.model, &options)?;
        let batch = Batch::new(&context);
        self.open = Some((context, batch));
        Ok(())
    }

    fn close(&mut self) {
        self.open = None;
        for sequence in &mut self.sequences {
            *sequence = Sequence { held: Held::new(sequence.held.sequence), is_busy: false, used: 0 };
        }
    }
}

#[cfg(test)]
mod tests;
