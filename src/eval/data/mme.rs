use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::{At, DataError};
use super::picture::Pictures;
use super::questions::{checked, no_data, no_split, sample, yes_no};
use super::record::Record;
use super::table::Table;
use super::{Benchmark, Layout, Loaded, json};
use crate::eval::metrics::Metric;
use crate::eval::metrics::yes_no::{COGNITION, PERCEPTION};
use crate::eval::sample::{PictureSource, Sample};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "mme",
    title: TITLE,
    what: "yes or no, two questions on each picture, ten subtasks of perception and four of cognition",
    metric: Metric::YesNo,
    n_predict: 20,
    layouts: LAYOUTS,
    splits: SPLITS,
    source: "Fu et al., arXiv 2306.13394; github.com/BradyFU/Awesome-Multimodal-Large-Language-Models",
    load,
};

const TITLE: &str = "MME";

const LAYOUTS: &[Layout] = &[
    Layout {
        files: "a folder for each subtask, with NAME.txt beside pictures, or questions_answers_YN/ beside images/; also \
                below MME_Benchmark/ or MME_Benchmark_release_version/",
        from: "original release",
    },
    Layout { files: "MME.tsv", from: "VLMEvalKit" },
    Layout { files: "Your_Results/SUBTASK.txt, images/SUBTASK/", from: "InternVL's evaluation" },
];

/// Both, or one of them.
const SPLITS: &[&str] = &["all", "perception", "cognition"];

/// Also takes the name of a subtask as a split.
fn load(dir: &Path, split: Option<&str>) -> Result<Loaded, DataError> {
    let split = split.unwrap_or("all");
    let subtasks = subtasks(split).ok_or_else(|| no_split(split, dir, SPLITS.iter().chain(&ALL_SUBTASKS).copied()))?;
    let table = dir.join("MME.tsv");
    let mut samples = Vec::new();
    let file = if let Some(root) = release_root(dir) {
        for subtask in subtasks {
            samples.append(&mut folder(&root, subtask)?);
        }
        root
    } else if table.is_file() {
        samples = rows(dir, &table)?;
        samples.retain(|sample| subtasks.contains(&sample.kind.as_str()));
        table
    } else if let Some(root) = ["Your_Results", ""].map(|folder| dir.join(folder)).into_iter().find(|r| has_lists(r)) {
        for subtask in subtasks {
            samples.append(&mut list(dir, &root.join(format!("{subtask}.txt")), subtask)?);
        }
        root
    } else {
        return Err(no_data(TITLE, LAYOUTS, dir));
    };
    checked(samples, Metric::YesNo, split, &file)
}

const ALL_SUBTASKS: [&str; 14] = {
    let mut all = [""; 14];
    let mut i = 0;
    while i < 14 {
        all[i] = if i < 10 { PERCEPTION[i] } else { COGNITION[i - 10] };
        i += 1;
    }
    all
};

fn subtasks(split: &str) -> Option<&'static [&'static str]> {
    match split {
        "all" => Some(&ALL_SUBTASKS),
        "perception" => Some(&PERCEPTION),
        "cognition" => Some(&COGNITION),
        name => ALL_SUBTASKS.iter().position(|&subtask| subtask == name).map(|i| &ALL_SUBTASKS[i..=i]),
    }
}

fn release_root(dir: &Path) -> Option<PathBuf> {
    let nested = "MME_Benchmark_release_version/MME_Benchmark";
    let roots = ["", "MME_Benchmark_release_version", "MME_Benchmark", nested].map(|folder| dir.join(folder));
    roots.into_iter().find(|root| ALL_SUBTASKS.iter().any(|subtask| root.join(subtask).is_dir()))
}

fn has_lists(root: &Path) -> bool {
    ALL_SUBTASKS.iter().any(|subtask| root.join(format!("{subtask}.txt")).is_file())
}

