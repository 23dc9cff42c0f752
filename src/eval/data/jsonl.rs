use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::error::{At, DataError};
use super::picture::Pictures;
use super::questions::{ALL, answers, checked, no_data, no_split, sample, yes_no};
use super::record::Record;
use super::refcoco::shares;
use super::{Benchmark, Layout, Loaded, json};
use crate::eval::metrics::Metric;
use crate::eval::sample::{Gold, PictureSource, Sample};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "jsonl",
    title: TITLE,
    what: "one's own: a line for each question with image, question, and answer, answers, choices or box where known; \
           also id, kind, hint and metric",
    metric: Metric::Exact,
    n_predict: 128,
    layouts: LAYOUTS,
    splits: &[],
    source: "one's own",
    load,
};

const TITLE: &str = "questions";
/// Choices have letters from A to Z.
const MAX_CHOICES: usize = 26;

const LAYOUTS: &[Layout] =
    &[Layout { files: "questions.jsonl, or the only *.jsonl, or NAME.jsonl with --split NAME", from: "one's own" }];

/// `dir` may also be the file itself.
fn load(dir: &Path, split: Option<&str>) -> Result<Loaded, DataError> {
    let file = if dir.is_file() { dir.to_owned() } else { choose(dir, split)? };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut pictures = Pictures::below(folder, &["images"]);
    let (mut metric, mut is_declared) = (None, false);
    let mut samples = Vec::new();
    for record in json::lines(&file)? {
        let looks_like = implied(&record);
        let metric = match (metric, declared(&record)?) {
            (None, declared) => {
                is_declared = declared.is_some();
                *metric.insert(declared.unwrap_or(looks_like))
            }
            (Some(of_file), Some(declared)) if of_file != declared => {
                return Err(record.problem(format!(
                    "field `metric`: `{declared}`, but the file's first question has `{of_file}`; give a file one metric"
                )));
            }
            (Some(of_file), None) if !is_declared && looks_like != Metric::Exact && looks_like != of_file => {
                return Err(record.problem(format!(
                    "its metric would be `{looks_like}`, but that of the file's first question is `{of_file}`; give a file one \
                     metric, or name it in a field `metric` of the first question"
                )));
            }
            (Some(of_file), _) => of_file,
        };
        samples.push(question(&record, metric, &mut pictures)?);
    }
    checked(samples, metric.unwrap_or(Metric::Exact), &name(&file), &file)
}

fn choose(dir: &Path, split: Option<&str>) -> Result<PathBuf, DataError> {
    let mut there: Vec<PathBuf> = fs::read_dir(dir)
        .map_err(|source| DataError::Read { path: dir.to_owned(), source })?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension() == Some(OsStr::new("jsonl")) && path.is_file())
        .collect();
    there.sort_unstable();
    let wanted = split.unwrap_or("questions");
    match (there.iter().find(|path| name(path) == wanted), there.as_slice()) {
        (Some(file), _) => Ok(file.clone()),
        (None, []) => Err(no_data(TITLE, LAYOUTS, dir)),
        (None, [only]) if split.is_none() => Ok(only.clone()),
        _ => {
            let names: Vec<String> = there.iter().map(|path| name(path)).collect();
            Err(no_split(wanted, dir, names.iter().map(String::as_str)))
        }
    }
}

fn name(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn declared(record: &Record) -> Result<Option<Metric>, DataError> {
    let parsed = |text: String| text.parse().map_err(|error| record.problem(format!("field `metric`: {error}")));
    record.maybe("metric")?.map(parsed).transpose()
}

fn implied(record: &Record) -> Metric {
    match (record.has("choices"), record.has("box")) {
        (true, _) => Metric::Choice,
        (false, true) => Metric::Box,
        (false, false) => Metric::Exact,
    }
}

fn question(record: &Record, metric: Metric, pictures: &mut Pictures) -> Result<Sample, DataError> {
    let id = match (record.maybe("id")?, &record.place.at) {
        (Some(id), _) => id,
        (None, At::Line(line)) => line.to_string(),
        (None, at) => format!("{at:?}"),
    };
    let shown = shown(record, pictures)?;
    let choices = record.texts("choices")?.unwrap_or_default();
    if choices.len() > MAX_CHOICES {
        return Err(record.problem(format!("{} choices, and there are {MAX_CHOICES} letters", choices.len())));
    }
    let answer = if record.has("answers") { "answers" } else { "answer" };
    let gold = match metric {
        Metric::Box if record.has("box") => {
            let first = shown.first().ok_or_else(|| record.missing("image"))?;
            let (width, height) = pictures.size(record, first)?;
            shares(record, record.four("box")?, width.into(), height.into())?
        }
        _ if !record.has(answer) => Gold::Unknown,
        Metric::Box => return Err(record.problem("the metric is `box`; expected a field `box`, not an answer")),
        Metric::Choice => choice(record, &choices)?,
        Metric::YesNo => yes_no(record, "answer")?,
        Metric::Judge => Gold::Judged(record.text("answer")?),
        _ => answers(record, answer, true)?,
    };
    let kind = record.maybe("kind")?.unwrap_or_else(|| ALL.to_owned());
    let hint = record.maybe("hint")?;
    Ok(Sample { hint, choices, ..sample(id, kind, shown, record.text("question")?, gold) })
}

/// The choice that `answer` names by its letter or its text.
fn choice(record: &Record, choices: &[String]) -> Result<Gold, DataError> {
    if choices.len() < 2 {
        return Err(record.problem("the metric is `choice`; expected a field `choices` with two texts or more"));
    }
    let answer = record.text("answer")?;
    let letters = || ('A'..='Z').take(choices.len()).position(|letter| answer.trim() == letter.to_string());
    let index = choices.iter().position(|choice| *choice == answer).or_else(letters);
    index.map(Gold::Choice).ok_or_else(|| {
        record.problem(format!("field `answer`: expected a letter or one of the choices, found `{answer}`"))
    })
}

/// `image`: a path, base64, a `data:` URI, or a list of them.
fn shown(record: &Record, pictures: &Pictures) -> Result<Vec<PictureSource>, DataError> {
    let one = |value: &Value| match value {
        Value::String(text) => picture(record, text, pictures),
        value => Err(record.problem(format!("field `image`: expected a path or base64, found {value}"))),
    };
    match record.fields.get("image") {
        Some(Value::Array(items)) if !items.is_empty() => items.iter().map(one).collect(),
        Some(value @ Value::String(text)) if !text.is_empty() => Ok(vec![one(value)?]),
        _ => Err(record.missing("image")),
    }
}

fn picture(record: &Record, text: &str, pictures: &Pictures) -> Result<PictureSource, DataError> {
    /// How PNG, JPEG, GIF, WebP, TIFF and BMP files begin, in base64; the last is so short that a path may begin so, too.
    const BEGINNINGS: [&str; 6] = ["iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "SUkqA", "TU0AK"];
    let is_bmp = text.starts_with("Qk") && text.len() > 100 && !text.contains('.');
    if let Some(uri) = text.strip_prefix("data:") {
        let data = uri.split_once(";base64,").map(|(_, data)| Arc::from(data.trim()));
        return data
            .map(PictureSource::Base64)
            .ok_or_else(|| record.problem("field `image`: expected `data:image/...;base64,` and base64"));
    }
    if is_bmp || BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)) {
        return Ok(PictureSource::Base64(Arc::from(text.trim())));
    }
    pictures.file(record, text)
}
