use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::{At, DataError};
use super::picture::Pictures;
use super::questions::{answers, bare, checked, no_data, no_split, sample};
use super::record::Record;
use super::table::{Row, Table};
use super::{Benchmark, Layout, Loaded, json};
use crate::eval::metrics::Metric;
use crate::eval::sample::Sample;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "chartqa",
    title: TITLE,
    what: "questions about charts: written by people (human) and made from their captions (augmented)",
    metric: Metric::Relaxed,
    n_predict: 100,
    layouts: LAYOUTS,
    splits: SPLITS,
    source: "Masry et al., Findings of ACL 2022, arXiv 2203.10244; github.com/vis-nlp/ChartQA",
    load,
};

const TITLE: &str = "ChartQA";

const LAYOUTS: &[Layout] = &[
    Layout {
        files: "test/test_human.json, test/test_augmented.json, test/png/, also below `ChartQA Dataset/`",
        from: "original release",
    },
    Layout { files: "ChartQA_TEST.tsv", from: "VLMEvalKit" },
    Layout {
        files: "test_human.jsonl, test_augmented.jsonl, `ChartQA Dataset/test/png/`",
        from: "InternVL's and Qwen-VL's evaluation",
    },
];

/// All of the test set, or one half of it.
const SPLITS: &[&str] = &["test", HUMAN, AUGMENTED];
const HUMAN: &str = "human";
const AUGMENTED: &str = "augmented";

fn load(dir: &Path, split: Option<&str>) -> Result<Loaded, DataError> {
    let split = split.unwrap_or("test");
    if !SPLITS.contains(&split) {
        return Err(no_split(split, dir, SPLITS.iter().copied()));
    }
    let table = dir.join("ChartQA_TEST.tsv");
    let files = halves(dir);
    let mut samples = Vec::new();
    let file = match files {
        Some((folder, extension)) => {
            for kind in [HUMAN, AUGMENTED].into_iter().filter(|kind| split == "test" || split == *kind) {
                samples.append(&mut half(dir, &folder.join(format!("test_{kind}.{extension}")), kind)?);
            }
            folder
        }
        None if table.is_file() => {
            samples = rows(dir, &table)?;
            samples.retain(|sample| split == "test" || sample.kind == split);
            table
        }
        None => return Err(no_data(TITLE, LAYOUTS, dir)),
    };
    checked(samples, Metric::Relaxed, split, &file)
}

/// Folder and extension of the files `test_human` and `test_augmented`, of which one is enough to know them by.
fn halves(dir: &Path) -> Option<(PathBuf, &'static str)> {
    let has = |folder: &Path, extension: &str| {
        [HUMAN, AUGMENTED].iter().any(|kind| folder.join(format!("test_{kind}.{extension}")).is_file())
    };
    let release = ["test", "ChartQA Dataset/test", "."].map(|folder| (dir.join(folder), "json"));
    let lines = || (!dir.join("ChartQA_TEST.tsv").is_file()).then(|| (dir.to_owned(), "jsonl"));
    release.into_iter().chain(lines()).find(|(folder, extension)| has(folder, extension))
}

/// The questions of one file; they have no ids beyond their number.
fn half(dir: &Path, file: &Path, kind: &'static str) -> Result<Vec<Sample>, DataError> {
    if !file.is_file() {
        return Err(DataError::Missing {
            path: file.to_owned(),
            holds: format!("which holds the {kind} half"),
            fix: format!("give --split {} for the other alone", if kind == HUMAN { AUGMENTED } else { HUMAN }),
        });
    }
    let folders = ["test/png", "ChartQA Dataset/test/png", "png", "test", "ChartQA Dataset"];
    let pictures = Pictures::below(dir, &folders);
    let (records, [image, question, answer]) = if file.extension().is_some_and(|extension| extension == "jsonl") {
        (json::lines(file)?, ["image", "question", "answer"])
    } else {
        let items: Vec<Map<String, Value>> = json::document(file)?;
        let record = |(i, fields)| Record::new(file, At::Entry(format!("[{i}]")), fields);
        (items.into_iter().enumerate().map(record).collect(), ["imgname", "query", "label"])
    };
    let one = |(i, record): (usize, Record)| {
        let picture = pictures.file(&record, &record.text(image)?)?;
        let gold = answers(&record, answer, true)?;
        Ok(sample(format!("{kind}/{i}"), kind, vec![picture], bare(&record.text(question)?), gold))
    };
    records.into_iter().enumerate().map(one).collect()
}

/// The column `split` says `test_human` or `test_augmented`.
fn rows(dir: &Path, file: &Path) -> Result<Vec<Sample>, DataError> {
    let table = Table::read(file, &["question", "answer", "split"])?;
    let files = Pictures::below(dir, &["images", "images/ChartQA_TEST"]);
    let one = |row: &Row| {
        let split = row.record.text("split")?;
        let kind = [HUMAN, AUGMENTED].into_iter().find(|kind| split.ends_with(kind)).ok_or_else(|| {
            row.record.problem(format!("column `split`: expected test_human or test_augmented, found `{split}`"))
        })?;
        let gold = answers(&row.record, "answer", true)?;
        Ok(sample(row.index.clone(), kind, table.pictures(row, &files)?, row.record.text("question")?, gold))
    };
    table.rows.iter().map(one).collect()
}
