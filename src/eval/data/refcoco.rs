use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::error::{At, DataError, Place};
use super::picture::Pictures;
use super::questions::{checked, no_data, no_split, sample};
use super::record::Record;
use super::table::{Row, Table};
use super::{Benchmark, Layout, Loaded, json, pickle};
use crate::eval::metrics::Metric;
use crate::eval::sample::{Gold, PictureSource, Sample};
use crate::geometry::Rect;

pub(super) const REFCOCO: Benchmark = Benchmark {
    name: "refcoco",
    title: "RefCOCO",
    what: "finding what a phrase refers to; testA are people, testB other things",
    metric: Metric::Box,
    n_predict: 100,
    layouts: &[
        Layout { files: "refs(unc).p, instances.json, train2014/, also below refcoco/", from: "original release" },
        Layout { files: "RefCOCO.tsv", from: "VLMEvalKit" },
        Layout { files: "refcoco_val.jsonl, ../coco/train2014/", from: "InternVL's and Qwen-VL's evaluation" },
    ],
    splits: &["val", "testA", "testB"],
    source: "Yu et al., ECCV 2016, arXiv 1608.00272; github.com/lichengunc/refer",
    load: |dir, split| load(&REFCOCO, &["unc", "google"], dir, split),
};

pub(super) const REFCOCO_PLUS: Benchmark = Benchmark {
    name: "refcoco+",
    title: "RefCOCO+",
    what: "finding what a phrase without words of place refers to; testA are people, testB other things",
    layouts: &[
        Layout { files: "refs(unc).p, instances.json, train2014/, also below refcoco+/", from: "original release" },
        Layout { files: "RefCOCO.tsv", from: "VLMEvalKit" },
        Layout { files: "refcoco+_val.jsonl, ../coco/train2014/", from: "InternVL's and Qwen-VL's evaluation" },
    ],
    load: |dir, split| load(&REFCOCO_PLUS, &["unc"], dir, split),
    ..REFCOCO
};

pub(super) const REFCOCOG: Benchmark = Benchmark {
    name: "refcocog",
    title: "RefCOCOg",
    what: "finding what a longer phrase refers to",
    layouts: &[
        Layout {
            files: "refs(umd).p or refs(google).p, instances.json, train2014/, also below refcocog/",
            from: "original release",
        },
        Layout { files: "RefCOCO.tsv", from: "VLMEvalKit" },
        Layout { files: "refcocog_val.jsonl, ../coco/train2014/", from: "InternVL's and Qwen-VL's evaluation" },
    ],
    splits: &["val", "test"],
    source: "Mao et al., CVPR 2016, arXiv 1511.02283; github.com/lichengunc/refer",
    load: |dir, split| load(&REFCOCOG, &["umd", "google"], dir, split),
    ..REFCOCO
};

/// `by` are the makers of the divisions into splits, the preferred one first.
fn load(set: &Benchmark, by: &[&str], dir: &Path, split: Option<&str>) -> Result<Loaded, DataError> {
    let wanted = split.or(set.splits.first().copied()).unwrap_or_default();
    let below = ["", set.name].map(|folder| dir.join(folder));
    let refs = by.iter().flat_map(|by| below.each_ref().map(|folder| folder.join(format!("refs({by}).p"))));
    let table = dir.join("RefCOCO.tsv");
    let lines = |split: &str| {
        let name = format!("{}_{split}.jsonl", set.name);
        below.iter().map(|folder| folder.join(&name)).find(|file| file.is_file())
    };
    let (samples, wanted, file) = if let Some(file) = refs.into_iter().find(|file| file.is_file()) {
        (release(dir, &file, wanted)?, wanted, file)
    } else if table.is_file() {
        (rows(set, dir, &table, wanted)?, wanted, table)
    } else {
        let there: Vec<(&str, PathBuf)> =
            set.splits.iter().filter_map(|&split| lines(split).map(|file| (split, file))).collect();
        if there.is_empty() {
            return Err(no_data(set.title, set.layouts, dir));
        }
        let found = there.iter().find(|(name, _)| split.is_none_or(|split| split == *name));
        let (wanted, file) = found.ok_or_else(|| no_split(wanted, dir, there.iter().map(|(split, _)| *split)))?;
        (from_lines(dir, file, wanted)?, *wanted, file.clone())
    };
    checked(samples, Metric::Box, wanted, &file)
}

