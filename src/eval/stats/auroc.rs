use super::sorted;

/// Area under the receiver operating characteristic: how likely a positive sample has a higher score than a negative
/// one, ties counting one half. Of `(score, positive)`; `None` unless both kinds occur.
pub fn auroc(samples: &[(f64, bool)]) -> Option<f64> {
    let of = |kind: bool| -> Vec<f64> {
        samples.iter().filter(|(_, positive)| *positive == kind).map(|&(score, _)| score).collect()
    };
    let (positives, negatives) = (of(true), sorted(&of(false)));
    let beaten = |score: &f64| {
        let below = negatives.partition_point(|negative| negative < score);
        let not_above = negatives.partition_point(|negative| negative <= score);
        (below + not_above) as f64 / 2.0
    };
    let pairs = positives.len() * negatives.len();
    (pairs > 0).then(|| positives.iter().map(beaten).sum::<f64>() / pairs as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hand_computed() {
        for (samples, expected) in [
            (&[(0.9, true), (0.1, false)][..], Some(1.0)),
            (&[(0.1, true), (0.9, false)], Some(0.0)),
            (&[(0.5, true), (0.5, false)], Some(0.5)),
            // 0.8 beats both, 0.4 beats one and ties none, 0.3 ties 0.3 and loses to 0.5: (2 + 1 + 0.5) / 6
            (&[(0.8, true), (0.4, true), (0.3, true), (0.3, false), (0.5, false)], Some(3.5 / 6.0)),
            (&[(0.5, true)], None),
            (&[(0.5, false)], None),
            (&[], None),
        ] {
            assert_eq!(auroc(samples), expected, "{samples:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn invariants(mut samples in prop::collection::vec(((0i8..6).prop_map(f64::from), any::<bool>()), 0..30)) {
            let area = auroc(&samples);
            prop_assert!(area.is_none_or(|area| (0.0..=1.0).contains(&area)));
            samples.reverse();
            prop_assert_eq!(auroc(&samples), area);
            let monotone: Vec<_> = samples.iter().map(|&(score, positive)| (score.exp(), positive)).collect();
            prop_assert_eq!(auroc(&monotone), area);
            let swapped: Vec<_> = samples.iter().map(|&(score, positive)| (score, !positive)).collect();
            prop_assert!(area.is_none_or(|area| (auroc(&swapped).unwrap() - (1.0 - area)).abs() < 1e-12));
        }
    }
}
