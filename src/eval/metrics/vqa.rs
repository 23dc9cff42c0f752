//! VQA accuracy with the answer normalization of TextVQA: a reply counts as far as annotators gave it.

/// Accuracy of a reply against the answers of several annotators (ten in VQA v2 and TextVQA), all normalized first.
///
/// The mean, over leaving out one annotator each, of `min(1, matches among the others / 3)`: of ten annotators 1 match
/// gives 0.3, 2 give 0.6, 3 give 0.9 and 4 give 1. The official evaluators know no other number than ten; with fewer
/// than four, `others` stands for the 3 so that full agreement is still worth 1, and a single answer must be met.
///
/// As in TextVQA's evaluator (`EvalAIAnswerProcessor` of Pythia and M4C) every text is normalized. The evaluator of
/// VQA v2 differs: it normalizes neither side where all annotators agree (their answers may be text in the picture),
/// joins what any punctuation parts where a comma stands between digits, and does not split off `'s`.
pub fn accuracy<S: AsRef<str>>(reply: &str, answers: &[S]) -> f64 {
    let reply = normalize(reply);
    let total = answers.len();
    let matches = answers.iter().filter(|answer| normalize(answer.as_ref()) == reply).count();
    if matches == 0 {
        return 0.0;
    }
    let enough = (total - 1).clamp(1, 3);
    let others = if total == 1 { 1 } else { matches - 1 };
    let thirds = matches * others.min(enough) + (total - matches) * matches.min(enough);
    thirds as f64 / (total * enough) as f64
}

/// Lower case without articles and punctuation, number words as digits, apostrophes put back into contractions.
pub fn normalize(answer: &str) -> String {
    let text = answer.to_lowercase().replace([',', '?'], "").replace("'s", " 's").replace(['\n', '\t'], " ");
    let text = without_periods(&without_punctuation(text.trim()));
    let words = text.split_whitespace().map(number).filter(|word| !ARTICLES.contains(word)).map(contraction);
    words.collect::<Vec<_>>().join(" ")
}

const ARTICLES: [&str; 3] = ["a", "an", "the"];

/// Commas and question marks have gone before.
const PUNCTUATION: &str = "!\"()+-/;<=>@[\\]_`{}";

/// The evaluator's substitution passes a flag of value 32 where the number of replacements is expected.
const PERIODS: usize = 32;

const NUMBERS: [(&str, &str); 12] = [
    ("none", "0"),
    ("zero", "0"),
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
];

/// The evaluator's table lists, for each of these, the spellings that lack exactly one apostrophe. Those of its entries
/// that a lower-case text split before `'s` cannot meet are left out.
const CONTRACTIONS: &str = "\
    'ow's'at 'twas ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't \
    he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't \
    needn't not've o'clock oughtn't shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll \
    somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd \
    there'd've there're there's they'd they'd've they'll they're they've wasn't we'd've we've weren't what'll what're \
    what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've \
    wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've";

/// A mark that touches a space anywhere in the text vanishes throughout it, any other parts words.
fn without_punctuation(text: &str) -> String {
    let touches_space = |mark: char| text.contains(&format!("{mark} ")) || text.contains(&format!(" {mark}"));
    let parted = |character: char| match character {
        mark if !PUNCTUATION.contains(mark) => Some(mark),
        mark if touches_space(mark) => None,
        _ => Some(' '),
    };
    text.chars().filter_map(parted).collect()
}

/// Periods go, except before a digit. The evaluator means to spare those after a digit too, but misspells its
/// condition.
fn without_periods(text: &str) -> String {
    let mut periods = 0;
    let mut characters = text.chars().peekable();
    let mut kept = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        if character == '.' && periods < PERIODS && !characters.peek().is_some_and(|next| next.is_numeric()) {
            periods += 1;
        } else {
            kept.push(character);
        }
    }
    kept
}

fn number(word: &str) -> &str {
    NUMBERS.iter().find(|(name, _)| *name == word).map_or(word, |(_, digits)| digits)
}

