//! What all loaders share: which file of a folder is read, and the checks on what was read.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::error::DataError;
use super::record::Record;
use super::{Layout, Loaded};
use crate::eval::metrics::Metric;
use crate::eval::sample::{Gold, PictureSource, Sample};

/// Kind of questions that have none.
pub(super) const ALL: &str = "all";

/// A file that may be in the folder.
pub(super) struct File {
    pub(super) split: &'static str,
    pub(super) path: &'static str,
    pub(super) read: Reader,
}

pub(super) type Reader = fn(&Source<'_>) -> Result<Vec<Sample>, DataError>;

/// What a reader reads.
pub(super) struct Source<'a> {
    /// The folder that was given.
    pub(super) dir: &'a Path,
    pub(super) file: &'a Path,
    pub(super) split: &'a str,
}

impl Source<'_> {
    /// Questions of the authors' test set are published without answers.
    pub(super) fn has_answers(&self) -> bool {
        !self.split.starts_with("test")
    }
}

/// Reads the first of the `files` that exists, of the split that was asked for, if one was.
pub(super) fn load(
    (title, metric, layouts): (&'static str, Metric, &[Layout]),
    files: &[File],
    dir: &Path,
    split: Option<&str>,
) -> Result<Loaded, DataError> {
    let there: Vec<(&File, PathBuf)> =
        files.iter().map(|file| (file, dir.join(file.path))).filter(|(_, path)| path.is_file()).collect();
    if there.is_empty() {
        return Err(no_data(title, layouts, dir));
    }
    let Some((file, path)) = there.iter().find(|(file, _)| split.is_none_or(|split| split == file.split)) else {
        let splits = there.iter().map(|(file, _)| file.split);
        return Err(no_split(split.unwrap_or_default(), dir, splits));
    };
    let samples = (file.read)(&Source { dir, file: path, split: file.split })?;
    checked(samples, metric, file.split, path)
}

pub(super) fn no_data(title: &'static str, layouts: &[Layout], dir: &Path) -> DataError {
    let expected: Vec<String> = layouts.iter().map(|Layout { files, from }| format!("{files} ({from})")).collect();
    DataError::NoData { title, dir: dir.to_owned(), expected: expected.join("; ") }
}

pub(super) fn no_split<'a>(split: &str, dir: &Path, there: impl IntoIterator<Item = &'a str>) -> DataError {
    let mut available: Vec<&str> = Vec::new();
    for split in there {
        if !available.contains(&split) {
            available.push(split);
        }
    }
    DataError::NoSplit { split: split.to_owned(), dir: dir.to_owned(), available: available.join(", ") }
}

/// Nothing is evaluated without a question, or with two that a journal cannot tell apart.
pub(super) fn checked(samples: Vec<Sample>, metric: Metric, split: &str, file: &Path) -> Result<Loaded, DataError> {
    if samples.is_empty() {
        return Err(DataError::Empty { path: file.to_owned() });
    }
    let mut ids = HashSet::with_capacity(samples.len());
    if let Some(sample) = samples.iter().find(|sample| !ids.insert(sample.id.as_str())) {
        return Err(DataError::SameId { path: file.to_owned(), id: sample.id.clone() });
    }
    Ok(Loaded { samples, metric, split: split.to_owned(), file: file.to_owned() })
}

/// A sample that is a case of its own, without hint and choices.
pub(super) fn sample(
    id: String,
    kind: impl Into<String>,
    pictures: Vec<PictureSource>,
    question: String,
    gold: Gold,
) -> Sample {
    Sample { group: id.clone(), id, kind: kind.into(), pictures, question, hint: None, choices: Vec::new(), gold }
}

/// The answers in a field; only where `required` is it an error that there are none.
pub(super) fn answers(record: &Record, name: &str, required: bool) -> Result<Gold, DataError> {
    match record.texts(name)? {
        Some(answers) => Ok(Gold::Answers(answers)),
        None if required => Err(record.missing(name)),
        None => Ok(Gold::Unknown),
    }
}

/// `Yes` or `No`, in any case.
pub(super) fn yes_no(record: &Record, name: &str) -> Result<Gold, DataError> {
    let text = record.text(name)?;
    match text.trim().to_ascii_lowercase().as_str() {
        "yes" => Ok(Gold::YesNo(true)),
        "no" => Ok(Gold::YesNo(false)),
        _ => Err(record.problem(format!("field `{name}`: expected Yes or No, found `{text}`"))),
    }
}

/// The question without the instruction that some files have behind it: the benchmark's prompt is put around it anyway.
pub(super) fn bare(question: &str) -> String {
    const INSTRUCTIONS: [&str; 2] = [
        "Answer the question using a single word or phrase.",
        "Answer with the option's letter from the given choices directly.",
    ];
    let question = question.trim();
    let end = INSTRUCTIONS.iter().find_map(|instruction| question.strip_suffix(instruction));
    end.unwrap_or(question).trim_end().to_owned()
}
