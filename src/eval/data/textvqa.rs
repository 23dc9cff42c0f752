use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{At, DataError};
use super::picture::Pictures;
use super::questions::{ALL, File, Source, answers, bare, load, sample};
use super::record::Record;
use super::table::{Row, Table};
use super::{Benchmark, Layout, json};
use crate::eval::metrics::Metric;
use crate::eval::sample::{Gold, Sample};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "textvqa",
    title: TITLE,
    what: "questions about text in photographs, ten answers each",
    metric: Metric::Vqa,
    n_predict: 10,
    layouts: LAYOUTS,
    splits: &["val", "train", "test"],
    source: "Singh et al., CVPR 2019, arXiv 1904.08920; textvqa.org",
    load: |dir, split| load((TITLE, Metric::Vqa, LAYOUTS), FILES, dir, split),
};

const TITLE: &str = "TextVQA";

const LAYOUTS: &[Layout] = &[
    Layout { files: "TextVQA_0.5.1_val.json, train_images/", from: "original release" },
    Layout { files: "TextVQA_VAL.tsv", from: "VLMEvalKit" },
    Layout {
        files: "textvqa_val.jsonl, textvqa_val_annotations.json, train_images/",
        from: "InternVL's and Qwen-VL's evaluation",
    },
];

const FILES: &[File] = &[
    File { split: "val", path: "TextVQA_0.5.1_val.json", read: release },
    File { split: "val", path: "TextVQA_VAL.tsv", read: table },
    File { split: "val", path: "textvqa_val.jsonl", read: lines },
    File { split: "train", path: "TextVQA_0.5.1_train.json", read: release },
    File { split: "test", path: "TextVQA_0.5.1_test.json", read: release },
];

#[derive(Deserialize)]
struct Release {
    data: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Annotations {
    annotations: Vec<Map<String, Value>>,
}

fn release(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let Release { data } = json::document(source.file)?;
    let pictures = Pictures::below(source.dir, &["train_images", "test_images", "images"]);
    data.into_iter()
        .enumerate()
        .map(|(i, fields)| {
            let record = Record::new(source.file, At::Entry(format!("data[{i}]")), fields);
            let picture = pictures.file(&record, &format!("{}.jpg", record.text("image_id")?))?;
            let gold = answers(&record, "answers", source.has_answers())?;
            Ok(sample(record.text("question_id")?, ALL, vec![picture], record.text("question")?, gold))
        })
        .collect()
}

fn table(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let table = Table::read(source.file, &["question", "answer"])?;
    let files = Pictures::below(source.dir, &["images", "images/TextVQA_VAL"]);
    let one = |row: &Row| {
        let pictures = table.pictures(row, &files)?;
        let gold = answers(&row.record, "answer", true)?;
        Ok(sample(row.index.clone(), ALL, pictures, row.record.text("question")?, gold))
    };
    table.rows.iter().map(one).collect()
}

/// The lines hold one answer, the annotations beside them all ten.
fn lines(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let all = annotations(&source.file.with_file_name("textvqa_val_annotations.json"))?;
    let pictures = Pictures::below(source.dir, &["train_images"]);
    let one = |record: Record| {
        let id = record.text("question_id")?;
        let gold = all.get(&id).cloned();
        let gold = gold.ok_or_else(|| record.problem(format!("textvqa_val_annotations.json has no question {id}")))?;
        let picture = pictures.file(&record, &record.text("image")?)?;
        Ok(sample(id, ALL, vec![picture], bare(&record.text("question")?), gold))
    };
    json::lines(source.file)?.into_iter().map(one).collect()
}

fn annotations(path: &Path) -> Result<HashMap<String, Gold>, DataError> {
    if !path.is_file() {
        return Err(DataError::Missing {
            path: path.to_owned(),
            holds: "which holds the ten answers to each question".to_owned(),
            fix: "it is published with textvqa_val.jsonl".to_owned(),
        });
    }
    let Annotations { annotations } = json::document(path)?;
    let one = |(i, fields)| {
        let record = Record::new(path, At::Entry(format!("annotations[{i}]")), fields);
        Ok((record.text("question_id")?, answers(&record, "answers", true)?))
    };
    annotations.into_iter().enumerate().map(one).collect()
}
