//! The report of an evaluation: one page that needs neither network nor scripts, and its numbers as JSON and CSV.

mod curve;
mod finding;
#[cfg(test)]
pub(crate) mod fixture;
mod grid;
mod look;
mod number;
mod page;
mod plot;
mod sheet;
mod table;
mod tables;
#[cfg(test)]
mod tests;

use super::summary::Summary;
use crate::pair::write_atomically;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What is reported.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The numbers.
    pub summary: &'a Summary,
    /// Cases to look at, in the order of the page.
    pub cases: &'a [Case],
}

/// One case of the gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The group that it is shown in.
    pub outcome: Outcome,
    /// The sample's id.
    pub sample: String,
    /// The sample's kind.
    pub kind: String,
    /// The bare question.
    pub question: String,
    /// What is right.
    pub expected: String,
    /// What the guide said; `None` without a guide.
    pub guide_answer: Option<String>,
    /// What the target said that had read everything.
    pub unpruned_answer: String,
    /// What the target said that had read the kept tokens.
    pub pruned_answer: String,
    /// Which policy had chosen them.
    pub policy: String,
    /// At which retention.
    pub retain: f64,
    /// Visual tokens that the target read.
    pub kept: usize,
    /// Visual tokens of the prompt.
    pub n_visual: usize,
    /// The attention and the kept tokens on the picture; empty if there is no such picture.
    pub heat_map_png: Vec<u8>,
}

/// What pruning did to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Right with and without it.
    Right,
    /// Wrong with and without it.
    Wrong,
    /// Better with it.
    Rescued,
    /// Worse with it.
    Hurt,
}

impl Outcome {
    /// All of them, in the order of a gallery.
    pub const ALL: [Self; 4] = [Self::Right, Self::Wrong, Self::Rescued, Self::Hurt];
}

/// What keeps a report from being written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A plot could not be drawn.
    #[error("the plot of {plot} could not be drawn: {source}")]
    Plot {
        /// Which.
        plot: &'static str,
        /// The backend's reason.
        source: io::Error,
    },
    /// The page could not be made.
    #[error("the page could not be made: {0}")]
    Page(#[from] minijinja::Error),
    /// The numbers could not be made JSON.
    #[error("the results could not be made JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The numbers could not be made CSV.
    #[error("the results could not be made CSV: {0}")]
    Csv(#[from] csv::Error),
    /// A file could not be written.
    #[error("{} could not be written: {source}; choose a folder that can be written to", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Report<'_> {
    /// Writes `report.html`, `results.json` (the [`Summary`]), `rows.csv`, and where there is such data `overlap.csv` and
    /// `exit_curve.csv` into `dir`, which is made if it is not there. Returns their paths.
    ///
    /// Nothing is written before everything has been made, and each file appears whole or not at all.
    ///
    /// # Errors
    /// As [`ReportError`] says.
    pub fn write(&self, dir: &Path) -> Result<Vec<PathBuf>, ReportError> {
        let files = self.files()?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ReportError::Write { path, source }
        };
        fs::create_dir_all(dir).map_err(failed(dir))?;
        let write = |(name, bytes): (&str, Vec<u8>)| {
            let path = dir.join(name);
            write_atomically(&path, &bytes).map_err(failed(&path))?;
            Ok(path)
        };
        files.into_iter().map(write).collect()
    }

    fn files(&self) -> Result<Vec<(&'static str, Vec<u8>)>, ReportError> {
        let summary = self.summary;
        let mut json = serde_json::to_vec_pretty(summary)?;
        json.push(b'\n');
        let mut files = vec![("results.json", json), ("rows.csv", sheet::rows(&summary.rows)?)];
        if !summary.overlap.is_empty() {
            files.push(("overlap.csv", sheet::overlap(&summary.overlap)?));
        }
        if !summary.exit_curve.is_empty() {
            files.push(("exit_curve.csv", sheet::exit_curve(&summary.exit_curve)?));
        }
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        files.insert(0, ("report.html", page::render(self, &names)?.into_bytes()));
        Ok(files)
    }
}
