use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{At, DataError};
use super::json::Members;
use super::options::Options;
use super::picture::Pictures;
use super::questions::{ALL, File, Source, bare, load, sample};
use super::record::Record;
use super::table::{Row, Table};
use super::{Benchmark, Layout, json};
use crate::eval::metrics::Metric;
use crate::eval::sample::{PictureSource, Sample};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "seedbench",
    title: TITLE,
    what: "multiple choice on nine dimensions of picture understanding; the questions on videos are left out",
    metric: Metric::Choice,
    n_predict: 100,
    layouts: LAYOUTS,
    splits: &["image"],
    source: "Li et al., CVPR 2024, arXiv 2307.16125; github.com/AILab-CVC/SEED-Bench",
    load: |dir, split| load((TITLE, Metric::Choice, LAYOUTS), FILES, dir, split),
};

const TITLE: &str = "SEED-Bench (image)";

const LAYOUTS: &[Layout] = &[
    Layout { files: "SEED-Bench.json, SEED-Bench-image/", from: "original release" },
    Layout { files: "SEEDBench_IMG.tsv", from: "VLMEvalKit" },
    Layout { files: "seed.jsonl, SEED-Bench-image/", from: "InternVL's evaluation" },
];

const FILES: &[File] = &[
    File { split: "image", path: "SEED-Bench.json", read: release },
    File { split: "image", path: "SEEDBench_IMG.tsv", read: table },
    File { split: "image", path: "seed.jsonl", read: lines },
];

/// The types of questions on pictures, by number; the others are on videos.
const ON_PICTURES: std::ops::RangeInclusive<u64> = 1..=9;

#[derive(Deserialize)]
struct Release {
    #[serde(default = "unnamed")]
    question_type: Members<u64>,
    questions: Vec<Map<String, Value>>,
}

fn unnamed() -> Members<u64> {
    Members(Vec::new())
}

fn release(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let Release { question_type: Members(types), questions } = json::document(source.file)?;
    let pictures = Pictures::below(source.dir, &["SEED-Bench-image"]);
    let mut samples = Vec::new();
    for (i, fields) in questions.into_iter().enumerate() {
        let record = Record::new(source.file, At::Entry(format!("questions[{i}]")), fields);
        let number = record.fields.get("question_type_id").and_then(Value::as_u64);
        let number =
            number.ok_or_else(|| record.problem("field `question_type_id`: expected a number from 1 to 12"))?;
        if !ON_PICTURES.contains(&number) {
            continue;
        }
        let name = types.iter().find(|(_, id)| *id == number);
        let kind = name.map_or_else(|| format!("type {number}"), |(name, _)| name.clone());
        let fields = [('A', "choice_a"), ('B', "choice_b"), ('C', "choice_c"), ('D', "choice_d")];
        let options = Options::of(&record, &fields)?;
        let picture = pictures.file(&record, &record.text("data_id")?)?;
        let id = record.text("question_id")?;
        samples.push(choice(&record, id, kind, vec![picture], record.text("question")?, options)?);
    }
    Ok(samples)
}

fn table(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let table = Table::read(source.file, &["question", "A", "B", "answer"])?;
    let files = Pictures::below(source.dir, &["images", "images/SEEDBench_IMG"]);
    let one = |row: &Row| {
        let record = &row.record;
        let kind = record.maybe("category")?.unwrap_or_else(|| ALL.to_owned());
        let options = Options::of_columns(record)?;
        choice(record, row.index.clone(), kind, table.pictures(row, &files)?, record.text("question")?, options)
    };
    table.rows.iter().map(one).collect()
}

/// `text` holds question, choices and instruction, a line each.
fn lines(source: &Source<'_>) -> Result<Vec<Sample>, DataError> {
    let pictures = Pictures::below(source.dir, &["SEED-Bench-image"]);
    let one = |record: Record| {
        let (question, options) = Options::of_lines(&record, &bare(&record.text("text")?))?;
        let picture = pictures.file(&record, &record.text("image")?)?;
        let kind = record.maybe("category")?.unwrap_or_else(|| ALL.to_owned());
        choice(&record, record.text("question_id")?, kind, vec![picture], question, options)
    };
    json::lines(source.file)?.into_iter().map(one).collect()
}

fn choice(
    record: &Record,
    id: String,
    kind: String,
    pictures: Vec<PictureSource>,
    question: String,
    options: Options,
) -> Result<Sample, DataError> {
    let gold = options.gold(record, "answer")?;
    Ok(Sample { choices: options.texts, ..sample(id, kind, pictures, question, gold) })
}
