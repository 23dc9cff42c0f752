//! Cells of the cache: how many a turn needs, how large the cache has to be, and which sequence a turn goes on in.

use super::{ReaderOptions, Sequence, Turn};
use crate::llama::Context;
use crate::vlm::VlmError;
use crate::vlm::held::Held;
use std::ops::Range;

/// llama.cpp pads the cache to this.
const STEP: usize = 256;

/// Sizes in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cells {
    /// A smaller cache would not do for this turn.
    pub least: u32,
    /// Size of a new cache.
    pub best: u32,
    /// Needed by this turn itself.
    pub n_turn: usize,
    /// Most for one turn.
    pub most: usize,
}

impl ReaderOptions {
    /// Cells for `n_prompt` tokens and, as far as the model goes, `n_answer` more and a `reserve`.
    ///
    /// # Errors
    /// [`VlmError::ContextTooSmall`], [`VlmError::PromptTooLong`].
    pub(super) fn room(
        &self,
        n_prompt: usize,
        n_answer: usize,
        reserve: usize,
        n_ctx_train: u32,
    ) -> Result<Cells, VlmError> {
        let step = |n: usize| n.min(i32::MAX as usize / 2).next_multiple_of(STEP);
        let n_turn = n_prompt.saturating_add(n_answer);
        let needed = step(n_turn);
        match self.n_ctx {
            Some(n_ctx) if n_prompt >= n_ctx as usize => {
                Err(VlmError::ContextTooSmall { n_prompt, n_answer, n_ctx, needed })
            }
            Some(n_ctx) => Ok(Cells { least: n_ctx, best: n_ctx, n_turn, most: n_ctx as usize }),
            None if n_prompt >= n_ctx_train as usize => Err(VlmError::PromptTooLong { n_prompt, n_ctx_train, needed }),
            None => {
                let least = (step(needed.saturating_add(reserve)) as u32).min(n_ctx_train);
                // A conversation goes on: growing at every turn would lose at every turn what is held.
                let once =
                    if self.is_conversation { least.saturating_mul(2).min(n_ctx_train.max(least)) } else { least };
                let best = (once as usize).saturating_mul(self.n_parallel).min(i32::MAX as usize) as u32;
                Ok(Cells { least, best, n_turn, most: n_ctx_train as usize })
            }
        }
    }
}

/// A sequence for a turn among those at `places`, and how many of its entries are there already. What the turn begins with is
/// taken from where it is held, in the same cells: in that sequence itself, or, if others use it or much else would be lost, in
/// the one that was not used for longest. Other sequences give up what they hold, in that order, until the `n_needed` cells for
/// this turn and those who are busy are free.
pub(super) fn choose(
    sequences: &mut [Sequence],
    places: Range<usize>,
    context: &mut Context,
    turn: &Turn,
    reuse: bool,
    n_needed: usize,
) -> (usize, usize) {
    let common: Vec<usize> = sequences.iter().map(|s| if reuse { turn.in_common(&s.held) } else { 0 }).collect();
    let by_use = |index: &usize| sequences[*index].used;
    let best = (0..sequences.len()).max_by_key(|&index| (common[index], !sequences[index].is_busy, by_use(&index)));
    let best = best.unwrap_or(0);
    let free = places.filter(|&index| !sequences[index].is_busy);
    let oldest = free.clone().min_by_key(by_use).unwrap_or(0);
    // A score leaves what is held as it is.
    let goes_on = !turn.is_apart() && free.clone().any(|index| index == best);
    let chosen = if goes_on && 2 * common[best] >= sequences[best].held.len() { best } else { oldest };
    let in_place = chosen == best;
    let mut n_held = if in_place && !goes_on { 0 } else { common[best] };
    if in_place {
        n_held = sequences[best].held.cut(context, n_held);
    } else {
        sequences[chosen].held.clear(context);
    }

    let is_spare = |index: &usize| *index != chosen && !sequences[*index].is_busy && sequences[*index].held.len() > 0;
    let mut spare: Vec<usize> = (0..sequences.len()).filter(is_spare).collect();
    // What this turn begins with is the last to go.
    spare.sort_by_key(|&index| std::cmp::Reverse((index == best, sequences[index].used)));
    let n_ctx = context.n_ctx() as usize;
    while n_needed + spare.iter().map(|&index| sequences[index].held.len()).sum::<usize>() > n_ctx
        && let Some(index) = spare.pop()
    {
        sequences[index].held.clear(context);
    }
    if !in_place && n_held > 0 {
        let mut held = std::mem::replace(&mut sequences[chosen].held, Held::new(chosen as i32));
        n_held = held.share(context, &sequences[best].held, n_held);
        sequences[chosen].held = held;
    }
    (chosen, n_held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llama::ContextOptions;
    use proptest::prelude::*;

    fn options(n_ctx: Option<u32>, n_parallel: usize) -> ReaderOptions {
        let context = ContextOptions::default();
        ReaderOptions { context, n_ctx, is_conversation: false, n_parallel, scores: true }
    }

    #[test]
    fn a_fixed_size_stays_and_refuses_what_cannot_fit() {
        let fixed = options(Some(512), 4);
        assert_eq!(fixed.room(100, 50, 0, 4096).unwrap(), Cells { least: 512, best: 512, n_turn: 150, most: 512 });
        assert!(matches!(fixed.room(512, 1, 0, 4096), Err(VlmError::ContextTooSmall { needed: 768, .. })));
    }

    proptest! {
        #[test]
        fn a_growing_cache_has_room_for_all(n_prompt in 0..5000usize, n_answer in any::<usize>(), n_parallel in 1..64usize) {
            match options(None, n_parallel).room(n_prompt, n_answer, 0, 4096) {
                Ok(Cells { least, best, most, .. }) => {
                    prop_assert!(n_prompt < 4096 && most == 4096 && least <= 4096);
                    prop_assert!(least as usize >= n_prompt.saturating_add(n_answer).min(4096));
                    prop_assert_eq!(best as usize, least as usize * n_parallel);
                }
                Err(error) => prop_assert!(n_prompt >= 4096, "{}", error),
            }
        }
    }
}
