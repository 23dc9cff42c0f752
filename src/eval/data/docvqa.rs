use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{At, DataError};
use super::picture::Pictures;
use super::questions::{ALL, File, Source, answers, bare, load, sample};
use super::record::Record;
use super::table::{Row, Table};
use super::{Benchmark, Layout, json};
use crate::eval::metrics::Metric;
use crate::eval::sample::Sample;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "docvqa",
    title: TITLE,
    what: "questions about scanned documents",
    metric: Metric::Anls,
    n_predict: 100,
    layouts: LAYOUTS,
    splits: &["val", "test"],
    source: "Mathew et al., WACV 2021, arXiv 2007.00398; docvqa.org",
    load: |dir, split| load((TITLE, Metric::Anls, LAYOUTS), FILES, dir, split),
};

const TITLE: &str = "DocVQA";

const LAYOUTS: &[Layout] = &[
    Layout {
        files: "val_v1.0_withQT.json or val_v1.0.json, also below val/ or spdocvqa_qas/, documents/ or spdocvqa_images/",
        from: "original release",
    },
    Layout { files: "DocVQA_VAL.tsv", from: "VLMEvalKit" },
    Layout { files: "val.jsonl, val/documents/", from: "InternVL's and Qwen-VL's evaluation" },
];

const FILES: &[File] = &[
    File { split: "val", path: "val_v1.0_withQT.json", read: release },
    File { split: "val", path: "val_v1.0.json", read: release },
    File { split: "val", path: "spdocvqa_qas/val_v1.0_withQT.json", read: release },
    File { split: "val", path: "val/val_v1.0_withQT.json", read: release },
    File { split: "val", path: "val/val_v1.0.json", read: release },
    File { split: "val", path: "DocVQA_VAL.tsv", read: table },
    File { split: "val", path: "val.jsonl", read: lines },
    File { split: "test", path: "test_v1.0.json", read: release },
    File { split: "test", path: "spdocvqa_qas/test_v1.0.json", read: release },
    File { split: "test", path: "test/test_v1.0.json", read: release },
    File { split: "test", path: "DocVQA_TEST.tsv", read: table },
    File { split: "test", path: "test.jsonl", read: lines },
];

#[derive(Deserialize)]
struct Release {
    data: Vec<Map<String, Value>>,
}

fn release(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let Release { data } = json::document(source.file)?;
    let pictures = pictures(source);
    data.into_iter()
        .enumerate()
        .map(|(i, fields)| {
            let record = Record::new(source.file, At::Entry(format!("data[{i}]")), fields);
            let picture = pictures.file(&record, &record.text("image")?)?;
            let gold = answers(&record, "answers", source.has_answers())?;
            let kind = record.texts("question_types")?.map_or_else(|| ALL.to_owned(), |types| types.join("+"));
            Ok(sample(record.text("questionId")?, kind, vec![picture], record.text("question")?, gold))
        })
        .collect()
}

fn table(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let table = Table::read(source.file, &["question"])?;
    let files = pictures(source);
    let one = |row: &Row| {
        let gold = answers(&row.record, "answer", source.has_answers())?;
        Ok(sample(row.index.clone(), ALL, table.pictures(row, &files)?, row.record.text("question")?, gold))
    };
    table.rows.iter().map(one).collect()
}

fn lines(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let pictures = pictures(source);
    let one = |record: Record| {
        let picture = pictures.file(&record, &record.text("image")?)?;
        let gold = answers(&record, "answer", source.has_answers())?;
        Ok(sample(record.text("question_id")?, ALL, vec![picture], bare(&record.text("question")?), gold))
    };
    json::lines(source.file)?.into_iter().map(one).collect()
}

fn pictures(source: &Source<'_>) -> Pictures {
    let folders = ["documents", "spdocvqa_images", "val", "test", "val/documents", "test/documents", "images"];
    Pictures::below(source.dir, &folders)
}
