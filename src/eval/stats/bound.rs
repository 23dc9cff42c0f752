//! Finite-sample promises about a mean loss, by betting (Waudby-Smith and Ramdas 2023, arXiv 2010.09686).
//!
//! The losses are paired: the score without pruning minus the score with it, -1 to 1. Someone who doubts that their
//! mean exceeds a limit bets against it, one sample after the other: capital grows by `1 + bet * (limit - loss)`. If
//! the mean did exceed the limit, no way of betting that knows earlier samples only would win on average, and capital
//! would ever reach `1 / (1 - confidence)` with a probability of at most `1 - confidence` (Ville). Once it has, the
//! limit holds at that confidence for samples drawn independently from the use that is meant, however many and however
//! distributed.
//!
//! The bets are the paper's predictable plug-in: large while losses vary little, and such that one loss of 1 leaves a
//! quarter of the capital. Samples are taken in an order shuffled from a fixed seed: in a file they may stand by task
//! or by difficulty, and an easy beginning must promise nothing about the rest.

use super::mean;

/// Whether it is established at this confidence (above 0, below 1) that the mean loss is at most `limit`.
///
/// Losses are -1 to 1; if one is not, nothing is established but a limit of 1 or more, which always is. A limit below
/// the mean of these losses never is, although capital may have been reached on the way.
pub fn establishes_at_most(losses: &[f64], limit: f64, confidence: f64) -> bool {
    limit >= 1.0 || mean(losses) <= limit && capital_is_reached(shuffled(losses).into_iter(), limit, confidence)
}

/// The least limit that [`establishes_at_most`] accepts, to a millionth; 1 where it accepts no other.
pub fn upper_bound(losses: &[f64], confidence: f64) -> f64 {
    let least = mean(losses);
    let losses = shuffled(losses);
    let (mut refused, mut established) = (-1.0, 1.0);
    while established - refused > 1e-6 {
        let limit = (refused + established) / 2.0;
        if least <= limit && capital_is_reached(losses.iter().copied(), limit, confidence) {
            established = limit;
        } else {
            refused = limit;
        }
    }
    established
}

/// How many samples, all without loss, it takes to establish that the mean loss is at most `limit`. `None` if no
/// number is enough (a limit of 0 or less, a confidence of 1) or more than a million.
///
/// At a confidence of 0.95 it takes 400 for a limit of 0.01, 199 for 0.02 and 78 for 0.05.
pub fn samples_needed(limit: f64, confidence: f64) -> Option<usize> {
    if limit >= 1.0 {
        return Some(0);
    }
    let enough = |n: usize| capital_is_reached(std::iter::repeat_n(0.0, n), limit, confidence);
    // No bet may be larger than the largest, so fewer samples than this are never enough.
    let fewest = (log_target(confidence) / (largest_bet(limit) * limit).ln_1p()).ceil();
    if !(limit > 0.0 && fewest <= MOST_SAMPLES as f64) {
        return None;
    }
    let mut refused = (fewest as usize).saturating_sub(1);
    let mut established = refused + 1;
    while !enough(established) {
        refused = established;
        established *= 2;
        if refused > MOST_SAMPLES {
            return None;
        }
    }
    while established - refused > 1 {
        let middle = refused.midpoint(established);
        if enough(middle) {
            established = middle;
        } else {
            refused = middle;
        }
    }
    (established <= MOST_SAMPLES).then_some(established)
}

const MOST_SAMPLES: usize = 1_000_000;

/// Share of the capital that one loss of 1 costs at most.
const MOST_AT_STAKE: f64 = 0.75;

/// Bets start as if losses had this variance.
const FIRST_VARIANCE: f64 = 0.25;

/// Logarithm of the capital that establishes a limit.
fn log_target(confidence: f64) -> f64 {
    -(-confidence).ln_1p()
}

fn largest_bet(limit: f64) -> f64 {
    MOST_AT_STAKE / (1.0 - limit)
}

/// The losses in an order that does not depend on them; none if one is out of range, so that nothing is established.
fn shuffled(losses: &[f64]) -> Vec<f64> {
    if !losses.iter().all(|loss| (-1.0..=1.0).contains(loss)) {
        return Vec::new();
    }
    let mut shuffled = losses.to_vec();
    fastrand::Rng::with_seed(0).shuffle(&mut shuffled);
    shuffled
}

