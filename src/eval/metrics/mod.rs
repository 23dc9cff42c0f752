//! Scores of one reply against its gold answers, each 0 to 1, computed as the authors of the benchmarks compute them.
//!
//! | Metric | Benchmarks | Definition | Source |
//! |---|---|---|---|
//! | [`vqa`](Metric::Vqa) | VQA v2, TextVQA, OK-VQA, VizWiz | a third for each agreeing annotator, at most 1, averaged over leaving out one | Antol et al. 2015 (arXiv 1505.00468), TextVQA's EvalAI answer processor |
//! | [`anls`](Metric::Anls) | DocVQA, InfographicVQA, ST-VQA | 1 − edit distance / length, 0 below one half, best answer | Biten et al. 2019 (arXiv 1907.00490), evaluator of the Robust Reading Competition |
//! | [`relaxed`](Metric::Relaxed) | ChartQA | numbers within 5 % of the gold one, other answers exactly | Masry et al. 2022 (arXiv 2203.10244, 5.1), pix2struct's implementation |
//! | [`exact`](Metric::Exact) | GQA, OCR-VQA | the same text but for case and a trailing period | Hudson & Manning 2019 (arXiv 1902.09506), the conversion before its evaluator |
//! | [`contains`](Metric::Contains) | own question files | an answer stands in the reply as words of its own | this project; OCRBench (arXiv 2305.07895) takes any substring |
//! | [`choice`](Metric::Choice) | MMBench, AI2D, SEED-Bench | the option that a rule reads from the reply is the right one | Liu et al. 2023 (arXiv 2307.06281), VLMEvalKit's `can_infer` |
//! | [`yes_no`](Metric::YesNo) | MME | yes or no among the first four characters | Fu et al. 2023 (arXiv 2306.13394), its calculation script |
//! | [`box`](Metric::Box) | RefCOCO, RefCOCO+, RefCOCOg | intersection over union of at least one half | Yu et al. 2016 (arXiv 1608.00272), Mao et al. 2016 (arXiv 1511.02283) |
//! | [`judge`](Metric::Judge) | MM-Vet, LLaVA-Bench | open answers that only a judge can score | none here |

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub mod anls;
pub mod boxes;
pub mod choice;
pub mod contains;
pub mod exact;
pub mod relaxed;
pub mod vqa;
pub mod yes_no;

/// How replies to a benchmark are scored.
///
/// Text forms: `vqa`, `anls`, `relaxed`, `exact`, `contains`, `choice`, `yes_no`, `box`, `judge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Metric {
    /// [`vqa::accuracy`].
    Vqa,
    /// [`anls::score`].
    Anls,
    /// [`relaxed::score`].
    Relaxed,
    /// [`exact::score`].
    Exact,
    /// [`contains::score`].
    Contains,
    /// [`choice::pick`].
    Choice,
    /// [`yes_no::read`].
    YesNo,
    /// [`boxes::score`].
    Box,
    /// No rule scores these answers: replies are collected for a judge.
    Judge,
}

/// A text that names no [`Metric`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no metric {0:?}; use one of {known}", known = Metric::ALL.map(Metric::name).join(", "))]
pub struct UnknownMetric(pub String);

impl Metric {
    /// All of them, in the order of the table above.
    pub const ALL: [Self; 9] = [
        Self::Vqa,
        Self::Anls,
        Self::Relaxed,
        Self::Exact,
        Self::Contains,
        Self::Choice,
        Self::YesNo,
        Self::Box,
        Self::Judge,
    ];

    /// The text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vqa => "vqa",
            Self::Anls => "anls",
            Self::Relaxed => "relaxed",
            Self::Exact => "exact",
            Self::Contains => "contains",
            Self::Choice => "choice",
            Self::YesNo => "yes_no",
            Self::Box => "box",
            Self::Judge => "judge",
        }
    }
}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(text: &str) -> Result<Self, UnknownMetric> {
        Self::ALL.into_iter().find(|metric| metric.name() == text).ok_or_else(|| UnknownMetric(text.to_owned()))
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl TryFrom<String> for Metric {
    type Error = UnknownMetric;

    fn try_from(text: String) -> Result<Self, UnknownMetric> {
        text.parse()
    }
}

impl From<Metric> for String {
    fn from(metric: Metric) -> Self {
        metric.name().to_owned()
    }
}

/// 1 for right, 0 for wrong.
fn right(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

/// The best score over several gold answers; 0 without any.
fn best<S: AsRef<str>>(answers: &[S], score: impl Fn(&str) -> f64) -> f64 {
    answers.iter().map(|answer| score(answer.as_ref())).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_the_text_forms_everywhere() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string().parse(), Ok(metric));
            let json = serde_json::to_string(&metric).unwrap();
            assert_eq!(json, format!("\"{metric}\""));
            assert_eq!(serde_json::from_str::<Metric>(&json).unwrap(), metric);
        }
    }

    #[test]
    fn an_unknown_name_is_told_the_known_ones() {
        let told = "there is no metric \"bleu\"; \
                    use one of vqa, anls, relaxed, exact, contains, choice, yes_no, box, judge";
        assert_eq!("bleu".parse::<Metric>().unwrap_err().to_string(), told);
        assert!(serde_json::from_str::<Metric>("\"bleu\"").unwrap_err().to_string().starts_with(told));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_scored_between_0_and_1(
            reply in any::<String>(),
            answers in prop::collection::vec(".{0,12}", 0..6),
        ) {
            for score in [
                vqa::accuracy(&reply, &answers),
                anls::score(&reply, &answers),
                relaxed::score(&reply, &answers),
                exact::score(&reply, &answers),
                contains::score(&reply, &answers),
            ] {
                prop_assert!((0.0..=1.0).contains(&score));
            }
            prop_assert!(choice::pick(&reply, &answers).is_none_or(|index| index < answers.len()));
            yes_no::read(&reply);
        }

        #[test]
        fn the_order_of_the_answers_does_not_matter(
            reply in "[a-c. ]{0,4}",
            mut answers in prop::collection::vec("[a-c. ]{0,4}", 0..6),
        ) {
            let scores = |answers: &[String]| {
                [
                    vqa::accuracy(&reply, answers),
                    anls::score(&reply, answers),
                    relaxed::score(&reply, answers),
                    exact::score(&reply, answers),
                    contains::score(&reply, answers),
                ]
            };
            let before = scores(&answers);
            answers.reverse();
            prop_assert_eq!(scores(&answers), before);
        }
    }
}
