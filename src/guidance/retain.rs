use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::{GuidanceError, serde_as_text};

/// How many visual tokens the target reads.
///
/// Text forms: `0.09` or `9%` (share), `128t` (count), `90%mass` (mass).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Retain {
    /// The paper's r: this share of the visual tokens, `0 < r <= 1`.
    Share(f64),
    /// This many visual tokens, at least 1.
    Count(usize),
    /// The smallest set of highest-scored tokens that holds this share of the total score, `0 < share <= 1`.
    Mass(f64),
}

/// Relative slack, so that 0.29 of 100 is 29 although `0.29 * 100.0 < 29.0`, and sums of tenths reach nine tenths.
const ROUNDING: f64 = 1e-12;

impl Retain {
    /// Number of visual tokens to keep of `scores`, `[n_visual]`: `floor(r * V)` for a share; at least 1, at most V, and
    /// 0 only for V = 0.
    pub fn budget(&self, scores: &[f64]) -> usize {
        let n_visual = scores.len();
        let count = match *self {
            Retain::Share(share) => (share * n_visual as f64 * (1.0 + ROUNDING)) as usize,
            Retain::Count(count) => count,
            Retain::Mass(share) => mass_count(scores, share),
        };
        count.max(1).min(n_visual)
    }

    /// Whether no token is dropped, whatever the scores and their number.
    pub fn keeps_all(&self) -> bool {
        matches!(*self, Retain::Share(share) if share >= 1.0)
    }
}

/// The `n` highest of `scores`, as increasing indices: ties go to the lower index, NaN is lowest of all.
pub fn top(scores: &[f64], n: usize) -> Vec<usize> {
    let mut indices: Vec<usize> = ranked(scores).into_iter().map(|(index, _)| index).take(n).collect();
    indices.sort_unstable();
    indices
}

/// Indices of `scores`, highest first: ties in order, NaN last.
pub fn ranking(scores: &[f64]) -> Vec<usize> {
    ranked(scores).into_iter().map(|(index, _)| index).collect()
}

/// Scores with their indices, highest first.
fn ranked(scores: &[f64]) -> Vec<(usize, f64)> {
    let mut ranked: Vec<(usize, f64)> = scores.iter().copied().enumerate().collect();
    let falling = |a: f64, b: f64| b.partial_cmp(&a).unwrap_or(Ordering::Equal);
    ranked.sort_by(|&(_, a), &(_, b)| a.is_nan().cmp(&b.is_nan()).then(falling(a, b)));
    ranked
}

/// How many of the highest scores it takes to reach `share` of their total; negative and NaN count as 0.
fn mass_count(scores: &[f64], share: f64) -> usize {
    let mut total = 0.0;
    let add = |(_, score): (usize, f64)| {
        total += score.max(0.0);
        total
    };
    let sums: Vec<f64> = ranked(scores).into_iter().map(add).collect();
    let wanted = share * total * (1.0 - ROUNDING);
    sums.partition_point(|&sum| sum < wanted) + 1
}

impl FromStr for Retain {
    type Err = GuidanceError;

    fn from_str(text: &str) -> Result<Self, GuidanceError> {
        let retain = if let Some(percent) = text.strip_suffix("%mass") {
            share(percent, "e-2").map(Retain::Mass)
        } else if let Some(percent) = text.strip_suffix('%') {
            share(percent, "e-2").map(Retain::Share)
        } else if let Some(count) = text.strip_suffix('t') {
            count.parse().ok().filter(|&count| count >= 1).map(Retain::Count)
        } else {
            share(text, "").map(Retain::Share)
        };
        retain.ok_or_else(|| GuidanceError::RetainText(text.to_owned()))
    }
}

/// A number in `0 < r <= 1`.
fn share(text: &str, exponent: &str) -> Option<f64> {
    decimal(text, exponent).filter(|value| *value > 0.0 && *value <= 1.0)
}

/// Digits with at most one point. Percent is an exponent, not a division, so that `0.1%` is exactly the `f64` of `0.001`.
pub(super) fn decimal(text: &str, exponent: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    format!("{text}{exponent}").parse().ok().filter(|_| plain)
}

impl fmt::Display for Retain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Retain::Share(share) => write!(formatter, "{share}"),
            Retain::Count(count) => write!(formatter, "{count}t"),
            Retain::Mass(share) => write!(formatter, "{}%mass", percent(*share)),
        }
    }
}

/// Moves the decimal point in the text: `share * 100.0` would round, and 0.29 would print as 28.999999999999996.
fn percent(share: f64) -> String {
    let text = share.to_string();
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let padded = format!("{decimals:0<2}");
    let (hundredths, rest) = padded.split_at(2);
    let digits = format!("{whole}{hundredths}");
    let whole = match digits.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
}

