//! The answers of a run as they come: one JSON object a line, the settings first. Appended to, never rewritten, so that a
//! run that was killed goes on where it was.

use super::record::Record;
use super::settings::{Settings, Shard};
use crate::pair::write_atomically;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Version of the format.
const FORMAT: u32 = 1;
/// How every journal begins.
const HEADER: &[u8] = br#"{"sgl_journal":"#;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    pub sgl_journal: u32,
    /// What the answers depend on.
    pub settings: Settings,
    /// The part that is in this file.
    pub shard: Shard,
    /// Day on which it was begun, `YYYY-MM-DD`, UTC.
    pub begun: String,
}

/// Why a journal cannot be used.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refused.
    #[error("journal {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// A line is not what it should be.
    #[error("journal {}, line {line}: {message}", path.display())]
    Line { path: PathBuf, line: usize, message: String },
    /// Not what this run would write.
    #[error(
        "journal {} was begun with another {setting} ({found} there, {wanted} now); name another file, or remove this one",
        path.display()
    )]
    Settings { path: PathBuf, setting: String, found: String, wanted: String },
    /// Another process writes it.
    #[error("journal {} is being written by another run; wait for it, or name another file", path.display())]
    Busy { path: PathBuf },
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Header {
    /// Of a run with these settings that begins today.
    pub fn new(settings: Settings, shard: Shard) -> Self {
        Self { sgl_journal: FORMAT, settings, shard, begun: crate::chat::today() }
    }
}

impl Journal {
    /// Opens the journal of a run, or begins it. Returns what is in it already; a last line that was cut off is removed.
    ///
    /// # Errors
    /// [`JournalError`]: above all a file that was begun with other settings.
    pub fn open(path: &Path, header: &Header) -> Result<(Self, Vec<Record>), JournalError> {
        let io = |source| JournalError::Io { path: path.to_owned(), source };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(io)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(JournalError::Busy { path: path.to_owned() }),
            Err(std::fs::TryLockError::Error(source)) => return Err(io(source)),
        }
        let read = Lines::read(path, &file)?;
        match &read.header {
            Some(found) => check(path, found, header)?,
            None if is_begun(&read.cut_off) => {}
            None => return Err(no_journal(path)),
        }
        file.set_len(read.n_bytes).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        let mut journal = Self { file, path: path.to_owned() };
        if read.header.is_none() {
            journal.write(header)?;
        }
        Ok((journal, read.records))
    }

    /// Reads a journal that is finished, or was killed.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn read(path: &Path) -> Result<(Header, Vec<Record>), JournalError> {
        let io = |source| JournalError::Io { path: path.to_owned(), source };
        let read = Lines::read(path, &File::open(path).map_err(io)?)?;
        Ok((read.header.ok_or_else(|| no_journal(path))?, read.records))
    }

    /// Writes a whole journal, under a temporary name first.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn write_whole(path: &Path, header: &Header, records: &[Record]) -> Result<(), JournalError> {
        let io = |source| JournalError::Io { path: path.to_owned(), source };
        let mut bytes = line(header).map_err(io)?;
        for record in records {
            bytes.extend(line(record).map_err(io)?);
        }
        write_atomically(path, &bytes).map_err(io)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        self.write(record)
    }

    fn write(&mut self, value: &impl Serialize) -> Result<(), JournalError> {
        let io = |source| JournalError::Io { path: self.path.clone(), source };
        line(value).and_then(|line| self.file.write_all(&line)).map_err(io)
    }
}

fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

fn no_journal(path: &Path) -> JournalError {
    let message = "there is no header; it is no journal of sgl, name another file".to_owned();
    JournalError::Line { path: path.to_owned(), line: 1, message }
}

/// Whether a first line that was cut off may be a header's: other files are not written over.
fn is_begun(cut_off: &[u8]) -> bool {
    let n = cut_off.len().min(HEADER.len());
    cut_off[..n] == HEADER[..n]
}

/// What is in a journal.
struct Lines {
    header: Option<Header>,
    records: Vec<Record>,
    /// Up to the end of the last whole line.
    n_bytes: u64,
    /// What follows it.
    cut_off: Vec<u8>,
}

impl Lines {
    fn read(path: &Path, file: &File) -> Result<Self, JournalError> {
        let mut reader = BufReader::new(file);
        let mut lines = Self { header: None, records: Vec::new(), n_bytes: 0, cut_off: Vec::new() };
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            let n = reader.read_until(b'\n', &mut text);
            let n = n.map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
            if text.pop_if(|last| *last == b'\n').is_none() {
                lines.cut_off = text;
                break;
            }
            let damaged = |error: serde_json::Error| JournalError::Line {
                path: path.to_owned(),
                line,
                message: error.to_string(),
            };
            if line == 1 {
                lines.header = Some(serde_json::from_slice(&text).map_err(damaged)?);
            } else {
                lines.records.push(serde_json::from_slice(&text).map_err(damaged)?);
            }
            lines.n_bytes += n as u64;
        }
        Ok(lines)
    }
}

