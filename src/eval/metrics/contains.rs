//! Whether a reply says the answer somewhere.

use super::{best, right};

/// 1 if the reply contains a gold answer as words of its own, else 0; case and the kind of spaces do not count.
///
/// A letter may not go on into another one at either end of the answer, nor a digit into a digit: `no` is not in
/// `not sure`, `3` not in `13`. Scripts without case part no words, so there any place will do. OCRBench, which takes
/// any substring, would accept those.
pub fn score<S: AsRef<str>>(reply: &str, answers: &[S]) -> f64 {
    let reply = plain(reply);
    best(answers, |answer| right(contains(&reply, &plain(answer))))
}

fn plain(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn contains(reply: &str, answer: &str) -> bool {
    let (Some(first), Some(last)) = (answer.chars().next(), answer.chars().next_back()) else {
        return false;
    };
    // Overlapping places count too: `an` in `banana an` is found at its end only.
    reply.char_indices().any(|(start, _)| {
        let (before, rest) = reply.split_at(start);
        rest.strip_prefix(answer).is_some_and(|after| {
            !before.chars().next_back().is_some_and(|previous| goes_on(previous, first))
                && !after.chars().next().is_some_and(|next| goes_on(last, next))
        })
    })
}

fn goes_on(a: char, b: char) -> bool {
    (a.is_lowercase() && b.is_lowercase()) || (a.is_numeric() && b.is_numeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stand_as_words() {
        for (reply, answers, expected) in [
            ("The bus is red.", &["red"][..], 1.0),
            ("RED", &["red"], 1.0),
            ("It is bored", &["red"], 0.0),
            ("banana an", &["an"], 1.0),
            ("not sure", &["no"], 0.0),
            ("No, not sure", &["no"], 1.0),
            ("13 of them", &["3"], 0.0),
            ("3cm", &["3"], 1.0),
            ("about 1,000", &["1,000"], 1.0),
            ("about 1,000", &["1000"], 0.0),
            ("50% of it", &["50%"], 1.0),
            ("New\n York city", &["new  york"], 1.0),
            ("这是北京市", &["北京"], 1.0),
            ("Größenordnung", &["größe"], 0.0),
            ("", &["red"], 0.0),
            ("red", &[""], 0.0),
            ("red", &[], 0.0),
            ("a cat", &["dog", "cat"], 1.0),
        ] {
            assert_eq!(score(reply, answers), expected, "{reply:?} {answers:?}");
        }
    }
}
