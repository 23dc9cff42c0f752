use serde::Serialize;

use super::{DRAWS, Z, bootstrap_mean, mean, sorted};

/// Two policies on the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Paired {
    /// Number of samples.
    pub n: usize,
    /// Mean score of the first policy minus that of the second.
    pub difference: f64,
    /// Lower and upper end of its 95 % confidence interval.
    pub ci95: [f64; 2],
    /// How likely a difference at least this large in either direction is if the policies are equally good.
    pub p: f64,
    /// Samples on which the first policy scores higher.
    pub gained: usize,
    /// Samples on which the first policy scores lower.
    pub lost: usize,
}

/// Compares the scores `[first policy, second policy]` of samples. `None` without any.
///
/// Where each sample is gained, lost or the same (scores of 0 and 1): the exact test of McNemar, and the interval of
/// Agresti and Min (2005), Wald's with half a sample more in each cell of the table. Else a permutation test that
/// flips signs and the percentile interval of a bootstrap, 2000 draws each. Swapping the policies changes the signs
/// only, up to the draws of the bootstrap.
pub fn paired(scores: &[[f64; 2]], seed: u64) -> Option<Paired> {
    let differences: Vec<f64> = scores.iter().map(|[first, second]| first - second).collect();
    let n = differences.len();
    let gained = differences.iter().filter(|&&difference| difference > 0.0).count();
    let lost = differences.iter().filter(|&&difference| difference < 0.0).count();
    let whole = differences.iter().all(|difference| [-1.0, 0.0, 1.0].contains(difference));
    let (difference, ci95, p) = if n == 0 {
        return None;
    } else if whole {
        (mean(&differences), agresti_min(gained, lost, n), mcnemar(gained, lost))
    } else {
        let bootstrap = bootstrap_mean(&differences, seed)?;
        (bootstrap.mean, bootstrap.ci95, sign_flip(&differences, seed))
    };
    Some(Paired { n, difference, ci95, p, gained, lost })
}

/// Exact two-sided p of McNemar's test: how likely so uneven a split of the samples that differ is if either side is as
/// likely.
pub fn mcnemar(gained: usize, lost: usize) -> f64 {
    let differ = gained + lost;
    // Binomial(differ, 1/2) up to the lesser count, in logarithms: 2^-differ is 0 in f64 from 1,075 on.
    let mut log_probability = -(differ as f64) * std::f64::consts::LN_2;
    let mut tail = log_probability.exp();
    for count in 1..=gained.min(lost) {
        log_probability += ((differ - count + 1) as f64 / count as f64).ln();
        tail += log_probability.exp();
    }
    (2.0 * tail).min(1.0)
}

fn agresti_min(gained: usize, lost: usize, n: usize) -> [f64; 2] {
    let (gained, lost, n) = (gained as f64 + 0.5, lost as f64 + 0.5, n as f64 + 2.0);
    let difference = gained - lost;
    let half = Z * (gained + lost - difference * difference / n).sqrt();
    [((difference - half) / n).max(-1.0), ((difference + half) / n).min(1.0)]
}

/// Two-sided p: how often the sum with random signs is at least as far from 0, the signs as they are being one of the
/// draws.
fn sign_flip(differences: &[f64], seed: u64) -> f64 {
    let sizes: Vec<f64> = differences.iter().map(|difference| difference.abs()).filter(|&size| size > 0.0).collect();
    let sizes = sorted(&sizes);
    let observed = differences.iter().sum::<f64>().abs();
    let least = observed - ROUNDING * sizes.iter().sum::<f64>();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut flipped = || sizes.iter().map(|&size| if random.bool() { size } else { -size }).sum::<f64>();
    let as_far = (0..DRAWS).filter(|_| flipped().abs() >= least).count();
    (as_far + 1) as f64 / (DRAWS + 1) as f64
}

