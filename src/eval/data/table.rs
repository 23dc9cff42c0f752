//! Tables with tabs between columns, as MMBench is released and as VLMEvalKit keeps all its benchmarks: a column `image`
//! holds the picture's file as base64, or the index of the row that holds it, and `image_path` names a file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use serde_json::{Map, Value};

use super::error::{At, DataError, Place};
use super::json;
use super::picture::Pictures;
use super::python;
use super::record::Record;
use crate::eval::sample::PictureSource;

/// Shorter cells of the column `image` are the index of another row.
const LONGEST_INDEX: usize = 64;

pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    /// The `image` cells of rows by index.
    images: HashMap<String, Arc<str>>,
}

pub(super) struct Row {
    /// All cells but `image`.
    pub(super) record: Record,
    /// The cell `index`.
    pub(super) index: String,
    image: Option<Arc<str>>,
}

impl Table {
    /// Reads the file; `index` and the `columns` must be there.
    pub(super) fn read(path: &Path, columns: &[&str]) -> Result<Self, DataError> {
        let mut reader = ReaderBuilder::new().delimiter(b'\t').from_reader(json::open(path)?);
        let header = reader.headers().map_err(|error| problem(path, error))?.clone();
        let has = |name: &str| header.iter().any(|column| column == name);
        if let Some(absent) = ["index"].iter().chain(columns).find(|name| !has(name)) {
            let there: Vec<&str> = header.iter().take(20).collect();
            let there = there.join(", ");
            return Err(
                Place::new(path, At::Line(1)).problem(format!("expected a column `{absent}`; the columns are {there}"))
            );
        }
        if !has("image") && !has("image_path") {
            return Err(Place::new(path, At::Line(1)).problem("expected a column `image` or `image_path`"));
        }
        let mut table = Self { rows: Vec::new(), images: HashMap::new() };
        let mut cells = StringRecord::new();
        while reader.read_record(&mut cells).map_err(|error| problem(path, error))? {
            let line = cells.position().map_or(0, csv::Position::line);
            table.push(Record::new(path, At::Line(line), Map::new()), &header, &cells)?;
        }
        Ok(table)
    }

    fn push(&mut self, mut record: Record, header: &StringRecord, cells: &StringRecord) -> Result<(), DataError> {
        if cells.as_slice().len() as u64 > json::LONGEST {
            return Err(record.problem(format!("the row is longer than {} bytes; a quote may be open", json::LONGEST)));
        }
        let mut image = None;
        for (name, cell) in header.iter().zip(cells) {
            if name == "image" {
                image = (!cell.trim().is_empty()).then(|| Arc::from(cell.trim()));
            } else {
                record.fields.insert(name.to_owned(), read(cell));
            }
        }
        let index = record.text("index")?;
        if let Some(image) = &image {
            self.images.insert(index.clone(), Arc::clone(image));
        }
        self.rows.push(Row { record, index, image });
        Ok(())
    }

    /// The pictures of a row.
    pub(super) fn pictures(&self, row: &Row, files: &Pictures) -> Result<Vec<PictureSource>, DataError> {
        let record = &row.record;
        if let Some(cell) = &row.image {
            let cell = if cell.len() > LONGEST_INDEX { cell } else { self.other(record, cell)? };
            return Ok(match python::list(cell) {
                Some(items) => items.into_iter().map(|item| PictureSource::Base64(item.into())).collect(),
                None => vec![PictureSource::Base64(Arc::clone(cell))],
            });
        }
        match record.texts("image_path")? {
            Some(names) => names.iter().map(|name| files.file(record, name)).collect(),
            None => Err(record.problem("no picture: the columns `image` and `image_path` are empty")),
        }
    }

    fn other(&self, record: &Record, index: &str) -> Result<&Arc<str>, DataError> {
        self.images.get(index).filter(|cell| cell.len() > LONGEST_INDEX).ok_or_else(|| {
            record
                .problem(format!("column `image`: expected base64, or the index of a row with base64, found `{index}`"))
        })
    }
}

/// A text, or the list of texts that it is in Python. Numbers in brackets are a text: charts have such answers.
fn read(cell: &str) -> Value {
    let quoted = cell.starts_with("['") || cell.starts_with("[\"");
    let items = quoted.then(|| python::list(cell)).flatten();
    items.map_or_else(|| Value::from(cell), Value::from)
}

fn problem(path: &Path, error: csv::Error) -> DataError {
    let line = error.position().map_or(At::Whole, |position| At::Line(position.line()));
    let place = Place::new(path, line);
    match error.into_kind() {
        ErrorKind::Io(source) => DataError::Read { path: path.to_owned(), source },
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            place.problem(format!("expected {expected_len} columns, as the first line has, found {len}"))
        }
        ErrorKind::Utf8 { err, .. } => place.problem(format!("not UTF-8: {err}")),
        kind => place.problem(format!("{kind:?}")),
    }
}
