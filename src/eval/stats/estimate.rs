use serde::Serialize;

use super::{DRAWS, Z, mean, quantile_of_sorted, sorted};

/// A mean and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Mean of the samples.
    pub mean: f64,
    /// Lower and upper end of its 95 % confidence interval.
    pub ci95: [f64; 2],
    /// Number of samples.
    pub n: usize,
}

/// Mean of scores from 0 to 1 with its interval: [`wilson`] if each is 0 or 1, else [`bootstrap_mean`]. `None` without
/// any.
pub fn accuracy(scores: &[f64]) -> Option<Estimate> {
    if scores.iter().all(|&score| score == 0.0 || score == 1.0) {
        wilson(scores.iter().sum(), scores.len())
    } else {
        bootstrap_mean(scores, 0)
    }
}

/// Share of successes with Wilson's score interval (1927), which stays within 0 and 1 and keeps its coverage near them.
/// `None` for no samples, or more successes than samples.
pub fn wilson(successes: f64, n: usize) -> Option<Estimate> {
    let total = n as f64;
    if n == 0 || !(0.0..=total).contains(&successes) {
        return None;
    }
    let share = successes / total;
    let shrunk = total + Z * Z;
    let center = (successes + Z * Z / 2.0) / shrunk;
    let half = Z * (total * share * (1.0 - share) + Z * Z / 4.0).sqrt() / shrunk;
    // The exact ends at no and at nothing but successes are 0 and 1; rounding must not part them from the mean.
    Some(Estimate { mean: share, ci95: [(center - half).clamp(0.0, share), (center + half).clamp(share, 1.0)], n })
}

/// Mean with the percentile interval of 2000 bootstrap draws; the order of the values does not matter. `None` without
/// any.
///
/// An interval of resampled values knows nothing beyond them: values that are all the same get one of no width.
pub fn bootstrap_mean(values: &[f64], seed: u64) -> Option<Estimate> {
    let values = sorted(values);
    let n = values.len();
    let (&least, &most) = (values.first()?, values.last()?);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut draw = || (0..n).filter_map(|_| values.get(random.usize(..n))).sum::<f64>() / n as f64;
    let means: Vec<f64> = (0..DRAWS).map(|_| draw().clamp(least, most)).collect();
    let means = sorted(&means);
    let ci95 = [quantile_of_sorted(&means, 0.025)?, quantile_of_sorted(&means, 0.975)?];
    Some(Estimate { mean: mean(&values).clamp(least, most), ci95, n })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wilson_by_hand() {
        // 8 of 10: center (8 + 1.92073) / 13.84146 = 0.716739, half 1.95996 * sqrt(1.6 + 0.960365) / 13.84146 = 0.226577
        let Estimate { mean, ci95: [low, high], n } = wilson(8.0, 10).unwrap();
        assert_eq!((mean, n), (0.8, 10));
        assert!((low - 0.490162).abs() < 1e-5 && (high - 0.943318).abs() < 1e-5, "{low} {high}");
        // none of 10: 0 to z² / (10 + z²)
        let Estimate { ci95: [low, high], .. } = wilson(0.0, 10).unwrap();
        assert_eq!(low, 0.0);
        assert!((high - 3.841459 / 13.841459).abs() < 1e-6);
        assert_eq!(wilson(10.0, 10).unwrap().ci95[1], 1.0);
        assert_eq!(wilson(0.0, 0), None);
        assert_eq!(wilson(3.0, 2), None);
        assert_eq!(wilson(f64::NAN, 2), None);
    }

    #[test]
    fn the_values_decide_the_interval() {
        assert_eq!(accuracy(&[1.0, 0.0, 1.0, 1.0]), wilson(3.0, 4));
        let parts = [1.0, 0.3, 0.6, 0.9];
        assert_eq!(accuracy(&parts), bootstrap_mean(&parts, 0));
        assert_eq!(accuracy(&[]), None);
        assert_eq!(bootstrap_mean(&[], 0), None);
    }

    #[test]
    fn bootstrap_comes_near_the_normal_interval() {
        let values: Vec<f64> = (0..400).map(|index| f64::from(index % 20) / 19.0).collect();
        let Estimate { mean, ci95: [low, high], .. } = bootstrap_mean(&values, 1).unwrap();
        // The variance of 20 even steps from 0 to 1 is (20² − 1) / 12 / 19² = 0.092105, so half is 1.96 * 0.303488 / 20.
        let half = 0.029742;
        assert!((mean - 0.5).abs() < 1e-12);
        assert!((low - (0.5 - half)).abs() < 0.003 && (high - (0.5 + half)).abs() < 0.003, "{low} {high}");
        assert_ne!(bootstrap_mean(&values, 1), bootstrap_mean(&values, 2));
    }

    #[test]
    fn constant_values_have_no_width() {
        let Estimate { mean, ci95, .. } = bootstrap_mean(&[0.1; 7], 0).unwrap();
        assert_eq!((mean, ci95), (0.1, [0.1; 2]));
    }

    #[test]
    fn wilson_covers() {
        let mut random = fastrand::Rng::with_seed(5);
        for (share, n) in [(0.5, 30), (0.9, 50), (0.97, 100)] {
            let covered = (0..2000).filter(|_| {
                let successes = (0..n).filter(|_| random.f64() < share).count();
                let [low, high] = wilson(successes as f64, n).unwrap().ci95;
                (low..=high).contains(&share)
            });
            let covered = covered.count() as f64 / 2000.0;
            assert!((0.92..0.99).contains(&covered), "{share} {n}: {covered}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn intervals_hold_the_mean(mut scores in prop::collection::vec(0.0..=1.0f64, 1..40), seed in any::<u64>()) {
            let estimate = bootstrap_mean(&scores, seed).unwrap();
            prop_assert!(0.0 <= estimate.ci95[0] && estimate.ci95[0] <= estimate.ci95[1] && estimate.ci95[1] <= 1.0);
            scores.reverse();
            prop_assert_eq!(bootstrap_mean(&scores, seed), Some(estimate));
        }

        #[test]
        fn wilson_is_symmetric(n in 1..500usize, part in 0.0..=1.0f64) {
            let successes = (part * n as f64).floor();
            let Estimate { mean, ci95: [low, high], .. } = wilson(successes, n).unwrap();
            prop_assert!(0.0 <= low && low <= mean && mean <= high && high <= 1.0);
            let failures = wilson(n as f64 - successes, n).unwrap();
            prop_assert!((failures.ci95[0] - (1.0 - high)).abs() < 1e-12);
            prop_assert!((failures.ci95[1] - (1.0 - low)).abs() < 1e-12);
        }
    }
}
