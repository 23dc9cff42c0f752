//! Feeding a plan through a context, batch by batch.

use super::Prepared;
use super::held::{Held, Item};
use super::plan::{Entry, Group, Input};
use crate::llama::{Batch, Context, LlamaError, Position, Token};

/// Number of batch entries of a plan.
pub(super) fn n_entries(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.entries.len()).sum()
}

/// Feeds entries through a context into one sequence.
pub(super) struct Feed<'a> {
    pub context: &'a mut Context,
    /// Notes what was read.
    held: &'a mut Held,
    pub prepared: &'a Prepared,
    batch: Batch,
    sequence: i32,
    gaps: bool,
    observe: bool,
}

impl<'a> Feed<'a> {
    pub fn new(
        context: &'a mut Context,
        held: &'a mut Held,
        prepared: &'a Prepared,
        sequence: i32,
        gaps: bool,
        observe: bool,
    ) -> Self {
        let batch = Batch::new(context);
        Self { context, held, prepared, batch, sequence, gaps, observe }
    }

    /// Decodes all groups but the first `n_skipped` entries; `on_logits` gets the logits of each output in order.
    pub fn groups(
        &mut self,
        groups: &[Group],
        n_skipped: usize,
        on_read: &mut dyn FnMut(usize, usize),
        on_logits: &mut dyn FnMut(&[f32]),
    ) -> Result<(), LlamaError> {
        let n_all = n_entries(groups) - n_skipped;
        let (mut n_read, mut skip) = (0, n_skipped);
        for group in groups {
            let n_here = skip.min(group.entries.len());
            skip -= n_here;
            let entries = &group.entries[n_here..];
            let (n_tokens, n_ubatch) = (entries.len(), self.context.n_ubatch());
            if group.non_causal && n_tokens > n_ubatch as usize {
                return Err(LlamaError::BatchTooSmall { n_tokens, n_ubatch });
            }
            if entries.is_empty() {
                continue;
            }
            self.context.set_causal(!group.non_causal);
            let result = self.entries(entries, &mut |n| on_read(n_read + n, n_all), on_logits);
            self.context.set_causal(true);
            result?;
            n_read += n_tokens;
        }
        Ok(())
    }

    fn entries(
        &mut self,
        entries: &[Entry],
        on_read: &mut dyn FnMut(usize),
        on_logits: &mut dyn FnMut(&[f32]),
    ) -> Result<(), LlamaError> {
        let mut n_read = 0;
        for entries in entries.chunks(self.context.n_batch() as usize) {
            self.start_batch();
            for entry in entries {
                let index = match entry.input {
                    Input::Token(token) => self.batch.add_token(token, entry.position.t, self.sequence)?,
                    Input::Row(row) => {
                        let row = self.prepared.row(row).unwrap_or(&[]);
                        self.batch.add_embedding(row, entry.position, self.sequence)?
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
            entries.iter().for_each(|entry| self.held.push(self.prepared.item(entry.input), entry.position));
            for (index, _) in entries.iter().enumerate().filter(|(_, entry)| entry.output) {
                on_logits(self.context.logits(index)?);
            }
            n_read += entries.len();
            on_read(n_read);
        }
        Ok(())
    }

    /// Decodes a generated token and a guess at what follows it, from position `t` on; all have logits.
    pub fn tokens(
        &mut self,
        token: Token,
        guess: &[Token],
        t: i32,
        on_logits: &mut dyn FnMut(&[f32]),
    ) -> Result<(), LlamaError> {
        self.start_batch();
        let all = || std::iter::once(&token).chain(guess).zip(t..);
        for (&token, t) in all() {
            let index = self.batch.add_token(token, t, self.sequence)?;
            self.batch.want_logits(index);
            if self.observe {
                self.batch.mark_query(index);
            }
        }
        self.context.decode(&mut self.batch)?;
        all().for_each(|(&token, t)| self.held.push(Item::Token(token), Position::sequential(t)));
        (0..=guess.len()).try_for_each(|index| {
            on_logits(self.context.logits(index)?);
            Ok(())
        })
    }

    /// Takes the last `n` tokens back: they were guessed wrong.
    pub fn take_back(&mut self, n: usize) {
        self.held.cut(self.context, self.held.len() - n);
    }

    fn start_batch(&mut self) {
        self.batch.clear();
        if self.gaps {
            self.batch.allow_position_gaps();
        }
    }
}
