//! Grades of open answers, kept beside the journal: an answer is judged once, also over runs.

use super::judge::{Case, Judge, JudgeError};
use super::record::Record;
use super::sample::{Gold, Sample};
use crate::pair::write_atomically;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, Write};
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
    let (grades, is_whole) = read(path).map_err(io)?;
    let mut known = by_answer(grades.into_iter().filter(|grade| grade.judge == name));
    let mut file = OpenOptions::new().append(true).create(true).open(path).map_err(io)?;
    // What comes next is a line of its own; nothing is cut off, since others may be writing, too.
    if !is_whole {
        file.write_all(b"\n").map_err(io)?;
    }
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
        file.write_all(&line(&grade).map_err(io)?).map_err(io)?;
        known.insert((grade.sample, grade.answer), score);
    }
    fill(records, &known);
    Ok(())
}

/// Fills in the scores of joined records from the grades beside the journals they come from, and writes these beside `out`.
/// `false`: several judges graded them, and no grade counts.
///
/// # Errors
/// [`JudgedError::Io`].
pub fn join(records: &mut [Record], journals: &[PathBuf], out: Option<&Path>) -> Result<bool, JudgedError> {
    let mut grades = Vec::new();
    // What was graded under the joined journal's name stays.
    for path in journals.iter().map(PathBuf::as_path).chain(out).map(path) {
        grades.extend(read(&path).map_err(|source| JudgedError::Io { path, source })?.0);
    }
    let mut seen = HashSet::new();
    grades.retain(|Grade { sample, answer, judge, .. }: &Grade| {
        seen.insert((sample.clone(), answer.clone(), judge.clone()))
    });
    if let Some(path) = out.map(path).filter(|_| !grades.is_empty()) {
        let lines = grades.iter().map(line).collect::<io::Result<Vec<_>>>().map(|lines| lines.concat());
        let written = lines.and_then(|lines| write_atomically(&path, &lines));
        written.map_err(|source| JudgedError::Io { path, source })?;
    }
    let is_one = grades.windows(2).all(|pair| pair[0].judge == pair[1].judge);
    if is_one {
        fill(records, &by_answer(grades));
    }
    Ok(is_one)
}

type Known = HashMap<(String, String), f64>;

fn by_answer(grades: impl IntoIterator<Item = Grade>) -> Known {
    grades.into_iter().map(|grade| ((grade.sample, grade.answer), grade.score)).collect()
}

fn fill(records: &mut [Record], known: &Known) {
    for record in records {
        let grade = |answer: &str| known.get(&(record.sample.clone(), answer.to_owned())).copied();
        for run in &mut record.runs {
            run.score = run.score.or_else(|| grade(&run.answer));
        }
        if let Some(guide) = &mut record.guide {
            guide.score = guide.score.or_else(|| grade(&guide.answer));
        }
    }
}

fn line(grade: &Grade) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(grade)?;
    line.push(b'\n');
    Ok(line)
}

fn open_answers(record: &Record) -> impl Iterator<Item = &str> {
    let runs = record.runs.iter().filter(|run| run.score.is_none()).map(|run| run.answer.as_str());
    let guide = record.guide.iter().filter(|guide| guide.score.is_none()).map(|guide| guide.answer.as_str());
    runs.chain(guide)
}

/// All grades, and whether the last line is whole; lines that were cut off do not count.
fn read(path: &Path) -> io::Result<(Vec<Grade>, bool)> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        bytes => bytes?,
    };
    let lines = bytes.split(|&byte| byte == b'\n');
    let grades = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
    Ok((grades, bytes.last().is_none_or(|&byte| byte == b'\n')))
}

#[cfg(test)]
mod tests {
    use super::super::journal::tests::record;
    use super::super::record::GuideLook;
    use super::*;

    fn grade(sample: usize, judge: &str, score: f64) -> Grade {
        Grade { sample: sample.to_string(), answer: "red".into(), judge: judge.into(), score }
    }

    fn answered(sample: usize) -> Record {
        let guide = GuideLook {
            answer: "red".into(),
            score: None,
            confidence: 1.0,
            consistency: 1.0,
            encode_ms: 0.0,
            answer_ms: 0.0,
            consistency_ms: 0.0,
        };
        Record { guide: Some(guide), ..record(sample) }
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.judged.jsonl");
        assert!(read(&path).unwrap().1);
        let whole = line(&grade(1, "j", 0.5)).unwrap();
        for cut in [&b"{\"sample\": \""[..], "{\"sample\": \"\u{e9}".as_bytes().split_last().unwrap().1, b""] {
            std::fs::write(&path, [&whole, cut].concat()).unwrap();
            let (grades, is_whole) = read(&path).unwrap();
            assert_eq!((grades.len(), is_whole), (1, cut.is_empty()));
        }
    }

    #[test]
    fn grades_follow_their_journals() {
        let dir = tempfile::tempdir().unwrap();
        let journals = ["a", "b", "none"].map(|name| dir.path().join(format!("{name}.jsonl")));
        let out = dir.path().join("both.jsonl");
        let write = |journal: &Path, grade: &Grade| std::fs::write(path(journal), line(grade).unwrap()).unwrap();
        write(&journals[0], &grade(0, "j", 0.25));
        write(&journals[1], &grade(1, "j", 1.0));
        let mut records = [answered(0), answered(1), answered(2)];
        assert!(join(&mut records, &journals, Some(&out)).unwrap());
        let scores = records.each_ref().map(|record| record.guide.as_ref().unwrap().score);
        assert_eq!(scores, [Some(0.25), Some(1.0), None]);
        assert_eq!(read(&path(&out)).unwrap().0.len(), 2);
        // Graded under the joined name, and joined again.
        let more = [line(&grade(0, "j", 0.25)).unwrap(), line(&grade(2, "j", 0.5)).unwrap()].concat();
        std::fs::write(path(&out), more).unwrap();
        assert!(join(&mut records, &journals, Some(&out)).unwrap());
        assert_eq!(records[2].guide.as_ref().unwrap().score, Some(0.5));
        assert_eq!(read(&path(&out)).unwrap().0.len(), 3);

        write(&journals[1], &grade(1, "another", 1.0));
        let mut records = [answered(0)];
        assert!(!join(&mut records, &journals, None).unwrap());
        assert_eq!(records[0].guide.as_ref().unwrap().score, None);
    }
}