serde_as_text!(Retain);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn budget(retain: &str, n_visual: usize) -> usize {
        retain.parse::<Retain>().unwrap().budget(&vec![1.0; n_visual])
    }

    #[test]
    fn a_share_is_floored_but_never_below_one_token() {
        assert_eq!(budget("0.09", 1792), 161); // 161.28
        assert_eq!(budget("0.05", 256), 12); // 12.8
        assert_eq!(budget("0.001", 256), 1);
        assert_eq!(budget("1", 256), 256);
        assert_eq!(budget("0.5", 0), 0);
    }

    #[test]
    fn binary_fractions_do_not_cost_a_token() {
        assert_eq!((0.29f64 * 100.0).floor(), 28.0);
        assert_eq!(budget("0.29", 100), 29);
        for n_visual in 1..=400usize {
            for percent in 1..=100 {
                let exact = (n_visual * percent / 100).max(1);
                assert_eq!(budget(&format!("{percent}%"), n_visual), exact, "{percent}% of {n_visual}");
            }
        }
    }

    #[test]
    fn a_count_is_capped_by_the_tokens_there_are() {
        assert_eq!(budget("128t", 1792), 128);
        assert_eq!(budget("128t", 100), 100);
        assert_eq!(budget("128t", 0), 0);
    }

    #[test]
    fn mass_keeps_the_smallest_sufficient_set() {
        let scores = [1.0, 6.0, 0.0, 3.0];
        for (share, expected) in [(0.5, 1), (0.6, 1), (0.61, 2), (0.9, 2), (0.95, 3), (1.0, 3)] {
            assert_eq!(Retain::Mass(share).budget(&scores), expected, "{share}");
        }
        assert_eq!(Retain::Mass(0.9).budget(&[0.0; 10]), 1);
        assert_eq!(Retain::Mass(1.0).budget(&[f64::NAN, 2.0, -1.0]), 1);
        assert_eq!(Retain::Mass(0.9).budget(&[]), 0);
    }

    #[test]
    fn mass_of_equal_scores_is_a_share_rounded_up() {
        for n_visual in 1..=100 {
            for percent in 1..=100 {
                let budget = Retain::Mass(percent as f64 / 100.0).budget(&vec![0.1; n_visual]);
                assert_eq!(budget, (n_visual * percent).div_ceil(100), "{percent}% of {n_visual}");
            }
        }
    }

    #[test]
    fn values_that_no_text_gives_stay_within_the_tokens() {
        for retain in [Retain::Share(f64::NAN), Retain::Share(-1.0), Retain::Count(0), Retain::Mass(f64::NAN)] {
            assert_eq!(retain.budget(&[1.0, 2.0]), 1, "{retain:?}");
        }
        for retain in [Retain::Share(7.0), Retain::Count(usize::MAX), Retain::Mass(7.0)] {
            assert_eq!(retain.budget(&[1.0, 2.0]), 2, "{retain:?}");
        }
    }

    #[test]
    fn top_breaks_ties_by_index_and_puts_nan_last() {
        assert_eq!(top(&[1.0, 3.0, 2.0, 3.0], 2), [1, 3]);
        assert_eq!(top(&[1.0, 1.0, 1.0], 2), [0, 1]);
        assert_eq!(top(&[0.0, -0.0, 0.0], 2), [0, 1]);
        assert_eq!(top(&[f64::NAN, -1.0, f64::NAN, 5.0], 2), [1, 3]);
        assert_eq!(top(&[f64::NAN, -1.0, f64::NAN, 5.0], 3), [0, 1, 3]);
        assert_eq!(top(&[1.0], 9), [0]);
        assert!(top(&[], 3).is_empty());
    }

    #[test]
    fn text_forms() {
        for (text, retain, shown) in [
            ("0.09", Retain::Share(0.09), "0.09"),
            ("9%", Retain::Share(0.09), "0.09"),
            ("0.1%", Retain::Share(0.001), "0.001"),
            ("100%", Retain::Share(1.0), "1"),
            ("1", Retain::Share(1.0), "1"),
            ("128t", Retain::Count(128), "128t"),
            ("90%mass", Retain::Mass(0.9), "90%mass"),
            ("29%mass", Retain::Mass(0.29), "29%mass"),
            ("0.5%mass", Retain::Mass(0.005), "0.5%mass"),
            ("99.95%mass", Retain::Mass(0.9995), "99.95%mass"),
            ("100%mass", Retain::Mass(1.0), "100%mass"),
        ] {
            assert_eq!(text.parse(), Ok(retain), "{text}");
            assert_eq!(retain.to_string(), shown);
        }
    }

    #[test]
    fn other_text_is_refused_with_the_three_forms() {
        for text in [
            "", "0", "0%", "1.01", "101%", "-0.5", "nan", "inf", "1e-1", "9 %", "%", "t", "0t", "1.5t", "-3t", "128",
            "mass", "%mass", "0%mass", "101%mass", "0.9mass", "128tt",
        ] {
            let error = text.parse::<Retain>().unwrap_err().to_string();
            for part in [format!("{text:?}").as_str(), "9%", "128t", "90%mass"] {
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn json_is_the_text() {
        assert_eq!(serde_json::to_string(&Retain::Count(128)).unwrap(), r#""128t""#);
        assert_eq!(serde_json::from_str::<Retain>(r#""9%""#).unwrap(), Retain::Share(0.09));
        let error = serde_json::from_str::<Retain>(r#""9""#).unwrap_err().to_string();
        assert!(error.contains("90%mass"), "{error}");
    }

    fn scores() -> impl Strategy<Value = Vec<f64>> {
        // Few distinct values, so that ties are common.
        let score = prop_oneof![(0u8..6).prop_map(f64::from), 0.0..10.0f64];
        prop::collection::vec(score, 1..60)
    }

    fn shares() -> impl Strategy<Value = f64> {
        prop_oneof![Just(1.0), f64::MIN_POSITIVE..1.0, (1u8..=100).prop_map(|percent| f64::from(percent) / 100.0)]
    }

    fn retains() -> impl Strategy<Value = Retain> {
        prop_oneof![
            shares().prop_map(Retain::Share),
            (1usize..80).prop_map(Retain::Count),
            shares().prop_map(Retain::Mass),
        ]
    }

    fn is_subset(small: &[usize], large: &[usize]) -> bool {
        small.iter().all(|index| large.contains(index))
    }

    proptest! {
        #[test]
        fn top_is_sorted_unique_and_of_the_asked_size(scores in scores(), n in 0usize..80) {
            let kept = top(&scores, n);
            prop_assert_eq!(kept.len(), n.min(scores.len()));
            prop_assert!(kept.is_sorted_by(|a, b| a < b));
        }

        #[test]
        fn every_kept_score_reaches_every_dropped_one(scores in scores(), n in 0usize..80) {
            let kept = top(&scores, n);
            for dropped in (0..scores.len()).filter(|index| !kept.contains(index)) {
                for &index in &kept {
                    let (high, low) = (scores[index], scores[dropped]);
                    prop_assert!(high > low || (high == low && index < dropped));
                }
            }
        }

        #[test]
        fn moving_tokens_moves_the_kept_set_with_them(
            order in (1usize..60).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle()),
            values in prop::collection::hash_set(0u32..10_000, 60),
            n in 0usize..60,
        ) {
            let scores: Vec<f64> = values.into_iter().take(order.len()).map(f64::from).collect();
            let moved: Vec<f64> = order.iter().map(|&index| scores[index]).collect();
            let mut back: Vec<usize> = top(&moved, n).into_iter().map(|index| order[index]).collect();
            back.sort_unstable();
            prop_assert_eq!(back, top(&scores, n));
        }

        #[test]
        fn a_smaller_retain_keeps_a_subset(scores in scores(), one in retains(), other in retains()) {
            let [small, large] = {
                let mut budgets = [one.budget(&scores), other.budget(&scores)];
                budgets.sort_unstable();
                budgets
            };
            prop_assert!(is_subset(&top(&scores, small), &top(&scores, large)));
        }

        #[test]
        fn budgets_grow_with_the_share(scores in scores(), one in shares(), other in shares()) {
            let (small, large) = (one.min(other), one.max(other));
            prop_assert!(Retain::Share(small).budget(&scores) <= Retain::Share(large).budget(&scores));
            prop_assert!(Retain::Mass(small).budget(&scores) <= Retain::Mass(large).budget(&scores));
        }

        #[test]
        fn budgets_are_within_the_tokens(scores in scores(), retain in retains()) {
            let budget = retain.budget(&scores);
            prop_assert!((1..=scores.len()).contains(&budget));
            prop_assert_eq!(Retain::Share(1.0).budget(&scores), scores.len());
        }

        #[test]
        fn the_mass_set_is_sufficient_and_minimal(scores in scores(), share in shares()) {
            let mass = |n| top(&scores, n).iter().map(|&index| scores[index]).sum::<f64>();
            let (wanted, slack) = (share * mass(scores.len()), 1e-9);
            let budget = Retain::Mass(share).budget(&scores);
            prop_assert!(mass(budget) >= wanted - slack);
            prop_assert!(budget == 1 || mass(budget - 1) < wanted);
        }

        #[test]
        fn text_round_trips(retain in retains()) {
            prop_assert_eq!(retain.to_string().parse(), Ok(retain));
        }
    }
}
