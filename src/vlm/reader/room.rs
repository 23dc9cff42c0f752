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

/// Size of a prompt, and of the answer that is wanted.
#[derive(Debug, Clone, Copy)]
pub(in crate::vlm) struct Extent {
    /// Tokens that are read.
    pub n_prompt: usize,
    /// Most tokens of the answer.
    pub n_answer: usize,
    /// Position behind the prompt.
    pub end: i32,
}

impl Extent {
    fn n_turn(&self) -> usize {
        self.n_prompt.saturating_add(self.n_answer)
    }
}

/// Refuses what no context of this size, or none of this model, takes.
///
/// # Errors
/// [`VlmError::ContextTooSmall`], [`VlmError::PromptTooLong`], [`VlmError::TooFarApart`].
pub(in crate::vlm) fn fits(n_ctx: Option<u32>, n_ctx_train: u32, extent: Extent) -> Result<(), VlmError> {
    let Extent { n_prompt, n_answer, end } = extent;
    let needed = step(extent.n_turn());
    let n_positions = end.max(0) as usize;
    match n_ctx {
        Some(n_ctx) if n_prompt >= n_ctx as usize => {
            Err(VlmError::ContextTooSmall { n_prompt, n_answer, n_ctx, needed })
        }
        None if n_prompt >= n_ctx_train as usize => Err(VlmError::PromptTooLong { n_prompt, n_ctx_train, needed }),
        _ if n_positions >= most_positions(n_ctx, n_ctx_train) => {
            let needed = step(n_positions.saturating_add(n_answer));
            Err(VlmError::TooFarApart { n_positions, n_ctx_train, needed })
        }
        _ => Ok(()),
    }
}

/// Positions that may be used: those that the model was trained with, or as many as a user asks for.
pub(super) fn most_positions(n_ctx: Option<u32>, n_ctx_train: u32) -> usize {
    n_ctx_train.max(n_ctx.unwrap_or(0)) as usize
}

fn step(n: usize) -> usize {
    n.min(i32::MAX as usize / 2).next_multiple_of(STEP)
}

impl ReaderOptions {
    /// Cells for a turn and, as far as the model goes, a `reserve`.
    ///
    /// # Errors
    /// As [`fits`].
    pub(super) fn room(&self, extent: Extent, reserve: usize, n_ctx_train: u32) -> Result<Cells, VlmError> {
        fits(self.n_ctx, n_ctx_train, extent)?;
        let n_turn = extent.n_turn();
        match self.n_ctx {
            Some(n_ctx) => Ok(Cells { least: n_ctx, best: n_ctx, n_turn, most: n_ctx as usize }),
            None => {
                let needed = step(n_turn);
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
        n_held = sequences[best].held.cut(context, n_held, turn.position(n_held));
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

    fn extent(n_prompt: usize, n_answer: usize) -> Extent {
        Extent { n_prompt, n_answer, end: n_prompt as i32 }
    }

    #[test]
    fn a_fixed_size_stays_and_refuses_what_cannot_fit() {
        let fixed = options(Some(512), 4);
        assert_eq!(
            fixed.room(extent(100, 50), 0, 4096).unwrap(),
            Cells { least: 512, best: 512, n_turn: 150, most: 512 }
        );
        assert!(matches!(fixed.room(extent(512, 1), 0, 4096), Err(VlmError::ContextTooSmall { needed: 768, .. })));
    }

    #[test]
    fn kept_tokens_stay_within_the_positions_that_the_model_knows() {
        let far = Extent { n_prompt: 100, n_answer: 50, end: 4096 };
        let refused = |n_ctx| options(n_ctx, 1).room(far, 0, 4096).unwrap_err();
        assert!(matches!(refused(None), VlmError::TooFarApart { n_positions: 4096, needed: 4352, .. }));
        assert!(
            matches!(refused(Some(512)), VlmError::TooFarApart { .. }),
            "a small cache is no wish for more positions"
        );
        assert!(options(Some(4352), 1).room(far, 0, 4096).is_ok());
        assert!(options(None, 1).room(Extent { end: 4095, ..far }, 0, 4096).is_ok());
    }

    proptest! {
        #[test]
        fn a_growing_cache_has_room_for_all(n_prompt in 0..5000usize, n_answer in any::<usize>(), n_parallel in 1..64usize) {
            match options(None, n_parallel).room(extent(n_prompt, n_answer), 0, 4096) {
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
