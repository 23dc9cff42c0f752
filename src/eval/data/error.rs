use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a benchmark could not be loaded.
#[derive(Debug, Error)]
pub enum DataError {
    /// No such benchmark.
    #[error("no benchmark is called `{name}`; the benchmarks are {known}")]
    UnknownBenchmark {
        /// What was asked for.
        name: String,
        /// Names of all benchmarks.
        known: String,
    },
    /// None of the files that a benchmark is known by.
    #[error("no {title} in `{}`; expected one of {expected}", dir.display())]
    NoData {
        /// Title of the benchmark.
        title: &'static str,
        /// The folder that was given.
        dir: PathBuf,
        /// The files of every layout.
        expected: String,
    },
    /// The benchmark is there, the split is not.
    #[error("no split `{split}` in `{}`; there is {available}", dir.display())]
    NoSplit {
        /// What was asked for.
        split: String,
        /// The folder, or the file, that was looked into.
        dir: PathBuf,
        /// The splits that exist.
        available: String,
    },
    /// A file that belongs to the layout is not there.
    #[error("`{}` is missing, {holds}; {fix}", path.display())]
    Missing {
        /// The file or folder.
        path: PathBuf,
        /// What it holds, as "which holds ...".
        holds: String,
        /// What can be done.
        fix: String,
    },
    /// The system refuses a file.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{place}: {problem}")]
    Malformed {
        /// Where.
        place: Place,
        /// What was found, and what was expected.
        problem: String,
    },
    /// A question's picture is not there.
    #[error("{place}: no picture `{picture}`; looked below {folders}")]
    NoPicture {
        /// The question.
        place: Place,
        /// The picture as the file names it.
        picture: String,
        /// Where it was looked for.
        folders: String,
    },
    /// A file or folder without a question.
    #[error("no question in `{}`; the file is empty or was cut short", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
    /// Two questions of one name: a journal could not tell them apart.
    #[error("two questions in `{}` have the id `{id}`; ids must differ", path.display())]
    SameId {
        /// The file or folder.
        path: PathBuf,
        /// The id.
        id: String,
    },
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub at: At,
}

/// Where in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// No particular place.
    Whole,
    /// A line, from 1; of a table, the line that a row begins on.
    Line(u64),
    /// An entry of a JSON document, such as `data[3]`.
    Entry(String),
    /// A byte, from 0.
    Byte(usize),
}

impl Place {
    pub(super) fn new(file: &Path, at: At) -> Self {
        Self { file: file.to_owned(), at }
    }

    pub(super) fn problem(&self, problem: impl Into<String>) -> DataError {
        DataError::Malformed { place: self.clone(), problem: problem.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.file.display())?;
        match &self.at {
            At::Whole => Ok(()),
            At::Line(line) => write!(f, ", line {line}"),
            At::Entry(entry) => write!(f, ", {entry}"),
            At::Byte(byte) => write!(f, ", byte {byte}"),
        }
    }
}
