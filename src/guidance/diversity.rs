//! Diversity: greedy MAP of a determinantal point process.
//!
//! A set Y of visual tokens is worth `weight * sum over Y of ln q[i] + (1 - weight) * ln det S[Y]`, with their quality `q` and
//! the cosine similarities `S` of their embeddings (Kulesza & Taskar, arXiv 1207.6083, section 3.1; at a weight of 2/3 this is
//! their DPP of quality q, whose similarities are weighted by `q[i] q[j]`). Every step takes the token that adds most,
//! `weight * ln q[i] + (1 - weight) * ln d2[i]`: `d2[i]` is the squared length of the part of `i` that is no combination of
//! those taken before, from a Cholesky factor that grows by a column (Chen, Zhang & Zhou, arXiv 1709.05135, algorithm 1). k
//! steps cost `O(V k D + V k^2)`.

use super::ranking;

/// A token with less than this of its squared length left is a combination of those taken: rounding leaves so much of a
/// duplicate.
const SPANNED: f64 = 1e-6;
/// Partial sums of a dot product, for vector registers.
const LANES: usize = 16;

/// Indices of all visual tokens, each the best addition to those before it, ties in order.
///
/// Once everything left is a combination of what was taken, it is ranked the same way anew, as if nothing had been taken.
/// Rows without a direction (zero, or not finite) come last.
pub(super) struct Greedy {
    /// Of unit length, or zero without a direction; padded. `[n_visual, width]`
    rows: Vec<f32>,
    width: usize,
    /// `weight * ln q`. `[n_visual]`
    quality: Vec<f64>,
    /// `1 - weight`.
    spread: f64,
    is_taken: Vec<bool>,
    /// `d2`; 0 for those taken. `[n_visual]`
    residual: Vec<f64>,
    /// Columns of the Cholesky factor, `[n_taken][n_visual]`.
    factor: Vec<Vec<f64>>,
}

impl Greedy {
    /// `embeddings` are `[n_visual][n_embd]`; `quality` is `[n_visual]` and never negative; `weight` is cut to `0..=1`.
    pub fn new(embeddings: &[&[f32]], quality: &[f64], weight: f64) -> Self {
        let weight = if weight > 0.0 { weight.min(1.0) } else { 0.0 };
        let n_embd = embeddings.iter().map(|row| row.len()).max().unwrap_or(0);
        let width = n_embd.max(1).next_multiple_of(LANES);
        let mut rows = Vec::with_capacity(embeddings.len() * width);
        for row in embeddings {
            let end = rows.len() + width;
            rows.extend(unit(row));
            rows.resize(end, 0.0);
        }
        let quality = quality.iter().map(|quality| weight * quality.max(f64::MIN_POSITIVE).ln()).collect();
        let is_taken = vec![false; embeddings.len()];
        let mut greedy =
            Self { rows, width, quality, spread: 1.0 - weight, is_taken, residual: vec![], factor: vec![] };
        greedy.restart();
        greedy
    }

    /// Nothing spans what is left.
    fn restart(&mut self) {
        let fresh = |(&is_taken, row): (&bool, &[f32])| {
            let has_direction = row.iter().any(|&value| value != 0.0);
            f64::from(u8::from(!is_taken && has_direction))
        };
        self.residual = self.is_taken.iter().zip(self.rows.chunks_exact(self.width)).map(fresh).collect();
        self.factor.clear();
    }

