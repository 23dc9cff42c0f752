//! Tables with tabs between columns, as MMBench is released and as VLMEvalKit keeps all its benchmarks: a column `image`
//! holds the picture's file as base64, or the index of the row that holds it, and `image_path` names a file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use serde_json::{Map, Value};

use super::error::{At, DataError, Place};
use super::json;
use super::picture::Pictures;
use super::python;
use super::record::Record;
use crate::eval::sample::{Cell, PictureSource};

/// Shorter cells of the column `image` are the index of another row.
const LONGEST_INDEX: usize = 64;

pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    /// The pictures in the `image` cells of rows, by index.
    images: HashMap<String, Vec<PictureSource>>,
}

pub(super) struct Row {
    /// All cells but `image`.
    pub(super) record: Record,
    /// The cell `index`.
    pub(super) index: String,
    image: Option<Image>,
}

/// What a cell `image` holds.
enum Image {
    Here(Vec<PictureSource>),
    /// The index of the row that has it.
    Elsewhere(String),
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
        let file: Arc<Path> = Arc::from(path);
        let mut cells = StringRecord::new();
        while reader.read_record(&mut cells).map_err(|error| problem(path, error))? {
            let line = cells.position().map_or(0, csv::Position::line);
            table.push(Record::new(path, At::Line(line), Map::new()), &file, &header, &cells)?;
        }
        Ok(table)
    }

    fn push(
        &mut self,
        mut record: Record,
        file: &Arc<Path>,
        header: &StringRecord,
        cells: &StringRecord,
    ) -> Result<(), DataError> {
        if cells.as_slice().len() as u64 > json::LONGEST {
            return Err(record.problem(format!("the row is longer than {} bytes; a quote may be open", json::LONGEST)));
        }
        let mut image = None;
        let offset = cells.position().map_or(0, csv::Position::byte);
        for (column, (name, cell)) in header.iter().zip(cells).enumerate() {
            if name == "image" {
                image = match cell.trim() {
                    "" => None,
                    text if text.len() <= LONGEST_INDEX => Some(Image::Elsewhere(text.to_owned())),
                    text => Some(Image::Here(pictures(file, offset, column, text))),
                };
            } else {
                record.fields.insert(name.to_owned(), read(cell));
            }
        }
        let index = record.text("index")?;
        if let Some(Image::Here(pictures)) = &image {
            self.images.insert(index.clone(), pictures.clone());
        }
        self.rows.push(Row { record, index, image });
        Ok(())
    }

    /// The pictures of a row.
    pub(super) fn pictures(&self, row: &Row, files: &Pictures) -> Result<Vec<PictureSource>, DataError> {
        let record = &row.record;
        match &row.image {
            Some(Image::Here(pictures)) => return Ok(pictures.clone()),
            Some(Image::Elsewhere(index)) => return self.other(record, index),
            None => {}
        }
        match record.texts("image_path")? {
            Some(names) => names.iter().map(|name| files.file(record, name)).collect(),
            None => Err(record.problem("no picture: the columns `image` and `image_path` are empty")),
        }
    }

    fn other(&self, record: &Record, index: &str) -> Result<Vec<PictureSource>, DataError> {
        self.images.get(index).cloned().ok_or_else(|| {
            record
                .problem(format!("column `image`: expected base64, or the index of a row with base64, found `{index}`"))
        })
    }
}

/// The pictures of a cell, which stay where they are.
fn pictures(file: &Arc<Path>, offset: u64, column: usize, text: &str) -> Vec<PictureSource> {
    let hash = *blake3::hash(text.as_bytes()).as_bytes();
    let picture = |item| PictureSource::Cell(Cell { file: Arc::clone(file), offset, column, item, hash });
    match python::list(text) {
        Some(items) => (0..items.len()).map(|item| picture(Some(item))).collect(),
        None => vec![picture(None)],
    }
}

/// The base64 text of a picture in a table.
///
/// # Errors
/// The table is gone, or is not the one that was loaded.
pub fn text_of(cell: &Cell) -> io::Result<String> {
    let changed = || io::Error::other(format!("{} has changed since it was loaded", cell.file.display()));
    let mut file = File::open(&cell.file)?;
    file.seek(SeekFrom::Start(cell.offset))?;
    let mut reader = ReaderBuilder::new().delimiter(b'\t').has_headers(false).from_reader(file);
    let mut cells = StringRecord::new();
    reader.read_record(&mut cells)?;
    let text = cells.get(cell.column).ok_or_else(changed)?.trim();
    if blake3::hash(text.as_bytes()) != cell.hash {
        return Err(changed());
    }
    match cell.item {
        None => Ok(text.to_owned()),
        Some(item) => python::list(text).and_then(|items| items.into_iter().nth(item)).ok_or_else(changed),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn pictures_stay_in_the_table() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one.tsv");
        let [one, two, three] = ["A", "B", "C"].map(|letter| letter.repeat(100));
        let rows = [
            format!("1\t\"two\nlines\"\t{one}"),
            "2\tagain\t1".to_owned(),
            format!("3\tboth é\t\"['{two}', '{three}']\""),
            format!("4\tthe first once more\t {one}"),
        ];
        fs::write(&path, format!("\u{feff}index\tquestion\timage\n{}\n", rows.join("\n"))).unwrap();
        let table = Table::read(&path, &["question"]).unwrap();
        let files = Pictures::below(dir.path(), &[]);
        let pictures: Vec<Vec<PictureSource>> =
            table.rows.iter().map(|row| table.pictures(row, &files).unwrap()).collect();
        let text = |picture: &PictureSource| match picture {
            PictureSource::Cell(cell) => text_of(cell).unwrap(),
            _ => panic!("{picture:?}"),
        };
        let texts: Vec<Vec<String>> = pictures.iter().map(|row| row.iter().map(text).collect()).collect();
        assert_eq!(texts, [vec![one.clone()], vec![one.clone()], vec![two, three], vec![one]]);
        // The same picture, wherever it lies.
        assert_eq!(pictures[0], pictures[3]);
        assert_ne!(pictures[2][0], pictures[2][1]);

        let PictureSource::Cell(cell) = &pictures[0][0] else { panic!() };
        fs::write(&path, fs::read_to_string(&path).unwrap().replace("AAAA", "DDDD")).unwrap();
        assert!(text_of(cell).unwrap_err().to_string().ends_with("one.tsv has changed since it was loaded"));
    }
}
