//! How far two rankings of the same visual tokens agree.

use crate::guidance::Kept;
use serde::Serialize;

/// Two models' attention on the same visual tokens, compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Tokens kept by both.
    pub kept_in_both: usize,
    /// Tokens kept by each.
    pub kept: usize,
    /// `kept_in_both / kept`; 1 for none.
    pub overlap: f64,
    /// The overlap that two draws at random would have on average: the kept share.
    pub overlap_by_chance: f64,
    /// Spearman's, over all tokens; `None` where one side is constant.
    pub rank_correlation: Option<f64>,
}

impl Agreement {
    /// Between two kept sets of one size and the scores behind them, `[n_visual]` each.
    pub fn of((one, scores): (&Kept, &[f64]), (other, others): (&Kept, &[f64])) -> Self {
        let in_both = one.indices().iter().filter(|token| other.indices().binary_search(token).is_ok()).count();
        let overlap = if one.is_empty() { 1.0 } else { in_both as f64 / one.len() as f64 };
        let rank_correlation = rank_correlation(scores, others);
        Self { kept_in_both: in_both, kept: one.len(), overlap, overlap_by_chance: other.share(), rank_correlation }
    }
}

/// Spearman's rank correlation, -1 to 1: the correlation of the ranks, ties having their mean rank. `None` for slices of
/// different lengths, or where one side is constant.
pub fn rank_correlation(one: &[f64], other: &[f64]) -> Option<f64> {
    if one.len() != other.len() {
        return None;
    }
    let (one, other) = (centred_ranks(one), centred_ranks(other));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let spread = (product(&one, &one) * product(&other, &other)).sqrt();
    (spread > 0.0).then(|| (product(&one, &other) / spread).clamp(-1.0, 1.0))
}

/// The rank of every value, counted from the middle.
fn centred_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let middle = (values.len() as f64 - 1.0) / 2.0;
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (tied.len() as f64 - 1.0) / 2.0;
        tied.iter().for_each(|&index| ranks[index] = rank - middle);
        first += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn correlation(one: &[f64], other: &[f64]) -> f64 {
        rank_correlation(one, other).unwrap()
    }

    #[test]
    fn only_the_order_counts() {
        assert!((correlation(&[1.0, 2.0, 3.0, 4.0], &[0.0, 5.0, 6.0, 1e9]) - 1.0).abs() < 1e-12);
        assert!((correlation(&[1.0, 2.0, 3.0], &[9.0, 4.0, 1.0]) + 1.0).abs() < 1e-12);
        assert!((correlation(&[1.0, 2.0, 3.0, 4.0, 5.0], &[2.0, 1.0, 4.0, 3.0, 5.0]) - 0.8).abs() < 1e-12);
    }

    #[test]
    fn ties_share_their_mean_rank() {
        // Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
        assert!((correlation(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]) - 4.5 / 22.5f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn nothing_to_correlate() {
        assert_eq!(rank_correlation(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(rank_correlation(&[], &[]), None);
        assert_eq!(rank_correlation(&[1.0, 2.0], &[1.0]), None);
    }

    #[test]
    fn overlap_is_the_part_that_both_keep() {
        let kept = |indices: &[usize]| Kept::from_indices(8, indices.to_vec()).unwrap();
        let scores: Vec<f64> = (0..8).map(f64::from).collect();
        let agreement = Agreement::of((&kept(&[0, 1, 4, 7]), &scores), (&kept(&[1, 4, 5, 7]), &scores));
        assert_eq!((agreement.kept_in_both, agreement.kept), (3, 4));
        assert_eq!((agreement.overlap, agreement.overlap_by_chance), (0.75, 0.5));
    }

    proptest! {
        #[test]
        fn it_is_symmetric_and_bounded(pairs in prop::collection::vec((0u8..9, 0u8..9), 0..40)) {
            let (one, other): (Vec<f64>, Vec<f64>) = pairs.into_iter().map(|(a, b)| (f64::from(a), f64::from(b))).unzip();
            let there = rank_correlation(&one, &other);
            prop_assert_eq!(there, rank_correlation(&other, &one));
            prop_assert!(there.is_none_or(|value| (-1.0..=1.0).contains(&value)));
        }
    }
}
