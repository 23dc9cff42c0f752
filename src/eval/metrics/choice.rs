//! Multiple choice: which option a reply means, and circular evaluation.

/// Index of the option that the reply means; `None` where the rules cannot tell, which counts as wrong.
///
/// The first rule that finds one decides:
/// 1. The reply is nothing but an option's letter, in either case, and marks of `.()[],:;!*#{}`.
/// 2. It is the text of one option only, case and a trailing period aside.
/// 3. Of the options' letters, in capitals, exactly one is a word of the reply (the marks part words), and that word
///    first stands among the last four.
/// 4. Exactly one option's text is part of the reply, case aside, and the reply is at most twice as long as all
///    options.
///
/// The last two are those of VLMEvalKit's `can_infer`, which asks a judge where they fail; here nobody is asked. They
/// misread what the first two catch: `A red car` as option A, `woman` as undecided beside `man`, and `b` as nothing.
pub fn pick<S: AsRef<str>>(reply: &str, choices: &[S]) -> Option<usize> {
    let parted = reply.replace(|mark| PARTING.contains(mark), " ");
    let words: Vec<&str> = parted.split_whitespace().collect();
    let lone = match words.as_slice() {
        [word] => index(&word.to_ascii_uppercase()).filter(|&index| index < choices.len()),
        _ => None,
    };
    lone.or_else(|| whole_text(reply, choices))
        .or_else(|| letter(&words, choices.len()))
        .or_else(|| part_text(reply, choices))
}

/// Circular evaluation (MMBench): a question asked with its options in every rotation is right only if each pass is.
pub fn circular(passes: &[bool]) -> bool {
    !passes.is_empty() && passes.iter().all(|&right| right)
}

const PARTING: &str = ".()[],:;!*#{}";
const LAST_WORDS: usize = 4;

/// Position of a capital letter in the alphabet.
fn index(word: &str) -> Option<usize> {
    match word.as_bytes() {
        &[letter @ b'A'..=b'Z'] => Some(usize::from(letter - b'A')),
        _ => None,
    }
}

fn whole_text<S: AsRef<str>>(reply: &str, choices: &[S]) -> Option<usize> {
    let plain = |text: &str| text.trim().trim_end_matches('.').trim_end().to_lowercase();
    let reply = plain(reply);
    only(choices, |choice| !reply.is_empty() && plain(choice) == reply)
}

fn letter(words: &[&str], options: usize) -> Option<usize> {
    let first = words.iter().position(|word| index(word).is_some_and(|index| index < options))?;
    let found = index(words.get(first)?)?;
    let alone = words.iter().filter_map(|word| index(word)).all(|index| index == found || index >= options);
    (alone && first + LAST_WORDS >= words.len()).then_some(found)
}

fn part_text<S: AsRef<str>>(reply: &str, choices: &[S]) -> Option<usize> {
    let length: usize = choices.iter().map(|choice| choice.as_ref().chars().count()).sum();
    let reply = reply.to_lowercase();
    if reply.chars().count() > 2 * length {
        return None;
    }
    only(choices, |choice| !choice.is_empty() && reply.contains(&choice.to_lowercase()))
}

/// Index of the option for which the condition holds, if it does for one only.
fn only<S: AsRef<str>>(choices: &[S], condition: impl Fn(&str) -> bool) -> Option<usize> {
    let mut met = choices.iter().enumerate().filter(|(_, choice)| condition(choice.as_ref())).map(|(index, _)| index);
    met.next().filter(|_| met.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_texts() {
        let colors = ["red", "dark blue", "green", "blue"];
        for (reply, expected) in [
            ("A", Some(0)),
            ("b", Some(1)),
            ("(B)", Some(1)),
            ("C.", Some(2)),
            ("**D**", Some(3)),
            ("E", None), // no such option
            ("B) dark blue", Some(1)),
            ("The answer is C", Some(2)),
            ("The answer is: (C).", Some(2)),
            ("Answer: D, I think", Some(3)),
            ("A or B", None),
            ("B, yes, B", Some(1)),
            ("E or B", Some(1)),                   // E is no letter here
            ("B because the car is dark", None),   // the letter stands sixth from the end
            ("B because I say so", None),          // and fifth
            ("B as I say", Some(1)),               // and fourth
            ("C because it is so green", Some(2)), // the text decides
            ("It is red", Some(0)),
            ("It is Green.", Some(2)),
            ("blue", Some(3)),         // the whole text, though part of nothing else
            ("Dark Blue.", Some(1)),   // not `blue`
            ("it is blue", Some(3)),   // only `blue`, not `dark blue`
            ("it is dark blue", None), // holds both
            ("red and green", None),
            ("a", Some(0)),
            ("", None),
            ("...", None),
            ("not sure", None),
            ("Неясно", None),
        ] {
            assert_eq!(pick(reply, &colors), expected, "{reply:?}");
        }
    }

    #[test]
    fn an_article_is_no_option_where_the_text_is_given() {
        let choices = ["A blue bike", "a red car", "A man", "A woman"];
        assert_eq!(pick("A red car.", &choices), Some(1));
        assert_eq!(pick("A woman", &choices), Some(3));
        assert_eq!(pick("A woman on it", &choices), Some(0)); // as VLMEvalKit reads it
        assert_eq!(pick("There is only a red car to be seen", &choices), Some(1));
    }

    #[test]
    fn a_letter_is_a_letter_even_where_options_are_letters() {
        assert_eq!(pick("A", &["B", "A"]), Some(0));
        assert_eq!(pick("a", &["b", "a"]), Some(0));
    }

    #[test]
    fn long_replies_are_not_searched_for_texts() {
        let choices = ["cat", "dog"]; // 6 characters, so a reply of up to 12
        assert_eq!(pick("it's a dog, ", &choices), Some(1));
        assert_eq!(pick("it's a dog,  ", &choices), None);
    }

    #[test]
    fn empty_options_are_never_meant() {
        assert_eq!(pick("none", &["", "none"]), Some(1));
        assert_eq!(pick("", &["", "none"]), None);
        assert_eq!(pick::<&str>("A", &[]), None);
    }

    #[test]
    fn every_pass_must_be_right() {
        assert!(circular(&[true; 4]));
        assert!(!circular(&[true, true, false, true]));
        assert!(!circular(&[]));
    }
}
