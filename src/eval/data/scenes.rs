//! The demo models' world, drawn from a seed: held-out pictures without end.

use std::path::{Path, PathBuf};

use super::questions::no_split;
use super::{Benchmark, DataError, Layout, Loaded};
use crate::eval::metrics::Metric;
use crate::eval::sample::{Gold, PictureSource, Sample};
use crate::eval::scenes::{LARGE, Scene, examined};

const SOURCE: &str = "drawn by this program; see the model card in models/";

/// Pictures of a set, and the seed of the first; the others follow it.
struct Set {
    first: u64,
    n: u64,
}

/// With six questions on each picture, a difference of 1.5 points between two policies is significant (p < 0.05) as long as they
/// answer at most every ninth question differently.
const TEST: Set = Set { first: 1_000_000, n: 400 };
const LARGE_TEST: Set = Set { first: 2_000_000, n: 105 };
/// Enough to promise a loss below 1 %, with an early exit.
const CALIBRATION: Set = Set { first: 3_000_000, n: 1000 };
const LARGE_CALIBRATION: Set = Set { first: 4_000_000, n: 1001 };

const SPLITS: &[&str] = &["test", "calibration"];

pub(super) const SCENES: Benchmark = Benchmark {
    name: "scenes",
    title: "Scenes",
    what: "labelled shapes on one tile, six questions each: what the embedded pair was trained for, on new pictures",
    metric: Metric::Exact,
    n_predict: 16,
    layouts: &[Layout { files: "none: pictures are drawn as they are needed", from: "sgl" }],
    splits: SPLITS,
    source: SOURCE,
    load: |_, split| loaded(split, [TEST, CALIBRATION], &[(1, 1)]),
};

pub(super) const SCENES_LARGE: Benchmark = Benchmark {
    name: "scenes-large",
    title: "Large scenes",
    what: "the same on pictures of two to six tiles and an overview",
    load: |_, split| loaded(split, [LARGE_TEST, LARGE_CALIBRATION], &LARGE),
    ..SCENES
};

/// The pictures of a split, whose sizes take turns.
fn loaded(split: Option<&str>, sets: [Set; 2], sizes: &[(u32, u32)]) -> Result<Loaded, DataError> {
    let split = split.unwrap_or(SPLITS[0]);
    let index = SPLITS
        .iter()
        .position(|name| *name == split)
        .ok_or_else(|| no_split(split, Path::new(SCENES.name), SPLITS.iter().copied()))?;
    let Set { first, n } = sets[index];
    let samples = (first..first + n).zip(sizes.iter().cycle()).flat_map(|(seed, &tiles)| {
        let questions = examined(&Scene::new(seed, tiles)).into_iter().enumerate();
        questions.map(move |(n, question)| {
            let id = format!("{seed}-{n}");
            Sample {
                group: id.clone(),
                id,
                kind: question.kind.to_string(),
                pictures: vec![PictureSource::Scene { seed, tiles }],
                question: question.text,
                hint: None,
                choices: Vec::new(),
                gold: Gold::Answers(vec![question.answer]),
            }
        })
    });
    Ok(Loaded { samples: samples.collect(), metric: Metric::Exact, split: split.to_owned(), file: PathBuf::new() })
}

impl Benchmark {
    /// Whether it reads files of the user's.
    pub fn needs_data(&self) -> bool {
        !self.name.starts_with(SCENES.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn sets_are_large_and_every_question_has_its_name() {
        for (benchmark, split, n) in [
            (SCENES, "test", 2400),
            (SCENES_LARGE, "test", 630),
            (SCENES, "calibration", 6000),
            (SCENES_LARGE, "calibration", 6006),
        ] {
            let samples = (benchmark.load)(Path::new(""), Some(split)).unwrap().samples;
            let ids: HashSet<&str> = samples.iter().map(|sample| sample.id.as_str()).collect();
            assert_eq!((samples.len(), ids.len()), (n, n));
        }
    }
}