/// The release: for `0001.jpg` a file `0001.txt` of two lines, question and answer with a tab between them.
fn folder(root: &Path, subtask: &str) -> Result<Vec<Sample>, DataError> {
    let dir = root.join(subtask);
    if !dir.is_dir() {
        return Err(missing(&dir, subtask));
    }
    let apart = dir.join("questions_answers_YN");
    let (texts, folder) = if apart.is_dir() { (apart, dir.join("images")) } else { (dir.clone(), dir) };
    let cannot = |source| DataError::Read { path: texts.clone(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(&texts).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
    files.sort_unstable();
    let pictures = Pictures::below(&folder, &[]);
    let mut samples = Vec::new();
    for file in files {
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        for record in tabbed(&file, &["question", "answer"])? {
            let picture = pictures.first_of(&record, &["jpg", "png", "jpeg"].map(|end| format!("{stem}.{end}")))?;
            samples.push((format!("{subtask}/{stem}"), question(&record, subtask, vec![picture])?));
        }
    }
    Ok(grouped(samples))
}

/// One list for a subtask: picture, question and answer with tabs between them.
fn list(dir: &Path, file: &Path, subtask: &str) -> Result<Vec<Sample>, DataError> {
    if !file.is_file() {
        return Err(missing(file, subtask));
    }
    let folders = [format!("images/{subtask}"), format!("{subtask}/images"), subtask.to_owned()];
    let pictures = Pictures::below(dir, &folders.each_ref().map(String::as_str));
    let mut samples = Vec::new();
    for record in tabbed(file, &["image", "question", "answer"])? {
        let name = record.text("image")?;
        let picture = pictures.file(&record, &name)?;
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        samples.push((format!("{subtask}/{stem}"), question(&record, subtask, vec![picture])?));
    }
    Ok(grouped(samples))
}

fn missing(path: &Path, subtask: &str) -> DataError {
    DataError::Missing {
        path: path.to_owned(),
        holds: format!("which holds the subtask {subtask}"),
        fix: "give --split with the name of a subtask to load it alone".to_owned(),
    }
}

/// The two questions on a picture have the same `image_path`; without that column, the same picture.
fn rows(dir: &Path, file: &Path) -> Result<Vec<Sample>, DataError> {
    let table = Table::read(file, &["question", "answer", "category"])?;
    let files = Pictures::below(dir, &["images", "images/MME"]);
    let mut first = HashMap::new();
    let mut samples = Vec::new();
    for row in &table.rows {
        let record = &row.record;
        let subtask = record.text("category")?;
        if !ALL_SUBTASKS.contains(&subtask.as_str()) {
            return Err(record.problem(format!("column `category`: `{subtask}` is no subtask of MME")));
        }
        let pictures = table.pictures(row, &files)?;
        let group = match (record.maybe("image_path")?, pictures.as_slice()) {
            (Some(path), _) => path,
            (None, [picture]) => {
                first.entry((subtask.clone(), picture.clone())).or_insert_with(|| row.index.clone()).clone()
            }
            (None, _) => row.index.clone(),
        };
        let stem = group.rsplit_once('.').map_or(group.as_str(), |(stem, _)| stem);
        let stem = stem.strip_prefix(&format!("{subtask}/")).unwrap_or(stem);
        samples.push((format!("{subtask}/{stem}"), question(record, &subtask, pictures)?));
    }
    Ok(grouped(samples))
}

fn question(record: &Record, subtask: &str, pictures: Vec<PictureSource>) -> Result<Sample, DataError> {
    let gold = yes_no(record, "answer")?;
    Ok(sample(String::new(), subtask, pictures, record.text("question")?.trim().to_owned(), gold))
}

/// Ids are the group's with the number of the question in it, from 0.
fn grouped(samples: Vec<(String, Sample)>) -> Vec<Sample> {
    let mut n_in: HashMap<String, usize> = HashMap::new();
    let named = |(group, sample): (String, Sample)| {
        let n = n_in.entry(group.clone()).or_default();
        let id = format!("{group}/{n}");
        *n += 1;
        Sample { id, group, ..sample }
    };
    samples.into_iter().map(named).collect()
}

/// Lines of as many texts as there are `names`.
fn tabbed(file: &Path, names: &[&str]) -> Result<Vec<Record>, DataError> {
    let bytes = json::bytes(file)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        super::Place::new(file, At::Byte(at)).problem("not UTF-8")
    })?;
    let mut records = Vec::new();
    for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1..) {
        if line.trim().is_empty() {
            continue;
        }
        let mut record = Record::new(file, At::Line(number), Map::new());
        let cells: Vec<&str> = line.trim_end().split('\t').collect();
        if cells.len() != names.len() {
            return Err(record.problem(format!(
                "expected {} with tabs between, found {} texts",
                names.join(", "),
                cells.len()
            )));
        }
        for (name, cell) in names.iter().zip(cells) {
            record.fields.insert((*name).to_owned(), Value::String(cell.trim().to_owned()));
        }
        records.push(record);
    }
    Ok(records)
}
