//! ChartQA's relaxed accuracy: numbers read off a chart may be off by a twentieth.

use super::{best, right};

/// 1 if the reply is within 5 % of a gold number, or is a gold text but for case; else 0.
///
/// Follows `relaxed_correctness` of pix2struct, which lmms-eval and VLMEvalKit took over. Its corners:
/// - A text that ends in `%` is a hundredth of its number, so `50%` equals `0.5` and not `50`.
/// - A gold 0 has no relative error, so the reply must be the same text: `0.0` is wrong for `0`.
/// - A number with thousands commas, a unit or a currency is a text: `1,000` is wrong for `1000`.
///
/// Implementations differ elsewhere: those of Qwen-VL and InternVL pass reply and gold the other way round and so take
/// 5 % of the reply, where the paper says of the gold answer, as here. Here, unlike there, spaces around either text
/// do not count, and `nan` and `inf` are words rather than numbers.
pub fn score<S: AsRef<str>>(reply: &str, answers: &[S]) -> f64 {
    let reply = reply.trim();
    best(answers, |answer| right(matches(reply, answer.trim())))
}

const TOLERANCE: f64 = 0.05;

fn matches(reply: &str, answer: &str) -> bool {
    match (number(reply), number(answer)) {
        (Some(given), Some(gold)) if gold != 0.0 => (given - gold).abs() / gold.abs() <= TOLERANCE,
        _ => reply.to_lowercase() == answer.to_lowercase(),
    }
}

fn number(text: &str) -> Option<f64> {
    let plain = text.trim_end_matches('%');
    let value: f64 = plain.trim_end().parse().ok()?;
    let value = if plain.len() < text.len() { value / 100.0 } else { value };
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        for (reply, answer, expected) in [
            ("104", "100", 1.0),
            ("105", "100", 1.0), // 0.05 is within
            ("95", "100", 1.0),
            ("105.1", "100", 0.0),
            ("94.9", "100", 0.0),
            ("100", "105.2", 1.0), // 5.2 / 105.2 = 0.0494
            ("100", "94.9", 0.0),  // 5.1 / 94.9 = 0.0537, although 5.1 / 100 is within
            ("-104", "-100", 1.0),
            ("100", "-100", 0.0),
            ("51%", "50%", 1.0),
            ("0.51", "50%", 1.0),
            ("50", "50%", 0.0),
            ("50 %", "50%", 1.0),
            ("50%%", "50%", 1.0),
            ("%", "%", 1.0),
            ("0", "0", 1.0),
            ("0.0", "0", 0.0),
            ("0.01", "0", 0.0),
            ("1e3", "1000", 1.0),
            ("+.5", "0.5", 1.0),
            ("45.", "45", 1.0),
            ("1,000", "1000", 0.0),
            ("1,000", "1,000", 1.0),
            ("$5", "5", 0.0),
            ("2019 ", "2019", 1.0),
            ("2000", "2019", 1.0), // 19 / 2019: a wrong year is right
            ("blue", "Blue", 1.0),
            ("Blue.", "Blue", 0.0),
            ("the blue", "blue", 0.0),
            ("GRÜN", "grün", 1.0),
            ("NaN", "nan", 1.0),
            ("nan", "5", 0.0),
            ("inf", "5", 0.0),
            ("", "5", 0.0),
            ("not sure", "5", 0.0),
            ("five", "5", 0.0),
        ] {
            assert_eq!(score(reply, &[answer]), expected, "{reply:?} for {answer:?}");
        }
    }

    #[test]
    fn any_answer_will_do() {
        assert_eq!(score("21", &["10", "20"]), 1.0);
        assert_eq!(score("15", &["10", "20"]), 0.0);
        assert_eq!(score::<&str>("15", &[]), 0.0);
    }
}