/// Refuses a journal of other settings, and names the first that differs.
pub(super) fn check(path: &Path, found: &Header, wanted: &Header) -> Result<(), JournalError> {
    let fields = |header: &Header| {
        let mut fields = match serde_json::to_value(&header.settings) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        fields.insert("shard".to_owned(), header.shard.to_string().into());
        fields.insert("format".to_owned(), header.sgl_journal.into());
        fields
    };
    let (found, wanted) = (fields(found), fields(wanted));
    let Some((setting, value)) = wanted.iter().find(|(name, value)| found.get(*name) != Some(value)) else {
        return Ok(());
    };
    let found = found.get(setting).map(ToString::to_string).unwrap_or_default();
    Err(JournalError::Settings { path: path.to_owned(), setting: setting.clone(), found, wanted: value.to_string() })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::eval::settings::{FileId, ModelFiles};
    use std::fs;

    pub fn header(seed: u64, shard: Shard) -> Header {
        let file = FileId { name: "target.gguf".into(), bytes: 1, hash: "00".into() };
        let settings = Settings {
            benchmark: "scenes".into(),
            metric: "exact".into(),
            prompt: "{question}".into(),
            n_samples: 4,
            n_all: 10,
            samples: "ab".into(),
            target: ModelFiles { model: file.clone(), mmproj: file },
            guide: None,
            policies: vec!["none".into()],
            retain: vec![0.25, 0.1],
            consistency_retain: "0.05".into(),
            picture_floor: 0.25,
            n_predict: 8,
            seed,
            n_expected: 0,
            llama: Vec::new(),
            version: "0.1.0".into(),
            llama_cpp: "b1".into(),
        };
        Header::new(settings, shard)
    }

    pub fn record(index: usize) -> Record {
        Record {
            index,
            sample: index.to_string(),
            group: index.to_string(),
            kind: "label".into(),
            n_visual: 256,
            guide: None,
            own: None,
            runs: Vec::new(),
            overlap: Vec::new(),
        }
    }

    #[test]
    fn a_journal_goes_on_behind_its_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/for/it.jsonl");
        let header = header(1, Shard::WHOLE);
        let (mut journal, records) = Journal::open(&path, &header).unwrap();
        assert!(records.is_empty());
        journal.append(&record(0)).unwrap();
        journal.append(&record(1)).unwrap();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();

        assert_eq!(Journal::read(&path).unwrap(), (header.clone(), vec![record(0)]));
        let (mut journal, records) = Journal::open(&path, &header).unwrap();
        assert_eq!(records, [record(0)]);
        journal.append(&record(1)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn a_file_that_is_no_journal_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one.jsonl");
        let open = |text: &str| {
            fs::write(&path, text).unwrap();
            Journal::open(&path, &header(1, Shard::WHOLE)).map(|_| ()).map_err(|error| error.to_string())
        };
        for text in ["sk-my-key", "{\"a\": 1}", "{\"sgl_profile\": 1}\n"] {
            let error = open(text).unwrap_err();
            assert!(error.contains("line 1"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        // A header that was cut off is none of those.
        let whole = String::from_utf8(line(&header(1, Shard::WHOLE)).unwrap()).unwrap();
        for n in [0, 1, 10, whole.len() - 1] {
            open(&whole[..n]).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        }
    }

    #[test]
    fn other_settings_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one.jsonl");
        drop(Journal::open(&path, &header(1, Shard::WHOLE)).unwrap());
        let error = Journal::open(&path, &header(2, Shard::WHOLE)).unwrap_err().to_string();
        assert!(error.contains("another seed (1 there, 2 now); name another file"), "{error}");
        let error = Journal::open(&path, &header(1, Shard { part: 1, of: 2 })).unwrap_err().to_string();
        assert!(error.contains("another shard (\"1/1\" there, \"1/2\" now)"), "{error}");
        assert_eq!(Journal::read(&path).unwrap().1, []);
    }

    #[test]
    fn two_runs_do_not_write_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one.jsonl");
        let _first = Journal::open(&path, &header(1, Shard::WHOLE)).unwrap();
        let error = Journal::open(&path, &header(1, Shard::WHOLE)).unwrap_err();
        assert!(matches!(error, JournalError::Busy { .. }), "{error}");
    }

    #[test]
    fn damage_has_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one.jsonl");
        let check = |text: &str, expected: &str| {
            fs::write(&path, text).unwrap();
            let error = Journal::read(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let header = serde_json::to_string(&header(1, Shard::WHOLE)).unwrap();
        check("", "line 1: there is no header");
        check("{\"a\": 1}\n", "line 1: missing field");
        check(&format!("{header}\n[]\n"), "line 2: invalid length");
    }
}
