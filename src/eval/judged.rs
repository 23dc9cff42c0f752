//! Grades of open answers, kept beside the journal: an answer is judged once, also over runs.

use super::judge::{Case, Judge, JudgeError};
use super::record::Record;
use super::sample::{Gold, Sample};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Grade {
    sample: String,
    answer: String,
    /// Who graded: model and prompt.
    judge: String,
    score: f64,
}

/// Why answers have no grades.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, thiserror::Error)]
pub enum JudgedError {
    /// The judge failed; grades given before are kept.
    #[error("sample {sample}: {source}")]
    Judge { sample: String, source: JudgeError },
    /// The file of grades cannot be read or written.
    #[error("grades {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The file of grades that belongs to a journal.
pub fn path(journal: &Path) -> PathBuf {
    journal.with_extension("judged.jsonl")
}

/// Fills in the scores of all answers that have none. `name` stands for the judge: other judges' grades do not count.
/// `progress` gets (done, all) answers.
///
/// # Errors
/// [`JudgedError`].
pub fn judge(
    records: &mut [Record],
    samples: &[Sample],
    path: &Path,
    judge: &Judge,
    name: &str,
    mut progress: impl FnMut(usize, usize),
) -> Result<(), JudgedError> {
    let io = |source| JudgedError::Io { path: path.to_owned(), source };
    let mut known = read(path, name).map_err(io)?;
    let mut file = OpenOptions::new().append(true).create(true).open(path).map_err(io)?;
    let mut wanted: Vec<(usize, String)> = Vec::new();
    for record in records.iter() {
        for answer in open_answers(record) {
            let key = (record.index, answer.to_owned());
            if !known.contains_key(&(record.sample.clone(), key.1.clone())) && !wanted.contains(&key) {
                wanted.push(key);
            }
        }
    }
    for (done, (index, answer)) in wanted.iter().enumerate() {
        progress(done, wanted.len());
        let Some(sample) = samples.get(*index) else { continue };
        let Gold::Judged(truth) = &sample.gold else { continue };
        let case = Case { question: &sample.question, truth, prediction: answer };
        let failed = |source| JudgedError::Judge { sample: sample.id.clone(), source };
        let score = judge.grade(&case).map_err(failed)?;
        let grade = Grade { sample: sample.id.clone(), answer: answer.clone(), judge: name.to_owned(), score };
        let line = serde_json::to_string(&grade).map_err(|error| io(error.into()))?;
        writeln!(file, "{line}").map_err(io)?;
        known.insert((grade.sample, grade.answer), score);
    }
    for record in records {
        let grade = |answer: &str| known.get(&(record.sample.clone(), answer.to_owned())).copied();
        for run in &mut record.runs {
            run.score = run.score.or_else(|| grade(&run.answer));
        }
        if let Some(guide) = &mut record.guide {
            guide.score = guide.score.or_else(|| grade(&guide.answer));
        }
    }
    Ok(())
}

fn open_answers(record: &Record) -> impl Iterator<Item = &str> {
    let runs = record.runs.iter().filter(|run| run.score.is_none()).map(|run| run.answer.as_str());
    let guide = record.guide.iter().filter(|guide| guide.score.is_none()).map(|guide| guide.answer.as_str());
    runs.chain(guide)
}

/// Grades of this judge by sample and answer; a line that was cut off does not count.
fn read(path: &Path, name: &str) -> io::Result<HashMap<(String, String), f64>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        file => file?,
    };
    let mut known = HashMap::new();
    for line in BufReader::new(file).lines() {
        if let Ok(grade) = serde_json::from_str::<Grade>(&line?)
            && grade.judge == name
        {
            known.insert((grade.sample, grade.answer), grade.score);
        }
    }
    Ok(known)
}