    fn best(&self) -> Option<usize> {
        let gain = |(index, &residual): (usize, &f64)| (self.quality[index] + self.spread * residual.ln(), index);
        let candidates = self.residual.iter().enumerate().filter(|&(_, &residual)| residual > SPANNED);
        // The last of equals is the one of the lowest index.
        candidates.map(gain).rev().max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, index)| index)
    }

    /// Takes what the others have in common with `index` out of them.
    fn project(&mut self, index: usize) {
        let length = self.residual[index].sqrt();
        let row = &self.rows[index * self.width..][..self.width];
        let open = |(row_of, &residual): (&[f32], &f64)| {
            if residual > SPANNED { f64::from(dot(row_of, row)) } else { 0.0 }
        };
        let mut column: Vec<f64> = self.rows.chunks_exact(self.width).zip(&self.residual).map(open).collect();
        for earlier in &self.factor {
            let own = earlier[index];
            column.iter_mut().zip(earlier).for_each(|(value, earlier)| *value -= own * earlier);
        }
        for (value, residual) in column.iter_mut().zip(&mut self.residual) {
            *value /= length;
            *residual -= *value * *value;
        }
        self.residual[index] = 0.0;
        self.factor.push(column);
    }
}

impl Iterator for Greedy {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let mut best = self.best();
        if best.is_none() {
            self.restart();
            best = self.best();
        }
        match best {
            Some(index) => self.project(index),
            None => best = ranking(&self.quality).into_iter().find(|&index| !self.is_taken[index]),
        }
        self.is_taken[best?] = true;
        best
    }
}

/// The row at length 1; nothing if it has no direction.
fn unit(row: &[f32]) -> impl Iterator<Item = f32> {
    let length = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let has_direction = length > 0.0 && length.is_finite();
    row.iter().filter(move |_| has_direction).map(move |&value| (f64::from(value) / length) as f32)
}