/// What is used of COCO's annotations; boxes are x, y, width and height in pixels.
#[derive(Deserialize)]
struct Instances {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
    width: f64,
    height: f64,
}

#[derive(Deserialize)]
struct Annotation {
    id: u64,
    bbox: [f64; 4],
}

/// A sample for each sentence of each reference. The references name no picture of COCO's, but its number.
fn release(dir: &Path, file: &Path, split: &str) -> Result<Vec<Sample>, DataError> {
    let whole = |problem: String| Place::new(file, At::Whole).problem(problem);
    let refs = pickle::value(&json::bytes(file)?)
        .map_err(|error| Place::new(file, At::Byte(error.at)).problem(error.problem))?;
    let Value::Array(refs) = refs else {
        return Err(whole("expected a list of references".to_owned()));
    };
    let instances_file = file.with_file_name("instances.json");
    if !instances_file.is_file() {
        return Err(DataError::Missing {
            path: instances_file,
            holds: "which holds the boxes".to_owned(),
            fix: "it is released in the same archive as the references".to_owned(),
        });
    }
    let Instances { images, annotations } = json::document(&instances_file)?;
    let images: HashMap<u64, Image> = images.into_iter().map(|image| (image.id, image)).collect();
    let boxes: HashMap<u64, [f64; 4]> = annotations.into_iter().map(|one| (one.id, one.bbox)).collect();
    let pictures = Pictures::below(dir, COCO);
    let mut samples = Vec::new();
    let mut splits = Vec::new();
    for (i, reference) in refs.into_iter().enumerate() {
        let at = At::Entry(format!("reference [{i}]"));
        let Value::Object(fields) = reference else {
            return Err(Place::new(file, at).problem("expected a dict"));
        };
        let record = Record::new(file, at, fields);
        let of = record.text("split")?;
        if of != split {
            splits.push(of);
            continue;
        }
        let known = |name: &str| record.problem(format!("instances.json does not have its {name}"));
        let image = images.get(&(record.number("image_id")? as u64)).ok_or_else(|| known("image_id"))?;
        let [x, y, width, height] = *boxes.get(&(record.number("ann_id")? as u64)).ok_or_else(|| known("ann_id"))?;
        let gold = shares(&record, [x, y, x + width, y + height], image.width, image.height)?;
        let picture = pictures.file(&record, &image.file_name)?;
        let Some(Value::Array(sentences)) = record.fields.get("sentences") else {
            return Err(record.missing("sentences"));
        };
        for sentence in sentences {
            let part = |name: &str| sentence.get(name);
            let (Some(Value::String(text)), Some(Value::Number(id))) = (part("sent"), part("sent_id")) else {
                return Err(record.problem("expected every sentence to have a text `sent` and a number `sent_id`"));
            };
            samples.push(sample(id.to_string(), split, vec![picture.clone()], text.clone(), gold.clone()));
        }
    }
    if samples.is_empty() && !splits.is_empty() {
        return Err(no_split(split, file, splits.iter().map(String::as_str)));
    }
    Ok(samples)
}

/// Folders that COCO's pictures lie in, as seen from the data set's.
const COCO: &[&str] = &[
    "train2014",
    "images",
    "images/train2014",
    "images/mscoco/images/train2014",
    "../images/mscoco/images/train2014",
    "../coco/train2014",
    "../train2014",
];

