use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{GuidanceError, serde_as_text};
use utoipa::ToSchema;

/// SEE: how sure the guide is of its own greedy answer, `exp(1/N * sum_i ln p(x_i))`, in `0..=1`.
///
/// `logprobs` are natural logarithms, one per generated token, the end token included. An empty answer has shown nothing
/// to be sure of: 0, not the 1 of an empty product. A NaN gives 0 too.
pub fn confidence(logprobs: &[f64]) -> f64 {
    if logprobs.is_empty() {
        return 0.0;
    }
    probability(logprobs.iter().sum::<f64>() / logprobs.len() as f64)
}

/// How the probabilities of the answer under pruning become one number.
///
/// Text forms: `product`, `geomean`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Consistency {
    /// As in the paper's code. Not normalised by length, so it vanishes for long answers.
    #[default]
    Product,
    /// The N-th root of the product, comparable over answers of any length.
    GeometricMean,
}

impl Consistency {
    /// SEE: probability that the guide gives the same answer when it sees only its own top visual tokens, in `0..=1`.
    ///
    /// `logprobs` are natural logarithms of the answer's tokens, forced one after the other behind the pruned prompt. An
    /// empty answer or a NaN gives 0, as in [`confidence`].
    pub fn of(self, logprobs: &[f64]) -> f64 {
        match self {
            Consistency::Product if logprobs.is_empty() => 0.0,
            Consistency::Product => probability(logprobs.iter().sum()),
            Consistency::GeometricMean => confidence(logprobs),
        }
    }
}

/// Rounding may lift a logarithm above 0; `f64::min` alone would turn NaN into certainty.
fn probability(logprob: f64) -> f64 {
    if logprob.is_nan() { 0.0 } else { logprob.exp().min(1.0) }
}

/// Whether the guide's answer is final, and the numbers that decided it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct ExitDecision {
    /// `(confidence + consistency) / 2`; none without consistency.
    pub score: Option<f64>,
    /// See [`confidence`].
    pub confidence: f64,
    /// See [`Consistency::of`]; none if its pass was skipped.
    pub consistency: Option<f64>,
    /// The score that ends the request. 0 always exits, above 1 never does.
    pub threshold: f64,
    /// Whether the target need not run.
    pub exited: bool,
}

impl ExitDecision {
    /// SEE: exits if `(confidence + consistency) / 2 >= threshold`.
    pub fn decide(confidence: f64, consistency: f64, threshold: f64) -> Self {
        let score = score(confidence, consistency);
        Self { score: Some(score), confidence, consistency: Some(consistency), threshold, exited: score >= threshold }
    }

    /// The decision not to exit, taken without the consistency pass because of [`cannot_exit`].
    pub fn ruled_out(confidence: f64, threshold: f64) -> Self {
        Self { score: None, confidence, consistency: None, threshold, exited: false }
    }
}

/// Whether even a consistency of 1 would leave the score below the threshold.
///
/// The consistency pass costs a prefill of the guide and cannot change the outcome then: skip it and report
/// [`ExitDecision::ruled_out`]. Whoever sweeps thresholds needs the score itself and runs the pass regardless.
pub fn cannot_exit(confidence: f64, threshold: f64) -> bool {
    !ExitDecision::decide(confidence, 1.0, threshold).exited
}

fn score(confidence: f64, consistency: f64) -> f64 {
    (confidence + consistency) / 2.0
}

impl FromStr for Consistency {
    type Err = GuidanceError;

    fn from_str(text: &str) -> Result<Self, GuidanceError> {
        match text {
            "product" => Ok(Consistency::Product),
            "geomean" => Ok(Consistency::GeometricMean),
            _ => Err(GuidanceError::ConsistencyText(text.to_owned())),
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Consistency::Product => "product",
            Consistency::GeometricMean => "geomean",
        })
    }
}

