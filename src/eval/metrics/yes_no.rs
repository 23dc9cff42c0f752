//! MME: yes or no, scored over pairs of questions about one picture.

/// Whether the reply says yes; `None` for neither, which counts as wrong.
///
/// The calculation script of MME looks for `yes`, then for `no`, among the first four characters in lower case. So
/// `not sure` says no, and `I see no dog` nothing. Before that, as InternVL's evaluation does, line breaks go, `true`
/// and `false` as well as `是`, `不是` and `否` are read as yes and no, and other Chinese characters go.
pub fn read(reply: &str) -> Option<bool> {
    let translated = reply.replace('\n', "").replace("不是", "no").replace('是', "yes").replace('否', "no");
    let english = translated.to_lowercase().replace("true", "yes").replace("false", "no");
    let start: String =
        english.trim().chars().filter(|character| !('\u{4e00}'..='\u{9fa5}').contains(character)).take(4).collect();
    if start.contains("yes") {
        Some(true)
    } else if start.contains("no") {
        Some(false)
    } else {
        None
    }
}

/// The ten subtasks of perception; 2000 is their best total.
pub const PERCEPTION: [&str; 10] =
    ["existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR"];

/// The four subtasks of cognition; 800 is their best total.
pub const COGNITION: [&str; 4] =
    ["commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"];

/// Share of right answers, over the two questions about each picture.
pub fn accuracy(pictures: &[[bool; 2]]) -> Option<f64> {
    let right = pictures.iter().flatten().filter(|&&right| right).count();
    share(right, 2 * pictures.len())
}

/// Share of pictures with both questions answered right (`acc+`).
pub fn accuracy_plus(pictures: &[[bool; 2]]) -> Option<f64> {
    let right = pictures.iter().filter(|&&pair| pair == [true; 2]).count();
    share(right, pictures.len())
}

/// Score of a subtask, 0 to 200: [`accuracy`] and [`accuracy_plus`] in percent, added.
pub fn subtask_score(pictures: &[[bool; 2]]) -> Option<f64> {
    Some(100.0 * (accuracy(pictures)? + accuracy_plus(pictures)?))
}

/// Sum of the scores of [`PERCEPTION`] or [`COGNITION`]; `None` if one is missing, for a part compares with no total.
pub fn total(subtasks: &[&str], score: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    subtasks.iter().map(|subtask| score(subtask)).sum()
}

fn share(right: usize, n: usize) -> Option<f64> {
    (n > 0).then(|| right as f64 / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        let [yes, no, neither] = [Some(true), Some(false), None];
        for (reply, expected) in [
            ("Yes", yes),
            ("YES, it is", yes),
            (" \"Yes\"", yes),
            ("\n\nyes", yes),
            ("  yes", yes),
            ("no.", no),
            ("No, yes", no),
            ("True", yes),
            ("false.", no),
            ("not true", no),
            ("untrue", neither), // `unyes`, so `unye`
            ("not sure", no),    // the script's corner
            ("know", no),        // and another
            ("I see no dog", neither),
            ("It is. Yes", neither),
            ("是", yes),
            ("不是", no),
            ("否", no),
            ("回答：是", yes), // `：yes` is left
            ("2", neither),
            ("", neither),
            ("ÿes", neither),
        ] {
            assert_eq!(read(reply), expected, "{reply:?}");
        }
    }

    #[test]
    fn subtasks() {
        let pictures = [[true, true], [true, false], [false, false], [true, true]];
        assert_eq!(accuracy(&pictures), Some(5.0 / 8.0));
        assert_eq!(accuracy_plus(&pictures), Some(2.0 / 4.0));
        assert_eq!(subtask_score(&pictures), Some(62.5 + 50.0));
        assert_eq!(subtask_score(&[[true, true]]), Some(200.0));
        assert_eq!(subtask_score(&[]), None);
    }

    #[test]
    fn totals_need_every_subtask() {
        assert_eq!(total(&PERCEPTION, |_| Some(200.0)), Some(2000.0));
        assert_eq!(total(&COGNITION, |_| Some(200.0)), Some(800.0));
        assert_eq!(total(&COGNITION, |subtask| (subtask != "code_reasoning").then_some(200.0)), None);
    }
}
