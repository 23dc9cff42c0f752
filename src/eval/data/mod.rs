//! Benchmarks as people have them on disk: each loader takes a folder and knows the files of several layouts.
//!
//! Pictures are neither decoded nor copied; a file that is missing is an error that names the question. Of several layouts
//! in one folder the first in the order of [`Benchmark::layouts`] is read.

mod chartqa;
mod docvqa;
mod error;
mod gqa;
mod json;
mod jsonl;
mod list;
mod mmbench;
mod mme;
mod mmvet;
mod options;
mod pickle;
mod picture;
mod python;
mod questions;
mod record;
mod refcoco;
mod scenes;
mod seedbench;
mod table;
mod textvqa;

#[cfg(test)]
mod miniature;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::eval::metrics::Metric;
use crate::eval::sample::Sample;

pub use error::{At, DataError, Place};
pub use list::{Listing, describe, listings};
pub use mmvet::CAPABILITIES;
pub use table::text_of;

/// A benchmark that can be loaded.
#[derive(Debug, Clone, Copy)]
pub struct Benchmark {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What its authors call it.
    pub title: &'static str,
    /// What it asks for.
    pub what: &'static str,
    /// How answers are scored.
    pub metric: Metric,
    /// Tokens that an answer may have.
    pub n_predict: usize,
    /// The files that are recognised, in the order of preference.
    pub layouts: &'static [Layout],
    /// Names for `split`, the default first; empty where a folder has only one set of questions.
    pub splits: &'static [&'static str],
    /// Paper and site.
    pub source: &'static str,
    /// Loads the questions of a split from a folder; the default split for `None`.
    pub load: fn(&Path, Option<&str>) -> Result<Loaded, DataError>,
}

/// One way that a benchmark lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Layout {
    /// Files and folders below the folder that is given.
    pub files: &'static str,
    /// Who publishes it so.
    pub from: &'static str,
}

/// Questions, and what was read for them.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// At least one, all ids different, in the order of the file.
    pub samples: Vec<Sample>,
    /// The benchmark's metric; for `jsonl` that of the file.
    pub metric: Metric,
    /// The split that was read.
    pub split: String,
    /// The file, or the folder, that the questions are in.
    pub file: PathBuf,
}

/// All benchmarks.
pub const BENCHMARKS: &[Benchmark] = &[
    textvqa::BENCHMARK,
    chartqa::BENCHMARK,
    docvqa::BENCHMARK,
    gqa::BENCHMARK,
    seedbench::BENCHMARK,
    mmbench::BENCHMARK,
    mmvet::BENCHMARK,
    mme::BENCHMARK,
    refcoco::REFCOCO,
    refcoco::REFCOCO_PLUS,
    refcoco::REFCOCOG,
    jsonl::BENCHMARK,
    scenes::SCENES,
    scenes::SCENES_LARGE,
];

/// The benchmark of that name.
///
/// # Errors
///
/// [`DataError::UnknownBenchmark`] lists the names.
pub fn find(name: &str) -> Result<&'static Benchmark, DataError> {
    BENCHMARKS.iter().find(|benchmark| benchmark.name == name).ok_or_else(|| DataError::UnknownBenchmark {
        name: name.to_owned(),
        known: BENCHMARKS.iter().map(|benchmark| benchmark.name).collect::<Vec<_>>().join(", "),
    })
}