/// Relative slack for sums of the same values in another order.
const ROUNDING: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mcnemar_by_hand() {
        for (gained, lost, expected) in [
            (0, 0, 1.0),
            (0, 5, 2.0 / 32.0),
            (6, 0, 2.0 / 64.0),
            (1, 9, 2.0 * (1.0 + 10.0) / 1024.0),
            (2, 8, 2.0 * (1.0 + 10.0 + 45.0) / 1024.0),
            (5, 5, 1.0), // twice more than half
        ] {
            let p = mcnemar(gained, lost);
            assert!((p - expected).abs() < 1e-12, "{gained} {lost}: {p}");
        }
        // 50 standard deviations would be needed for less; the normal approximation at z = 2 says 0.0455.
        let p = mcnemar(5000 + 100, 5000 - 100);
        assert!((p - 0.0466).abs() < 5e-4, "{p}");
    }

    #[test]
    fn scores_of_0_and_1() {
        // 3 gained, 1 lost, 6 the same: the interval is (3.5 − 1.5 ± 1.95996 * sqrt(5 − 4/12)) / 12
        let scores = [[[1.0, 0.0]; 3].as_slice(), &[[0.0, 1.0]], &[[1.0, 1.0]; 4], &[[0.0, 0.0]; 2]].concat();
        let result = paired(&scores, 0).unwrap();
        assert_eq!((result.n, result.gained, result.lost), (10, 3, 1));
        assert!((result.difference - 0.2).abs() < 1e-12);
        assert!((result.p - 2.0 * (1.0 + 4.0) / 16.0).abs() < 1e-12);
        let [low, high] = result.ci95;
        assert!((low - (2.0 - 4.234012) / 12.0).abs() < 1e-5 && (high - (2.0 + 4.234012) / 12.0).abs() < 1e-5);
    }

    #[test]
    fn agreement_is_not_certainty() {
        let same = paired(&[[1.0, 1.0]; 18], 0).unwrap();
        assert_eq!((same.difference, same.p, same.gained, same.lost), (0.0, 1.0, 0, 0));
        assert!((same.ci95[1] - Z / 20.0).abs() < 1e-12 && same.ci95[0] == -same.ci95[1]);
        assert_eq!(paired(&[], 0), None);
    }

    #[test]
    fn parts_of_a_score() {
        // Eight gains of one half and nothing else: only the two ways with one sign are as far, 2 / 256.
        let result = paired(&[[0.9, 0.4]; 8], 3).unwrap();
        assert!((result.difference - 0.5).abs() < 1e-12);
        assert_eq!((result.gained, result.lost), (8, 0));
        assert!((result.p - 2.0 / 256.0).abs() < 0.006, "{}", result.p);
        // As many gains as losses of one size: every way is as far.
        let even = paired(&[[0.9, 0.4], [0.4, 0.9], [0.7, 0.7]], 3).unwrap();
        assert_eq!((even.p, even.gained, even.lost), (1.0, 1, 1));
    }

    #[test]
    fn intervals_cover_and_tests_keep_their_level() {
        let mut random = fastrand::Rng::with_seed(11);
        let (n, rounds, gain, loss) = (100, 1000, 0.08, 0.05);
        let mut covered = 0;
        let mut rejected = 0;
        for _ in 0..rounds {
            let mut draw = |gain: f64, loss: f64| -> [usize; 2] {
                let mut counts = [0; 2];
                for _ in 0..n {
                    let value = random.f64();
                    counts[0] += usize::from(value < gain);
                    counts[1] += usize::from((gain..gain + loss).contains(&value));
                }
                counts
            };
            let [gained, lost] = draw(gain, loss);
            let [low, high] = agresti_min(gained, lost, n);
            covered += usize::from((low..=high).contains(&(gain - loss)));
            let [gained, lost] = draw(0.1, 0.1);
            rejected += usize::from(mcnemar(gained, lost) <= 0.05);
        }
        assert!((930..=990).contains(&covered), "{covered}");
        assert!(rejected <= 60, "{rejected}");
    }

    fn score() -> impl Strategy<Value = f64> {
        (0i8..=4).prop_map(|quarters| f64::from(quarters) / 4.0)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn swapping_and_reordering(
            mut scores in prop::collection::vec([score(), score()], 1..25),
            seed in any::<u64>(),
        ) {
            let result = paired(&scores, seed).unwrap();
            prop_assert!(result.p > 0.0 && result.p <= 1.0 && (-1.0..=1.0).contains(&result.difference));
            prop_assert!(-1.0 <= result.ci95[0] && result.ci95[0] <= result.ci95[1] && result.ci95[1] <= 1.0);
            scores.reverse();
            prop_assert_eq!(paired(&scores, seed), Some(result));
            for pair in &mut scores {
                pair.reverse();
            }
            let swapped = paired(&scores, seed).unwrap();
            prop_assert_eq!((swapped.difference, swapped.p), (-result.difference, result.p));
            prop_assert_eq!((swapped.gained, swapped.lost), (result.lost, result.gained));
        }

        #[test]
        fn mcnemar_is_symmetric_and_falls_with_the_gap(gained in 0..200usize, lost in 0..200usize) {
            prop_assert_eq!(mcnemar(gained, lost), mcnemar(lost, gained));
            let (less, more) = (gained.min(lost), gained.max(lost));
            prop_assert!(mcnemar(less, more + 1) <= mcnemar(less, more) + 1e-12);
        }
    }
}