/// One table holds all three data sets: `category` says `RefCOCO+ testA`, or `split` says `RefCOCO+_testA`. The column
/// `answer` is the box, left, top, right and bottom, in shares of the picture; greater numbers are pixels.
fn rows(set: &Benchmark, dir: &Path, file: &Path, split: &str) -> Result<Vec<Sample>, DataError> {
    let table = Table::read(file, &["question"])?;
    let mut pictures = Pictures::below(dir, COCO);
    let mut samples = Vec::new();
    let mut splits = Vec::new();
    for row in &table.rows {
        let record = &row.record;
        let label = record.maybe("category")?.or(record.maybe("split")?).ok_or_else(|| record.missing("category"))?;
        let of = label.strip_prefix(set.title).and_then(|rest| rest.strip_prefix([' ', '_']));
        match of {
            Some(of) if of == split => {
                let picture = table.pictures(row, &pictures)?;
                let gold = boxed(row, &picture, &mut pictures)?;
                let phrase = phrase(&record.text("question")?);
                samples.push(sample(format!("{split}/{}", row.index), split, picture, phrase, gold));
            }
            Some(of) => splits.push(of.to_owned()),
            None => {}
        }
    }
    if samples.is_empty() && !splits.is_empty() {
        return Err(no_split(split, file, splits.iter().map(String::as_str)));
    }
    Ok(samples)
}

fn boxed(row: &Row, picture: &[PictureSource], pictures: &mut Pictures) -> Result<Gold, DataError> {
    let record = &row.record;
    let corners = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"];
    let corners = if corners.iter().all(|name| record.has(name)) {
        let [x0, y0, x1, y1] = corners.map(|name| record.number(name));
        [x0?, y0?, x1?, y1?]
    } else {
        record.four(if record.has("bbox") { "bbox" } else { "answer" })?
    };
    if corners.iter().all(|&corner| corner <= 1.5) {
        return shares(record, corners, 1.0, 1.0);
    }
    let (width, height) = if record.has("width") && record.has("height") {
        (record.number("width")?, record.number("height")?)
    } else {
        let picture = picture.first().ok_or_else(|| record.missing("image"))?;
        let (width, height) = pictures.size(record, picture)?;
        (width.into(), height.into())
    };
    shares(record, corners, width, height)
}

/// The phrase alone, where a table has a whole prompt around it.
fn phrase(question: &str) -> String {
    let tagged = question.split_once("<ref>").and_then(|(_, rest)| rest.split_once("</ref>")).map(|(phrase, _)| phrase);
    let after = question.split_once("this sentence describes:").map(|(_, phrase)| phrase);
    tagged.or(after).unwrap_or(question).trim().to_owned()
}

/// Boxes are left, top, right and bottom in pixels.
fn from_lines(dir: &Path, file: &Path, split: &str) -> Result<Vec<Sample>, DataError> {
    let pictures = Pictures::below(dir, COCO);
    let one = |record: Record| {
        let At::Line(line) = record.place.at else {
            return Err(record.problem("expected a line"));
        };
        let gold = shares(&record, record.four("bbox")?, record.number("width")?, record.number("height")?)?;
        let picture = pictures.file(&record, &record.text("image")?)?;
        Ok(sample(format!("{split}/{line}"), split, vec![picture], record.text("sent")?, gold))
    };
    json::lines(file)?.into_iter().map(one).collect()
}

/// A box in pixels, as shares of a picture of that size.
pub(super) fn shares(record: &Record, [x0, y0, x1, y1]: [f64; 4], width: f64, height: f64) -> Result<Gold, DataError> {
    let within = |low: f64, high: f64, size: f64| low < high && high > 0.0 && low < size;
    if !(width > 0.0 && height > 0.0 && within(x0, x1, width) && within(y0, y1, height)) {
        return Err(record.problem(format!(
            "no box [{x0}, {y0}, {x1}, {y1}] in a picture of {width}x{height}; expected left, top, right, bottom"
        )));
    }
    Ok(Gold::Box(Rect { x0: x0 / width, y0: y0 / height, x1: x1 / width, y1: y1 / height }))
}
