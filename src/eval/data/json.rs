//! JSON as data sets come in: one document, or a line for each question.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::error::{At, DataError, Place};
use super::record::Record;

/// Longer lines are refused; a picture of 100 MB as base64 fits.
pub(super) const LONGEST: u64 = 256 << 20;

/// An object, its members in the order of the file.
pub(super) struct Members<T>(pub(super) Vec<(String, T)>);

/// Opens a regular file; devices and pipes would never end.
pub(super) fn open(path: &Path) -> Result<File, DataError> {
    let cannot = |source| DataError::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(cannot(std::io::Error::other("not a file")));
    }
    File::open(path).map_err(cannot)
}

/// A whole file.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    let read = open(path)?.read_to_end(&mut bytes);
    read.map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    Ok(bytes)
}

/// A file that is one JSON value.
pub(super) fn document<T: DeserializeOwned>(path: &Path) -> Result<T, DataError> {
    let bytes = bytes(path)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    serde_json::from_slice(bytes).map_err(|error| {
        let line = u64::try_from(error.line()).unwrap_or(u64::MAX);
        Place::new(path, At::Line(line)).problem(complaint(&error))
    })
}

/// A file with a JSON object on every line; blank lines are skipped.
pub(super) fn lines(path: &Path) -> Result<Vec<Record>, DataError> {
    lines_within(path, LONGEST)
}

fn lines_within(path: &Path, longest: u64) -> Result<Vec<Record>, DataError> {
    let mut reader = BufReader::new(open(path)?);
    let mut records = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(longest + 1).read_until(b'\n', &mut line);
        if read.map_err(|source| DataError::Read { path: path.to_owned(), source })? == 0 {
            break;
        }
        let place = Place::new(path, At::Line(number));
        if line.len() as u64 > longest {
            return Err(place.problem(format!("the line is longer than {longest} bytes")));
        }
        let text = std::str::from_utf8(&line)
            .map_err(|error| place.problem(format!("not UTF-8 from byte {} of the line on", error.valid_up_to())))?;
        let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text };
        if text.trim().is_empty() {
            continue;
        }
        let fields: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| place.problem(complaint(&error)))?;
        records.push(Record { place, fields });
    }
    Ok(records)
}

/// serde_json's message with the column alone: the line is in the place.
fn complaint(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((problem, _)) => format!("{problem} (column {})", error.column()),
        None => text,
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Members<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint_about(content: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("questions.jsonl");
        fs::write(&file, content).unwrap();
        let message = lines_within(&file, 1000).map(|_| ()).unwrap_err().to_string();
        message.replace(&file.display().to_string(), "FILE")
    }

    #[test]
    fn hostile_lines_are_named() {
        let check = |content: &[u8], expect: &str| {
            let message = complaint_about(content);
            assert!(message.starts_with(expect), "{message}");
        };
        check(b"{\"a\": 1}\n{\"a\": 1", "`FILE`, line 2: EOF while parsing an object (column ");
        check(b"{\"a\": 1}\n\n[1]", "`FILE`, line 3: invalid type: sequence, expected a map (column ");
        check(b"{\"a\": \"\xff\"}", "`FILE`, line 1: not UTF-8 from byte 7 of the line on");
        check(format!("{{\"a\": {}", "[".repeat(900)).as_bytes(), "`FILE`, line 1: recursion limit exceeded (column ");
        check(&[b'x'; 1001], "`FILE`, line 1: the line is longer than 1000 bytes");
        check(&[b"{}\n".as_slice(), &[b'x'; 5000]].concat(), "`FILE`, line 2: the line is longer");
    }

    #[test]
    fn blank_lines_and_a_byte_order_mark_are_no_questions() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("questions.jsonl");
        fs::write(&file, "\u{feff}{\"a\": 1}\r\n\r\n  \n{\"a\": 2.5}").unwrap();
        let records = lines(&file).unwrap();
        let places: Vec<&At> = records.iter().map(|record| &record.place.at).collect();
        assert_eq!(places, [&At::Line(1), &At::Line(4)]);
        assert_eq!(records[1].number("a").unwrap(), 2.5);
    }

    #[test]
    fn folders_are_no_files() {
        let dir = tempfile::tempdir().unwrap();
        let message = bytes(dir.path()).unwrap_err().to_string();
        assert!(message.ends_with("not a file"), "{message}");
    }

    #[test]
    fn members_keep_the_order_of_the_file() {
        let members: Members<u8> = serde_json::from_str(r#"{"b": 1, "a": 2, "b": 3}"#).unwrap();
        let expect = [("b", 1), ("a", 2), ("b", 3)].map(|(name, value)| (name.to_owned(), value));
        assert_eq!(members.0, expect);
    }
}
