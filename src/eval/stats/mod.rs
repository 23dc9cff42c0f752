//! What scores of samples say about a model: estimates with their uncertainty, comparisons, promises.
//!
//! Everything is deterministic: what draws at random draws from a fixed or given seed. Values must be finite.

mod auroc;
pub mod bound;
mod estimate;
mod paired;

pub use auroc::auroc;
pub use estimate::{Estimate, accuracy, bootstrap_mean, wilson};
pub use paired::{Paired, mcnemar, paired};

/// The middle value, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The value below which a share `q` of the values lies, `0 <= q <= 1`, interpolated between neighbours (type 7 of
/// Hyndman and Fan, the default of NumPy and R). `None` without values or for another `q`.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    quantile_of_sorted(&sorted(values), q)
}

/// As [`quantile`], of values in rising order.
fn quantile_of_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let place = q * sorted.len().checked_sub(1)? as f64;
    let below = sorted.get(place.floor() as usize)?;
    let above = sorted.get(place.ceil() as usize)?;
    Some(below + (above - below) * place.fract())
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Draws of a bootstrap or a permutation test.
const DRAWS: usize = 2000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles() {
        let values = [4.0, 1.0, 3.0, 2.0];
        // At place 3q from the least: 0.9 lies 0.7 past the third value.
        for (q, expected) in [(0.0, 1.0), (0.25, 1.75), (0.5, 2.5), (0.9, 3.7), (1.0, 4.0)] {
            assert!((quantile(&values, q).unwrap() - expected).abs() < 1e-12, "{q}");
        }
        assert_eq!(median(&[5.0, -1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[]), None);
        assert_eq!(quantile(&values, 1.1), None);
        assert_eq!(quantile(&values, f64::NAN), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn quantiles_rise_within_the_values(
            mut values in prop::collection::vec(-9.0..9.0f64, 1..20),
            a in 0.0..=1.0f64,
            b in 0.0..=1.0f64,
        ) {
            let [low, high] = [a.min(b), a.max(b)].map(|q| quantile(&values, q).unwrap());
            prop_assert!(low <= high);
            prop_assert!(quantile(&values, 0.0).unwrap() <= low && high <= quantile(&values, 1.0).unwrap());
            values.reverse();
            prop_assert_eq!(quantile(&values, a.min(b)), Some(low));
        }
    }
}
