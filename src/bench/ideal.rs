//! What the measured pieces would make possible, and when a guide pays. Plain numbers in, plain numbers out.

use serde::{Deserialize, Serialize};

/// Medians of the pieces that a guided answer is made of. Times are milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pieces {
    /// The guide's encoder, all of its tiles.
    pub guide_encode_ms: f64,
    /// The guide's prefill without the export of its attention.
    pub guide_prefill_ms: f64,
    /// The guide's decode without it.
    pub guide_decode_ms: f64,
    /// The consistency pass, if there was one.
    pub consistency_ms: f64,
    /// The unpruned target's encoder.
    pub target_encode_ms: f64,
    /// The unpruned target's prefill.
    pub target_prefill_ms: f64,
    /// The unpruned target's decode.
    pub target_decode_ms: f64,
    /// Tiles of the target.
    pub n_tiles: usize,
    /// Prompt tokens of the unpruned target.
    pub n_prompt: usize,
    /// Tokens of the unpruned target's answer.
    pub n_answer: usize,
    /// Tiles that the guided target has to encode.
    pub n_kept_tiles: usize,
    /// Prompt tokens that it reads; 0 after an early exit.
    pub n_read: usize,
    /// Tokens that it writes.
    pub n_written: usize,
}

/// A guided answer of nothing but its pieces, in milliseconds: the guide without export; of the target, the tiles to encode,
/// the tokens to read and those to write, at the rates of the unpruned run.
///
/// Rates grow with the length of the prompt, so the measured time can be below it.
pub fn ideal_ms(pieces: &Pieces) -> f64 {
    let part = |ms: f64, n: usize, all: usize| if all > 0 { ms * n as f64 / all as f64 } else { 0.0 };
    let guide = pieces.guide_encode_ms + pieces.guide_prefill_ms + pieces.guide_decode_ms + pieces.consistency_ms;
    guide
        + part(pieces.target_encode_ms, pieces.n_kept_tiles, pieces.n_tiles)
        + part(pieces.target_prefill_ms, pieces.n_read, pieces.n_prompt)
        // The first token comes from the prefill.
        + part(pieces.target_decode_ms, pieces.n_written.saturating_sub(1), pieces.n_answer.saturating_sub(1))
}

/// What a guided answer costs, and what has to be beaten. Times are milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Costs {
    /// The target without a guide.
    pub baseline_ms: f64,
    /// The guided answer without early exit.
    pub guided_ms: f64,
    /// The guide's look in it: encode, prefill, decode, with export.
    pub guide_ms: f64,
    /// A consistency pass.
    pub consistency_ms: f64,
    /// Share of the visual tokens that the guided target reads.
    pub retain: f64,
    /// Its prefill.
    pub pruned_prefill_ms: f64,
    /// Prefill of the unpruned target.
    pub unpruned_prefill_ms: f64,
}

/// From when on a guide pays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BreakEven {
    /// The largest share of visual tokens with which a guided answer takes no longer than the baseline; `None`: it takes
    /// longer with any.
    pub retain: Option<f64>,
    /// The least share of answers that must end with the guide for guidance to take no longer on the whole, 0 if none has
    /// to; `None`: the guide alone takes longer than the baseline.
    pub exits: Option<f64>,
}

/// When a guide pays. Prefill is taken as growing evenly from what was measured pruned to what was measured unpruned, and
/// nothing else as changing; where exits are needed, every question pays for a consistency pass.
pub fn break_even(costs: &Costs) -> BreakEven {
    BreakEven { retain: retain_to_break_even(costs), exits: exits_to_break_even(costs) }
}

fn retain_to_break_even(costs: &Costs) -> Option<f64> {
    let spare = costs.baseline_ms - costs.guided_ms;
    let more = costs.unpruned_prefill_ms - costs.pruned_prefill_ms;
    let pruned = 1.0 - costs.retain;
    if more > 0.0 && pruned > 0.0 {
        let retain = costs.retain + spare / more * pruned;
        return (retain > 0.0).then_some(retain.min(1.0));
    }
    (spare >= 0.0).then_some(1.0)
}

