//! Answers against what is right.

use super::metrics::boxes::BoxUnits;
use super::metrics::{Metric, anls, boxes, choice, contains, exact, relaxed, vqa, yes_no};
use super::prompts::{BoxUnit, Family};
use super::sample::{Gold, Sample};
use crate::geometry::{Place, Rect};

/// Score of a reply, 0 to 1; `None` where only a judge, or agreement with another answer, can tell.
pub fn score(metric: Metric, sample: &Sample, reply: &str, units: BoxUnits) -> Option<f64> {
    let right = |right: bool| Some(f64::from(u8::from(right)));
    match (metric, &sample.gold) {
        (Metric::Vqa, Gold::Answers(answers)) => Some(vqa::accuracy(reply, answers)),
        (Metric::Anls, Gold::Answers(answers)) => Some(anls::score(reply, answers)),
        (Metric::Relaxed, Gold::Answers(answers)) => Some(relaxed::score(reply, answers)),
        (Metric::Contains, Gold::Answers(answers)) => Some(contains::score(reply, answers)),
        (Metric::Exact, Gold::Answers(answers)) => Some(exact::score(reply, answers)),
        (_, &Gold::Choice(wanted)) => right(choice::pick(reply, &sample.choices) == Some(wanted)),
        (_, &Gold::YesNo(wanted)) => right(yes_no::read(reply) == Some(wanted)),
        (_, &Gold::Box(wanted)) => Some(boxes::score(reply, units, wanted)),
        (_, Gold::Answers(answers)) => Some(exact::score(reply, answers)),
        (_, Gold::Judged(_) | Gold::Unknown) => None,
    }
}

/// What the numbers of a box mean in an answer of a model whose visual tokens lie at these places.
pub fn box_units(family: Family, places: &[Place]) -> BoxUnits {
    match family.box_unit() {
        BoxUnit::Shares => BoxUnits::Share,
        BoxUnit::Thousandths => BoxUnits::Thousandths,
        BoxUnit::InputPixels => {
            // Qwen2.5-VL: 2x2 patches of 14 pixels are a token.
            const TOKEN_PIXELS: f64 = 28.0;
            let side = |from: f64, to: f64| TOKEN_PIXELS * (1.0 / (to - from)).round();
            let rect = places.first().map_or(Rect::WHOLE, |place| place.rect);
            BoxUnits::Pixels { width: side(rect.x0, rect.x1), height: side(rect.y0, rect.y1) }
        }
    }
}

/// 1 if an answer is the same text as another's, but for case and space around it.
pub fn agreement(answer: &str, other: &str) -> f64 {
    f64::from(u8::from(answer.trim().eq_ignore_ascii_case(other.trim())))
}

/// Score of a group: a multiple choice question is right only if every pass of it is; elsewhere the mean.
pub fn of_group(metric: Metric, scores: &[f64]) -> f64 {
    match metric {
        Metric::Choice => scores.iter().copied().fold(1.0, f64::min),
        _ => scores.iter().sum::<f64>() / scores.len().max(1) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_right_only_if_every_pass_is() {
        assert_eq!(of_group(Metric::Choice, &[1.0, 1.0, 0.0, 1.0]), 0.0);
        assert_eq!(of_group(Metric::Choice, &[1.0, 1.0]), 1.0);
        assert_eq!(of_group(Metric::YesNo, &[1.0, 0.0]), 0.5);
    }

    #[test]
    fn what_is_right_decides_how_a_reply_is_read() {
        let check = |metric, gold, reply: &str, expected| {
            let choices = ["red".to_owned(), "blue".to_owned()].to_vec();
            let sample = Sample {
                id: String::new(),
                group: String::new(),
                kind: String::new(),
                pictures: Vec::new(),
                question: String::new(),
                hint: None,
                choices,
                gold,
            };
            assert_eq!(score(metric, &sample, reply, BoxUnits::Thousandths), expected, "{reply}");
        };
        check(Metric::Exact, Gold::Answers(vec!["Red".into()]), "red.", Some(1.0));
        check(Metric::Choice, Gold::Choice(1), "B", Some(1.0));
        check(Metric::Choice, Gold::Choice(1), "A", Some(0.0));
        check(Metric::YesNo, Gold::YesNo(false), "No", Some(1.0));
        check(Metric::YesNo, Gold::YesNo(false), "perhaps", Some(0.0));
        check(Metric::Judge, Gold::Judged("a cat".into()), "a cat", None);
        check(Metric::Exact, Gold::Unknown, "a cat", None);
    }
}
