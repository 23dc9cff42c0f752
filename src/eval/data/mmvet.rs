use std::collections::HashMap;

use serde_json::{Map, Value};

use super::error::{At, DataError};
use super::json::Members;
use super::picture::Pictures;
use super::questions::{ALL, File, Source, load, sample};
use super::record::Record;
use super::table::{Row, Table};
use super::{Benchmark, Layout, json};
use crate::eval::metrics::Metric;
use crate::eval::sample::{Gold, Sample};

/// MM-Vet's capabilities: recognition, text, knowledge, generation, space, mathematics. The kind of one of its questions
/// is the capabilities it needs, in this order, with `+` between them.
pub const CAPABILITIES: [&str; 6] = ["rec", "ocr", "know", "gen", "spat", "math"];

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "mmvet",
    title: TITLE,
    what: "open questions that need several capabilities at once; answers are graded by a judge model",
    metric: Metric::Judge,
    n_predict: 1000,
    layouts: LAYOUTS,
    splits: &[],
    source: "Yu et al., ICML 2024, arXiv 2308.02490; github.com/yuweihao/MM-Vet",
    load: |dir, split| load((TITLE, Metric::Judge, LAYOUTS), FILES, dir, split),
};

const TITLE: &str = "MM-Vet";

const LAYOUTS: &[Layout] = &[
    Layout { files: "mm-vet.json, images/", from: "original release" },
    Layout { files: "MMVet.tsv", from: "VLMEvalKit" },
    Layout {
        files: "llava-mm-vet.jsonl, images/; without answers, so for export only",
        from: "InternVL's and LLaVA's evaluation",
    },
];

const FILES: &[File] = &[
    File { split: ALL, path: "mm-vet.json", read: release },
    File { split: ALL, path: "MMVet.tsv", read: table },
    File { split: ALL, path: "llava-mm-vet.jsonl", read: lines },
];

fn release(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let Members(questions): Members<Map<String, Value>> = json::document(source.file)?;
    let pictures = Pictures::below(source.dir, &["images"]);
    let one = |(id, fields): (String, Map<String, Value>)| {
        let record = Record::new(source.file, At::Entry(id.clone()), fields);
        let picture = pictures.file(&record, &record.text("imagename")?)?;
        let needs = record.texts("capability")?.ok_or_else(|| record.missing("capability"))?;
        let kind = kind(&record, needs.iter().map(String::as_str))?;
        let gold = Gold::Judged(record.text("answer")?);
        Ok(sample(id, kind, vec![picture], record.text("question")?, gold))
    };
    questions.into_iter().map(one).collect()
}

fn table(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let table = Table::read(source.file, &["question", "answer", "category"])?;
    let files = Pictures::below(source.dir, &["images", "images/MMVet"]);
    let one = |row: &Row| {
        let record = &row.record;
        let kind = kind(record, record.text("category")?.split(','))?;
        let gold = Gold::Judged(record.text("answer")?);
        Ok(sample(official(&row.index), kind, table.pictures(row, &files)?, record.text("question")?, gold))
    };
    table.rows.iter().map(one).collect()
}

/// Neither answers nor capabilities are in this file.
fn lines(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let pictures = Pictures::below(source.dir, &["images"]);
    let one = |record: Record| {
        let picture = pictures.file(&record, &record.text("image")?)?;
        let id = official(&record.text("question_id")?);
        Ok(sample(id, ALL, vec![picture], record.text("text")?.trim().to_owned(), Gold::Unknown))
    };
    json::lines(source.file)?.into_iter().map(one).collect()
}

/// `v1_7` for 7, as the original release names its questions.
fn official(id: &str) -> String {
    if id.bytes().all(|byte| byte.is_ascii_digit()) { format!("v1_{id}") } else { id.to_owned() }
}

fn kind<'a>(record: &Record, needs: impl Iterator<Item = &'a str>) -> Result<String, DataError> {
    let rank: HashMap<&str, usize> = CAPABILITIES.iter().enumerate().map(|(rank, &name)| (name, rank)).collect();
    let mut ranks = Vec::new();
    for name in needs.map(str::trim) {
        let known = rank.get(name).copied();
        ranks.push(known.ok_or_else(|| {
            record.problem(format!("capability `{name}` is unknown; expected some of {}", CAPABILITIES.join(", ")))
        })?);
    }
    ranks.sort_unstable();
    ranks.dedup();
    let names: Vec<&str> = ranks.iter().filter_map(|&rank| CAPABILITIES.get(rank).copied()).collect();
    Ok(names.join("+"))
}
