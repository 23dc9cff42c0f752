//! Shards of one run, joined.

use super::journal::{Header, JournalError, check};
use super::record::Record;
use super::settings::Shard;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why shards cannot be joined.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// One is damaged, or of another run.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Two files answer one sample.
    #[error("sample {sample} is in {} and in {}; name each shard once", one.display(), other.display())]
    Twice { sample: String, one: PathBuf, other: PathBuf },
    /// Something has not been answered yet.
    #[error("{n_missing} of {n_samples} samples are not answered yet; finish every shard, then merge")]
    Missing { n_missing: usize, n_samples: usize },
    /// Nothing to join.
    #[error("there is no journal; name at least one")]
    Nothing,
}

/// All records in the benchmark's order, under the header of an unbroken run.
///
/// # Errors
/// [`MergeError`].
pub fn merge(journals: Vec<(PathBuf, Header, Vec<Record>)>) -> Result<(Header, Vec<Record>), MergeError> {
    let whole = |header: &Header| Header { shard: Shard::WHOLE, ..header.clone() };
    let first = whole(&journals.first().ok_or(MergeError::Nothing)?.1);
    let mut merged: BTreeMap<usize, (&Path, Record)> = BTreeMap::new();
    for (path, header, _) in &journals {
        check(path, &whole(header), &first)?;
    }
    for (path, _, records) in &journals {
        for record in records {
            if let Some((one, record)) = merged.insert(record.index, (path, record.clone())) {
                return Err(MergeError::Twice { sample: record.sample, one: one.to_owned(), other: path.clone() });
            }
        }
    }
    let n_samples = first.settings.n_samples;
    if merged.len() < n_samples {
        return Err(MergeError::Missing { n_missing: n_samples - merged.len(), n_samples });
    }
    Ok((first, merged.into_values().map(|(_, record)| record).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::journal::tests::{header, record};
    use super::*;

    fn shard(part: usize, seed: u64, indices: &[usize]) -> (PathBuf, Header, Vec<Record>) {
        let path = PathBuf::from(format!("{part}.jsonl"));
        (path, header(seed, Shard { part, of: 2 }), indices.iter().map(|&index| record(index)).collect())
    }

    #[test]
    fn shards_become_the_whole_run() {
        let (merged, records) = merge(vec![shard(2, 1, &[2, 3]), shard(1, 1, &[0, 1])]).unwrap();
        assert_eq!(merged, header(1, Shard::WHOLE));
        assert_eq!(records, [0, 1, 2, 3].map(record));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let check = |journals, expected: &str| {
            let error = merge(journals).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(vec![], "there is no journal");
        check(vec![shard(1, 1, &[0, 1])], "2 of 4 samples are not answered yet");
        check(vec![shard(1, 1, &[0, 1]), shard(2, 1, &[1, 2, 3])], "sample 1 is in 1.jsonl and in 2.jsonl");
        check(vec![shard(1, 1, &[0, 1]), shard(2, 7, &[2, 3])], "journal 2.jsonl was begun with another seed");
    }
}
