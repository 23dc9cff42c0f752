use serde_json::{Map, Value};

use super::error::{At, DataError};
use super::json::Members;
use super::picture::Pictures;
use super::questions::{ALL, File, Source, answers, bare, load, sample};
use super::record::Record;
use super::table::{Row, Table};
use super::{Benchmark, Layout, json};
use crate::eval::metrics::Metric;
use crate::eval::sample::Sample;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "gqa",
    title: TITLE,
    what: "compositional questions about scenes, one word each",
    metric: Metric::Exact,
    n_predict: 10,
    layouts: LAYOUTS,
    splits: &["testdev", "val"],
    source: "Hudson and Manning, CVPR 2019, arXiv 1902.09506; cs.stanford.edu/people/dorarad/gqa",
    load: |dir, split| load((TITLE, Metric::Exact, LAYOUTS), FILES, dir, split),
};

const TITLE: &str = "GQA";

const LAYOUTS: &[Layout] = &[
    Layout { files: "testdev_balanced_questions.json, also below questions1.2/, images/", from: "original release" },
    Layout { files: "GQA_TestDev_Balanced.tsv", from: "VLMEvalKit" },
    Layout {
        files: "llava_gqa_testdev_balanced_qwen_format.jsonl or testdev_balanced.jsonl, images/",
        from: "InternVL's and Qwen-VL's evaluation",
    },
];

const FILES: &[File] = &[
    File { split: "testdev", path: "testdev_balanced_questions.json", read: release },
    File { split: "testdev", path: "questions1.2/testdev_balanced_questions.json", read: release },
    File { split: "testdev", path: "GQA_TestDev_Balanced.tsv", read: table },
    File { split: "testdev", path: "llava_gqa_testdev_balanced_qwen_format.jsonl", read: lines },
    File { split: "testdev", path: "testdev_balanced.jsonl", read: lines },
    File { split: "testdev", path: "test_balanced.jsonl", read: lines },
    File { split: "val", path: "val_balanced_questions.json", read: release },
    File { split: "val", path: "questions1.2/val_balanced_questions.json", read: release },
];

/// Kinds are GQA's structural types: choose, compare, logical, query, verify.
fn release(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let Members(questions): Members<Map<String, Value>> = json::document(source.file)?;
    let pictures = Pictures::below(source.dir, &["images"]);
    let one = |(id, fields): (String, Map<String, Value>)| {
        let kind = fields.get("types").and_then(|types| types.get("structural")).and_then(Value::as_str);
        let kind = kind.unwrap_or(ALL).to_owned();
        let record = Record::new(source.file, At::Entry(format!("question {id}")), fields);
        let picture = pictures.file(&record, &format!("{}.jpg", record.text("imageId")?))?;
        Ok(sample(id, kind, vec![picture], record.text("question")?, answers(&record, "answer", true)?))
    };
    questions.into_iter().map(one).collect()
}

fn table(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let table = Table::read(source.file, &["question", "answer"])?;
    let files = Pictures::below(source.dir, &["images", "images/GQA_TestDev_Balanced"]);
    let one = |row: &Row| {
        let kind = row.record.maybe("category")?.unwrap_or_else(|| ALL.to_owned());
        let gold = answers(&row.record, "answer", true)?;
        Ok(sample(row.index.clone(), kind, table.pictures(row, &files)?, row.record.text("question")?, gold))
    };
    table.rows.iter().map(one).collect()
}

fn lines(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let pictures = Pictures::below(source.dir, &["images"]);
    let one = |record: Record| {
        let picture = pictures.file(&record, &record.text("image")?)?;
        let gold = answers(&record, "answer", true)?;
        Ok(sample(record.text("question_id")?, ALL, vec![picture], bare(&record.text("question")?), gold))
    };
    json::lines(source.file)?.into_iter().map(one).collect()
}