/// Of rows of whole [`LANES`].
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn greedy(rows: &[Vec<f32>], quality: &[f64], weight: f64) -> Vec<usize> {
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        Greedy::new(&rows, quality, weight).collect()
    }

    fn diverse(rows: &[Vec<f32>]) -> Vec<usize> {
        greedy(rows, &vec![1.0; rows.len()], 0.0)
    }

    /// Rows in general position, in `n_embd` dimensions.
    fn random_rows(n: usize, n_embd: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..n).map(|_| (0..n_embd).map(|_| random.f32() - 0.3).collect()).collect()
    }

    /// `weight * sum of ln q + (1 - weight) * ln det S`, by elimination.
    fn worth(rows: &[Vec<f32>], quality: &[f64], weight: f64, kept: &[usize]) -> f64 {
        let cosine = |a: &[f32], b: &[f32]| {
            let product =
                |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
            product(a, b) / (product(a, a) * product(b, b)).sqrt()
        };
        let mut matrix: Vec<Vec<f64>> =
            kept.iter().map(|&a| kept.iter().map(|&b| cosine(&rows[a], &rows[b])).collect()).collect();
        let mut log_det = 0.0;
        for pivot in 0..kept.len() {
            log_det += matrix[pivot][pivot].max(1e-300).ln();
            let top = matrix[pivot].clone();
            for row in &mut matrix[pivot + 1..] {
                let factor = row[pivot] / top[pivot];
                row.iter_mut().zip(&top).for_each(|(value, top)| *value -= factor * top);
            }
        }
        weight * kept.iter().map(|&index| quality[index].ln()).sum::<f64>() + (1.0 - weight) * log_det
    }

    #[test]
    fn the_most_different_come_first_and_ties_in_order() {
        let rows = vec![vec![1.0, 0.0, 0.0], vec![1.0, 0.1, 0.0], vec![0.0, 1.0, 0.5], vec![0.0, 0.0, 1.0]];
        assert_eq!(diverse(&rows), [0, 2, 3, 1]);
        assert_eq!(diverse(&[vec![3.0], vec![1.0], vec![2.0]]), [0, 1, 2]);
    }

    #[test]
    fn no_row_breaks_the_ranking() {
        let rows =
            vec![vec![], vec![0.0, 0.0], vec![1.0, 0.0], vec![f32::NAN, 1.0], vec![f32::INFINITY], vec![1e30, 1e38]];
        assert_eq!(diverse(&rows), [2, 5, 0, 1, 3, 4]);
        assert_eq!(greedy(&rows, &[1.0, 9.0, 0.0, 3.0, 2.0, 0.0], 0.5), [2, 5, 1, 3, 4, 0]);
        assert!(diverse(&[]).is_empty());
        assert_eq!(diverse(&vec![vec![0.0; 3]; 4]), [0, 1, 2, 3]);
    }

    #[test]
    fn what_nothing_attends_to_is_still_ranked() {
        let rows = vec![vec![1.0, 0.0], vec![1.0, 0.1], vec![0.0, 1.0], vec![1.0, 1.0]];
        assert_eq!(greedy(&rows, &[0.0, 1.0, 0.0, 0.0], 0.5)[..2], [1, 2]);
    }

    proptest! {
        #[test]
        fn every_step_is_the_best_one(
            n in 1usize..12, seed in any::<u64>(), weight in 0.0..1.0f64, quality in prop::collection::vec(0.01..5.0f64, 12),
        ) {
            let (rows, quality) = (random_rows(n, 16, seed), &quality[..n]);
            let order = greedy(&rows, quality, weight);
            for k in 1..=n {
                let gained = worth(&rows, quality, weight, &order[..k]);
                for other in &order[k..] {
                    let instead = [&order[..k - 1], &[*other]].concat();
                    prop_assert!(worth(&rows, quality, weight, &instead) <= gained + 1e-3);
                }
            }
        }

        #[test]
        fn all_are_ranked_once_and_always_alike(n in 0usize..60, n_embd in 0usize..20, seed in any::<u64>(), weight in 0.0..=1.0f64) {
            let rows = random_rows(n, n_embd, seed);
            let quality: Vec<f64> = (0..n).map(|index| (index % 5) as f64).collect();
            let order = greedy(&rows, &quality, weight);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..n).collect::<Vec<_>>());
            prop_assert_eq!(&order, &greedy(&rows, &quality, weight));
            prop_assert!(weight > 0.0 || order == diverse(&rows));
        }

        #[test]
        fn copies_come_after_all_that_differ(
            n in 1usize..12, copies in prop::collection::vec(0usize..12, 0..12), seed in any::<u64>(), weight in 0.0..1.0f64,
        ) {
            let distinct = random_rows(n, 24, seed);
            // Copies of any length, the best attended of all, and in front.
            let copy = |&of: &usize| distinct[of % n].iter().map(|value| 3.0 * value).collect();
            let rows: Vec<Vec<f32>> = copies.iter().map(copy).chain(distinct.clone()).collect();
            let quality: Vec<f64> = (0..rows.len()).map(|index| if index < copies.len() { 9.0 } else { 1.0 }).collect();
            let original = |index: usize| copies.get(index).map_or_else(|| index - copies.len(), |of| of % n);
            let mut first: Vec<usize> = greedy(&rows, &quality, weight)[..n].iter().map(|&index| original(index)).collect();
            first.sort_unstable();
            prop_assert_eq!(first, (0..n).collect::<Vec<_>>());
        }

        #[test]
        fn lengths_do_not_matter(n in 1usize..30, seed in any::<u64>(), exponents in prop::collection::vec(-20i32..20, 30)) {
            let rows = random_rows(n, 7, seed);
            let scale = |(row, &exponent): (&Vec<f32>, &i32)| row.iter().map(|value| value * (exponent as f32).exp2()).collect();
            let scaled: Vec<Vec<f32>> = rows.iter().zip(&exponents).map(scale).collect();
            prop_assert_eq!(diverse(&rows), diverse(&scaled));
        }

        #[test]
        fn where_nothing_is_redundant_attention_ranks(n in 1usize..30, weight in 0.01..1.0f64, seed in any::<u64>()) {
            let mut random = fastrand::Rng::with_seed(seed);
            let quality: Vec<f64> = (0..n).map(|_| random.f64()).collect();
            let orthogonal: Vec<Vec<f32>> =
                (0..n).map(|index| (0..n).map(|other| f32::from(u8::from(index == other))).collect()).collect();
            prop_assert_eq!(greedy(&orthogonal, &quality, weight), ranking(&quality));
        }
    }
}