serde_as_text!(Consistency);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn logs(probabilities: &[f64]) -> Vec<f64> {
        probabilities.iter().map(|probability| probability.ln()).collect()
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn hand_computed_answers() {
        let answer = logs(&[0.5, 0.8, 0.1]); // product 0.04
        assert!(close(confidence(&answer), 0.04f64.cbrt()));
        assert!(close(Consistency::Product.of(&answer), 0.04));
        assert!(close(Consistency::GeometricMean.of(&answer), 0.04f64.cbrt()));
        assert!(close(confidence(&logs(&[0.25])), 0.25));
        assert!(close(Consistency::Product.of(&logs(&[0.25])), 0.25));
    }

    #[test]
    fn a_long_answer_has_no_product_but_a_mean() {
        let answer = vec![0.9f64.ln(); 10_000];
        assert_eq!(Consistency::Product.of(&answer), 0.0);
        assert!(close(Consistency::GeometricMean.of(&answer), 0.9));
    }

    #[test]
    fn no_evidence_is_no_confidence() {
        for logprobs in [&[][..], &[f64::NAN], &[f64::NEG_INFINITY], &[f64::INFINITY, f64::NEG_INFINITY]] {
            assert_eq!(confidence(logprobs), 0.0, "{logprobs:?}");
            assert_eq!(Consistency::Product.of(logprobs), 0.0, "{logprobs:?}");
            assert_eq!(Consistency::GeometricMean.of(logprobs), 0.0, "{logprobs:?}");
        }
        assert!(!ExitDecision::decide(confidence(&[]), Consistency::Product.of(&[]), 0.01).exited);
    }

    #[test]
    fn rounding_above_certainty_is_cut() {
        assert_eq!(confidence(&[1e-9]), 1.0);
        assert_eq!(Consistency::Product.of(&[1e-9, 1e-9]), 1.0);
    }

    #[test]
    fn the_score_is_the_mean_and_the_threshold_is_reached_from_below() {
        let decision = ExitDecision::decide(0.75, 0.25, 0.5);
        assert_eq!((decision.score, decision.exited), (Some(0.5), true));
        assert!(!ExitDecision::decide(0.75, 0.25, 0.500_001).exited);
        assert!(ExitDecision::decide(0.0, 0.0, 0.0).exited);
        assert!(!ExitDecision::decide(1.0, 1.0, 1.1).exited);
        assert!(!ExitDecision::decide(f64::NAN, 1.0, 0.5).exited);
    }

    #[test]
    fn the_bound_is_tight() {
        assert!(!cannot_exit(0.5, 0.75));
        assert!(cannot_exit(0.499, 0.75));
        assert!(cannot_exit(1.0, 1.1));
        assert!(cannot_exit(f64::NAN, 0.5));
    }

    #[test]
    fn json_shows_what_was_measured() {
        let json = |decision: &ExitDecision| serde_json::to_string(decision).unwrap();
        assert_eq!(
            json(&ExitDecision::decide(0.75, 0.25, 0.5)),
            r#"{"score":0.5,"confidence":0.75,"consistency":0.25,"threshold":0.5,"exited":true}"#
        );
        assert_eq!(
            json(&ExitDecision::ruled_out(0.25, 0.75)),
            r#"{"score":null,"confidence":0.25,"consistency":null,"threshold":0.75,"exited":false}"#
        );
    }

    #[test]
    fn consistency_text() {
        for consistency in [Consistency::Product, Consistency::GeometricMean] {
            assert_eq!(consistency.to_string().parse(), Ok(consistency));
            let json = serde_json::to_string(&consistency).unwrap();
            assert_eq!(serde_json::from_str::<Consistency>(&json).unwrap(), consistency);
        }
        let error = "mean".parse::<Consistency>().unwrap_err().to_string();
        assert_eq!(error, r#"consistency "mean" is not understood; use product or geomean"#);
    }

    proptest! {
        #[test]
        fn what_is_ruled_out_would_not_have_exited(
            confidence in 0.0..=1.0f64,
            consistency in 0.0..=1.0f64,
            threshold in 0.0..=1.0f64,
        ) {
            let exited = ExitDecision::decide(confidence, consistency, threshold).exited;
            prop_assert!(!(exited && cannot_exit(confidence, threshold)));
        }

        #[test]
        fn all_numbers_are_probabilities_and_the_product_is_the_smaller(
            answer in prop::collection::vec(-20.0..=0.0f64, 1..50),
        ) {
            let (product, mean) = (Consistency::Product.of(&answer), Consistency::GeometricMean.of(&answer));
            prop_assert!(0.0 <= product && product <= mean * (1.0 + 1e-12) && mean <= 1.0);
            let least = answer.iter().copied().fold(0.0, f64::min).exp();
            prop_assert!(mean >= least * (1.0 - 1e-12));
        }
    }
}
