//! Average normalized Levenshtein similarity, which forgives a misread character but not another answer.

use super::best;

/// Similarity of a reply to the gold answer that it is most like: `1 − edit distance / length of the longer text`, and
/// 0 where that is below one half.
///
/// Texts are compared in lower case with spaces collapsed, by Unicode characters. The evaluator of the DocVQA
/// competitions divides by the length before spaces collapse; that differs only for replies with surplus spaces, whose
/// score it would raise, so the definition of the paper is followed.
pub fn score<S: AsRef<str>>(reply: &str, answers: &[S]) -> f64 {
    let reply = plain(reply);
    best(answers, |answer| {
        let similarity = similarity(&reply, &plain(answer));
        if similarity < THRESHOLD { 0.0 } else { similarity }
    })
}

const THRESHOLD: f64 = 0.5;

fn plain(text: &str) -> Vec<char> {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ").chars().collect()
}

/// Two empty texts are alike.
fn similarity(a: &[char], b: &[char]) -> f64 {
    match a.len().max(b.len()) {
        0 => 1.0,
        length => 1.0 - distance(a, b) as f64 / length as f64,
    }
}

/// Fewest insertions, deletions and substitutions of one character.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect(); // distances of what was read of `a` to each beginning of `b`
    for (read, from) in a.iter().enumerate() {
        let mut diagonal = read;
        let mut left = read + 1;
        for (above, to) in row.iter_mut().skip(1).zip(b) {
            let substituted = diagonal + usize::from(from != to);
            diagonal = *above;
            left = substituted.min(diagonal + 1).min(left + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = read + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hand_computed() {
        for (reply, answers, expected) in [
            ("University", &["university"][..], 1.0),
            (" New  York\n", &["new york"], 1.0),
            ("universty", &["university"], 1.0 - 1.0 / 10.0),
            ("kitten", &["sitting"], 1.0 - 3.0 / 7.0), // 0.571
            ("ab", &["ac"], 0.5),                      // one half still counts
            ("abc", &["xbz"], 0.0),                    // 1/3 does not
            ("12", &["1"], 0.5),
            ("", &["1"], 0.0),
            ("", &[""], 1.0),
            ("yes", &[], 0.0),
            ("not sure", &["no"], 0.0),                    // 6 deletions of 8
            ("1,000", &["1000", "2000"], 1.0 - 1.0 / 5.0), // best of 0.8 and 0.6
            ("Straße", &["strasse"], 1.0 - 2.0 / 7.0),
            ("北京市", &["北京"], 1.0 - 1.0 / 3.0), // characters, not bytes
        ] {
            assert!((score(reply, answers) - expected).abs() < 1e-12, "{reply:?} {answers:?}");
        }
    }

    fn chars(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn distance_is_a_metric(a in "[abc]{0,8}", b in "[abc]{0,8}", c in "[abc]{0,8}") {
            let [a, b, c] = [chars(&a), chars(&b), chars(&c)];
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert_eq!(distance(&a, &b) == 0, a == b);
            prop_assert!(distance(&a, &c) <= distance(&a, &b) + distance(&b, &c));
            prop_assert!(distance(&a, &b) >= a.len().abs_diff(b.len()) && distance(&a, &b) <= a.len().max(b.len()));
        }
    }
}