/// Whether capital ever gets there, for losses of -1 to 1. If it does for one limit, so for any higher one: every
/// factor rises with the limit.
fn capital_is_reached(losses: impl ExactSizeIterator<Item = f64>, limit: f64, confidence: f64) -> bool {
    let (n, target, largest) = (losses.len() as f64, log_target(confidence), largest_bet(limit));
    let (mut log_capital, mut sum, mut squares) = (0.0, 0.0, FIRST_VARIANCE);
    for (earlier, loss) in losses.enumerate() {
        let variance = squares / (earlier as f64 + 1.0);
        let bet = (2.0 * target / (n * variance)).sqrt().min(largest);
        log_capital += (bet * (limit - loss)).ln_1p();
        if log_capital >= target {
            return true;
        }
        sum += loss;
        let mean = sum / (earlier as f64 + 2.0);
        squares += (loss - mean) * (loss - mean);
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Losses of 1 with probability `lost` and of -1 with probability `gained`.
    fn drawn(random: &mut fastrand::Rng, n: usize, lost: f64, gained: f64) -> Vec<f64> {
        let mut loss = || match random.f64() {
            value if value < lost => 1.0,
            value if value < lost + gained => -1.0,
            _ => 0.0,
        };
        (0..n).map(|_| loss()).collect()
    }

    #[test]
    fn false_promises_are_as_rare_as_promised() {
        const ROUNDS: usize = 2000;
        let mut random = fastrand::Rng::with_seed(7);
        let just_above = 1e-9; // the mean loss exceeds the limit by this
        for (n, lost, gained) in
            [(50, 0.1, 0.0), (300, 0.02, 0.0), (300, 0.06, 0.04), (600, 0.3, 0.25), (200, 0.5, 0.5)]
        {
            let limit = lost - gained - just_above;
            let mut promised = || establishes_at_most(&drawn(&mut random, n, lost, gained), limit, 0.9);
            let broken = (0..ROUNDS).filter(|_| promised()).count() as f64 / ROUNDS as f64;
            assert!(broken <= 0.1 + 0.02, "{n} {lost} {gained}: {broken}"); // 3 standard deviations are 0.02
            assert!(n < 200 || broken >= 0.02, "{n} {lost} {gained}: {broken}"); // and not by never promising
        }
    }

    #[test]
    fn bounds_cover_losses_of_any_size() {
        let mut random = fastrand::Rng::with_seed(3);
        let covered = (0..1000).filter(|_| {
            let losses: Vec<f64> = (0..100).map(|_| random.f64().powi(4) - 0.15).collect(); // mean 1/5 - 0.15
            upper_bound(&losses, 0.9) >= 0.05
        });
        assert!(covered.count() >= 870); // 900 less 3 standard deviations
    }

    #[test]
    fn true_promises_are_made() {
        let mut random = fastrand::Rng::with_seed(9);
        for (n, lost, gained, limit, least) in [(1000, 0.01, 0.01, 0.02, 85), (3000, 0.005, 0.005, 0.01, 95)] {
            let made =
                (0..100).filter(|_| establishes_at_most(&drawn(&mut random, n, lost, gained), limit, 0.95)).count();
            assert!(made >= least, "{n}: {made}");
        }
    }

    #[test]
    fn too_few_samples_promise_nothing() {
        // At the largest bet capital grows by 1 + 0.75 * limit / (1 - limit): for 0.01, ln 20 / ln 1.0075758 = 396.9;
        // the first bets are smaller.
        for (limit, confidence, expected) in [(0.01, 0.95, 400), (0.02, 0.95, 199), (0.05, 0.95, 78), (0.02, 0.99, 305)]
        {
            let needed = samples_needed(limit, confidence).unwrap();
            assert_eq!(needed, expected, "{limit} {confidence}");
            assert!(establishes_at_most(&vec![0.0; needed], limit, confidence));
            for n in 0..needed {
                assert!(!establishes_at_most(&vec![0.0; n], limit, confidence), "{limit} {confidence}: {n}");
            }
        }
        assert!(samples_needed(1e-5, 0.95).unwrap() > 300_000);
        for (limit, confidence) in
            [(0.0, 0.95), (-0.1, 0.95), (1e-6, 0.95), (0.02, 1.0), (0.02, f64::NAN), (f64::NAN, 0.9)]
        {
            assert_eq!(samples_needed(limit, confidence), None, "{limit} {confidence}");
        }
        assert_eq!(samples_needed(1.0, 0.95), Some(0));
    }

    #[test]
    fn one_loss_costs_samples() {
        let needed = samples_needed(0.02, 0.95).unwrap();
        let mut losses = vec![0.0; needed];
        losses[17] = 1.0;
        assert!(!establishes_at_most(&losses, 0.02, 0.95));
        losses.resize(2 * needed, 0.0);
        assert!(establishes_at_most(&losses, 0.02, 0.95));
    }

    #[test]
    fn an_easy_beginning_promises_nothing_of_the_rest() {
        let losses = [vec![0.0; 500], vec![1.0; 60]].concat();
        assert!(!establishes_at_most(&losses, 0.05, 0.95));
        assert!(upper_bound(&losses, 0.95) > 60.0 / 560.0);
    }

    #[test]
    fn what_is_no_loss_establishes_nothing() {
        for wrong in [f64::NAN, 1.5, -1.5, f64::NEG_INFINITY] {
            let losses = [vec![0.0; 1000], vec![wrong]].concat();
            assert!(!establishes_at_most(&losses, 0.5, 0.95));
            assert_eq!(upper_bound(&losses, 0.95), 1.0);
        }
        assert_eq!(upper_bound(&[], 0.95), 1.0);
        assert!(!establishes_at_most(&[-1.0; 1000], -1.0, 0.95));
        assert!(establishes_at_most(&[], 1.0, 0.95));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn bounds_invert_the_test(losses in prop::collection::vec(-1.0..=1.0f64, 1..200), confidence in 0.5..0.99f64) {
            let bound = upper_bound(&losses, confidence);
            let mean = losses.iter().sum::<f64>() / losses.len() as f64;
            prop_assert!(mean <= bound && bound <= 1.0);
            prop_assert!(establishes_at_most(&losses, bound, confidence));
            prop_assert!(!establishes_at_most(&losses, bound - 2e-6, confidence));
        }

        #[test]
        fn a_higher_limit_is_easier(
            losses in prop::collection::vec(-1.0..=1.0f64, 0..200),
            low in -1.0..1.0f64,
            more in 0.0..1.0f64,
        ) {
            let high = low + more;
            prop_assert!(!establishes_at_most(&losses, low, 0.9) || establishes_at_most(&losses, high, 0.9));
        }

        #[test]
        fn less_loss_never_raises_needs(limit in 0.01..0.9f64, confidence in 0.5..0.99f64) {
            let needed = samples_needed(limit, confidence).unwrap();
            prop_assert!(samples_needed(limit / 2.0, confidence).unwrap() >= needed);
            prop_assert!(samples_needed(limit, confidence / 2.0).unwrap() <= needed);
        }
    }
}