fn exits_to_break_even(costs: &Costs) -> Option<f64> {
    if costs.guided_ms <= costs.baseline_ms {
        return Some(0.0);
    }
    // share (guide + consistency) + (1 - share) (guided + consistency) = baseline
    let saved = costs.guided_ms - costs.guide_ms;
    let share = (costs.guided_ms + costs.consistency_ms - costs.baseline_ms) / saved;
    (saved > 0.0 && share <= 1.0).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECES: Pieces = Pieces {
        guide_encode_ms: 70.0,
        guide_prefill_ms: 20.0,
        guide_decode_ms: 10.0,
        consistency_ms: 0.0,
        target_encode_ms: 140.0,
        target_prefill_ms: 1000.0,
        target_decode_ms: 310.0,
        n_tiles: 7,
        n_prompt: 2000,
        n_answer: 32,
        n_kept_tiles: 3,
        n_read: 500,
        n_written: 32,
    };

    #[test]
    fn the_ideal_is_the_sum_of_its_pieces() {
        assert_eq!(ideal_ms(&PIECES), 100.0 + 60.0 + 250.0 + 310.0);
        assert_eq!(ideal_ms(&Pieces { n_written: 2, consistency_ms: 5.0, ..PIECES }), 105.0 + 60.0 + 250.0 + 10.0);
        let exited = Pieces { n_kept_tiles: 0, n_read: 0, n_written: 0, ..PIECES };
        assert_eq!(ideal_ms(&exited), 100.0);
        assert_eq!(ideal_ms(&Pieces { n_answer: 1, n_written: 1, ..PIECES }), 410.0);
        assert_eq!(ideal_ms(&Pieces::default()), 0.0);
    }

    const COSTS: Costs = Costs {
        baseline_ms: 1000.0,
        guided_ms: 800.0,
        guide_ms: 200.0,
        consistency_ms: 10.0,
        retain: 0.25,
        pruned_prefill_ms: 300.0,
        unpruned_prefill_ms: 900.0,
    };

    #[test]
    fn retention_breaks_even_where_the_times_are_equal() {
        // 600 ms for 75 % of the visual tokens: the 200 ms to spare are for another 25 %.
        assert_eq!(break_even(&COSTS), BreakEven { retain: Some(0.5), exits: Some(0.0) });
        assert_eq!(break_even(&Costs { baseline_ms: 2000.0, ..COSTS }).retain, Some(1.0));
        assert_eq!(break_even(&Costs { guided_ms: 1100.0, ..COSTS }).retain, Some(0.125));
        assert_eq!(break_even(&Costs { guided_ms: 1200.0, ..COSTS }).retain, None);
        // Where pruning brings nothing, it is all the same what the target reads.
        let flat = Costs { unpruned_prefill_ms: 300.0, ..COSTS };
        assert_eq!(break_even(&flat).retain, Some(1.0));
        assert_eq!(break_even(&Costs { guided_ms: 1001.0, ..flat }).retain, None);
        assert_eq!(break_even(&Costs { retain: 1.0, ..COSTS }).retain, Some(1.0));
    }

    #[test]
    fn exits_break_even_where_the_mean_is_the_baseline() {
        let costs = Costs { guided_ms: 1190.0, ..COSTS };
        let share = break_even(&costs).exits.unwrap();
        assert!((share * 210.0 + (1.0 - share) * 1200.0 - 1000.0).abs() < 1e-9, "{share}");
        assert_eq!(break_even(&Costs { guide_ms: 991.0, ..costs }).exits, None, "not even if all answers exit");
        assert_eq!(break_even(&Costs { guide_ms: 990.0, ..costs }).exits, Some(1.0));
        assert_eq!(break_even(&Costs { guide_ms: 1300.0, ..costs }).exits, None);
    }
}