fn contraction(word: &str) -> &str {
    let lacks_one_apostrophe =
        |full: &&str| full.match_indices('\'').any(|(at, _)| word.strip_prefix(&full[..at]) == full.get(at + 1..));
    match word {
        "somebody'd" => "somebodyd", // the one entry of the table that goes the other way
        _ => CONTRACTIONS.split(' ').find(lacks_one_apostrophe).unwrap_or(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalization() {
        for (answer, expected) in [
            ("", ""),
            (" \t\n ", ""),
            ("The Red BUS", "red bus"),
            ("a", ""), // an article even where it is the letter asked for
            ("an\napple\ta day", "apple day"),
            ("ten", "10"),
            ("None", "0"),
            ("two and eleven", "2 and eleven"),
            ("someone", "someone"),
            ("1,000", "1000"),
            ("1,000,000 people", "1000000 people"),
            ("yes, it is", "yes it is"),
            ("3.", "3"),
            ("3.50", "3.50"),
            ("$3.", "$3"),
            (".5", ".5"),
            ("p.m.", "pm"),
            ("St. John", "st john"),
            ("U.S.A. 2.0", "usa 2.0"),
            ("well-known", "well known"),
            ("a - b", "b"),
            ("x-y - z", "xy z"), // the mark touches a space once, so it vanishes everywhere
            ("(left)", "left"),
            ("7/8", "7 8"),
            ("50%", "50%"),
            ("what?!", "what"),
            ("who's there", "who 's there"),
            ("john's", "john 's"),
            ("dont", "don't"),
            ("DON'T", "don't"),
            ("couldntve", "couldntve"), // two apostrophes short
            ("couldnt've", "couldn't've"),
            ("couldn'tve", "couldn't've"),
            ("yalld've", "yalld've"),
            ("y'all'dve", "y'all'd've"),
            ("twas", "'twas"),
            ("hes", "he's"),
            ("lets", "lets"),
            ("shes", "shes"),
            ("wed", "wed"),
            ("well", "well"),
            ("somebody'd", "somebodyd"),
            ("somebodyd", "somebodyd"),
            ("oclock", "o'clock"),
            ("Größe", "größe"),
            ("два", "два"),
            ("不知道", "不知道"),
        ] {
            assert_eq!(normalize(answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn only_so_many_periods_vanish() {
        assert_eq!(normalize(&".".repeat(32)), "");
        assert_eq!(normalize(&".".repeat(34)), "..");
    }

    #[test]
    fn contractions_are_sorted_and_once_each() {
        let words: Vec<&str> = CONTRACTIONS.split(' ').collect();
        assert!(words.is_sorted_by(|a, b| a < b), "{words:?}");
        assert!(words.iter().all(|word| word.contains('\'')));
    }

    #[test]
    fn ten_annotators() {
        let annotators = |yes: usize| [vec!["yes"; yes], vec!["no"; 10 - yes]].concat();
        for (yes, expected) in [
            (0, 0.0),
            (1, (9.0 * 1.0 / 3.0) / 10.0), // 0.3: 9 of the 10 sets of others hold it
            (2, (2.0 * 1.0 / 3.0 + 8.0 * 2.0 / 3.0) / 10.0), // 0.6
            (3, (3.0 * 2.0 / 3.0 + 7.0) / 10.0), // 0.9
            (4, 1.0),
            (10, 1.0),
        ] {
            let score = accuracy("Yes.", &annotators(yes));
            assert!((score - expected).abs() < 1e-12, "{yes}: {score} {expected}");
        }
        assert_eq!(accuracy("yes", &[vec!["yes"; 2], vec!["Yes!"; 1], vec!["the yes"; 7]].concat()), 1.0);
        assert_eq!(accuracy("", &annotators(5)), 0.0);
        assert_eq!(accuracy("not sure", &annotators(5)), 0.0);
    }

    #[test]
    fn fewer_annotators() {
        for (answers, expected) in [
            (&[][..], 0.0),
            (&["2"], 1.0),
            (&["3"], 0.0),
            (&["2", "two"], 1.0),
            (&["2", "3"], (0.0 + 1.0) / 2.0),
            (&["2", "2", "3"], (0.5 + 0.5 + 1.0) / 3.0),
            (&["2", "2", "2"], 1.0),
            (&["2", "3", "4", "5"], (3.0 * 1.0 / 3.0) / 4.0),
            (&["2", "2", "2", "2"], 1.0),
        ] {
            assert!((accuracy("Two", answers) - expected).abs() < 1e-12, "{answers:?}");
        }
    }
}
