//! One question of a benchmark, as every loader gives it and every metric takes it.

use crate::geometry::Rect;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One question about pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Unique within the benchmark and stable: journals know a sample by it.
    pub id: String,
    /// Samples of one group are one case for the metric: the circular passes of a multiple choice question, the two
    /// questions on a picture of MME. Elsewhere it is the id.
    pub group: String,
    /// What accuracy is broken down by: a category, a split, a skill.
    pub kind: String,
    /// In the order of the prompt.
    pub pictures: Vec<PictureSource>,
    /// The bare question; the benchmark's prompt is put around it.
    pub question: String,
    /// Context that a benchmark gives beside the question (MMBench).
    pub hint: Option<String>,
    /// The choices, from A on; empty unless it is a multiple choice question.
    pub choices: Vec<String>,
    /// What is right.
    pub gold: Gold,
}

/// Where a picture comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PictureSource {
    /// A file.
    File(PathBuf),
    /// A file's bytes as base64 text.
    Base64(Arc<str>),
    /// Such text in a table, read when it is needed: tables may be larger than memory.
    Cell(Cell),
    /// A picture that is drawn when it is needed.
    Scene {
        /// What it is drawn from.
        seed: u64,
        /// Columns and rows of tiles.
        tiles: (u32, u32),
    },
}

/// A picture in a table, as toolkits keep them. Cells with the same text are the same picture.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The table.
    pub file: Arc<Path>,
    /// Where its row begins, bytes.
    pub offset: u64,
    /// Which column of the row.
    pub column: usize,
    /// Which item, if the cell is a list.
    pub item: Option<usize>,
    /// Hash of the whole cell.
    pub hash: [u8; 32],
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        (self.hash, self.item) == (other.hash, other.item)
    }
}

impl Eq for Cell {}

impl Hash for Cell {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.hash, self.item).hash(state);
    }
}

/// What is right.
#[derive(Debug, Clone, PartialEq)]
pub enum Gold {
    /// Any of these texts: annotators' answers, or one.
    Answers(Vec<String>),
    /// The index of the right choice.
    Choice(usize),
    /// Yes or no.
    YesNo(bool),
    /// Where the thing lies in the (first) picture.
    Box(Rect),
    /// A text that only a judge can compare with.
    Judged(String),
    /// Nobody said; agreement with the unpruned target is all that can be measured.
    Unknown,
}
