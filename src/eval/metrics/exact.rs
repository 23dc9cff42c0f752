//! Exact match.

use super::{best, right};

/// 1 if the reply is one of the gold answers, else 0.
///
/// GQA's evaluator compares texts as they are, after the conversion that its users share (LLaVA's, InternVL's): lower
/// case, trailing periods gone. Here both sides are converted, and spaces around them do not count.
pub fn score<S: AsRef<str>>(reply: &str, answers: &[S]) -> f64 {
    let reply = plain(reply);
    best(answers, |answer| right(plain(answer) == reply))
}

fn plain(text: &str) -> String {
    text.trim().trim_end_matches('.').trim_end().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_a_trailing_period_do_not_count() {
        for (reply, answers, expected) in [
            ("Yes.", &["yes"][..], 1.0),
            (" yes...\n", &["Yes"], 1.0),
            ("no", &["yes", "No"], 1.0),
            ("the table", &["table"], 0.0),
            ("yes!", &["yes"], 0.0),
            ("2", &["two"], 0.0),
            ("1,000", &["1000"], 0.0),
            ("50 %", &["50%"], 0.0),
            ("U.S.", &["u.s"], 1.0),
            ("not sure", &["no"], 0.0),
            ("", &["yes"], 0.0),
            ("", &[], 0.0),
            ("ÄRGER", &["ärger"], 1.0),
        ] {
            assert_eq!(score(reply, answers), expected, "{reply:?} {answers:?}");
        }
    }
}
