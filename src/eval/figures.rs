//! What a benchmark's authors report beside accuracy.

use super::judge;
use super::metrics::yes_no;

/// A sample of a row: its kind, its group, and its score.
pub type Scored<'a> = (&'a str, &'a str, f64);

/// Names and values from all samples of a row.
pub type Figures = fn(&[Scored<'_>]) -> Vec<(String, f64)>;

/// The figures of a benchmark by name, in the unit of its paper; empty where accuracy says it all.
pub fn of(benchmark: &str) -> Figures {
    match benchmark {
        "mme" => mme,
        "mmvet" => mm_vet,
        _ => |_| Vec::new(),
    }
}

/// Score (0 to 200) of each subtask, then perception (0 to 2,000) and cognition (0 to 800), if all of theirs are there.
fn mme(scores: &[Scored<'_>]) -> Vec<(String, f64)> {
    let pairs = |subtask: &str| -> Vec<[bool; 2]> {
        let of_subtask: Vec<&Scored<'_>> = scores.iter().filter(|(kind, ..)| *kind == subtask).collect();
        let groups = of_subtask.chunk_by(|(_, one, _), (_, next, _)| one == next);
        let right = |(_, _, score): &Scored<'_>| *score >= 1.0;
        groups
            .filter_map(|group| if let [one, other] = group { Some([right(one), right(other)]) } else { None })
            .collect()
    };
    let score = |subtask: &str| yes_no::subtask_score(&pairs(subtask));
    let subtasks = yes_no::PERCEPTION.iter().chain(&yes_no::COGNITION);
    let mut figures: Vec<(String, f64)> =
        subtasks.filter_map(|subtask| Some(((*subtask).to_owned(), score(subtask)?))).collect();
    for (name, subtasks) in [("perception", &yes_no::PERCEPTION[..]), ("cognition", &yes_no::COGNITION[..])] {
        figures.extend(yes_no::total(subtasks, score).map(|total| (name.to_owned(), total)));
    }
    figures
}

fn mm_vet(scores: &[Scored<'_>]) -> Vec<(String, f64)> {
    let totals = judge::totals(scores.iter().map(|&(kind, _, score)| (kind, score)));
    totals.into_iter().filter_map(|total| Some((total.name.to_owned(), total.percent?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mme_scores_are_accuracy_and_accuracy_plus() {
        // color: one picture with both right, one with one right: acc 3/4, acc+ 1/2
        let scores = [("color", "a", 1.0), ("color", "a", 1.0), ("color", "b", 1.0), ("color", "b", 0.0)];
        assert_eq!(of("mme")(&scores), [("color".to_owned(), 125.0)]);
        let all: Vec<Scored<'_>> =
            yes_no::COGNITION.iter().flat_map(|&kind| [(kind, "x", 1.0), (kind, "x", 1.0)]).collect();
        let figures = of("mme")(&all);
        assert_eq!(figures.last(), Some(&("cognition".to_owned(), 800.0)));
        assert!(!figures.iter().any(|(name, _)| name == "perception"));
    }

    #[test]
    fn mm_vet_counts_a_question_for_every_capability() {
        let figures = of("mmvet")(&[("ocr+math", "v1_0", 1.0), ("ocr", "v1_1", 0.5)]);
        let expected = [("ocr", 75.0), ("math", 100.0), ("total", 75.0)];
        assert_eq!(figures, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn others_have_none() {
        assert!(of("gqa")(&[("a", "b", 1.0)]).is_empty());
    }
}
