//! A run over all samples of a shard, on the record.

use super::engine::{Asked, Engine};
use super::journal::{Header, Journal};
use super::record::Record;
use super::{EvalError, Result};
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// How far a run is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Samples answered, those of earlier runs included.
    pub done: usize,
    /// Samples in all.
    pub all: usize,
    /// Samples that earlier runs had answered.
    pub resumed: usize,
    /// Time of this run.
    pub elapsed: Duration,
    /// All records so far.
    pub records: &'a [Record],
}

impl Progress<'_> {
    /// Samples per second of this run; `None` before the first.
    pub fn rate(&self) -> Option<f64> {
        let new = self.done - self.resumed;
        (new > 0).then(|| new as f64 / self.elapsed.as_secs_f64().max(1e-9))
    }

    /// Time that the rest will take at this rate.
    pub fn left(&self) -> Option<Duration> {
        let seconds = (self.all - self.done) as f64 / self.rate()?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// Asks what the journal does not hold yet. Returns all records in the benchmark's order.
///
/// # Errors
/// [`EvalError`]; what was answered before is in the journal.
pub fn run(
    engine: &mut Engine,
    samples: &[Asked<'_>],
    path: &Path,
    header: &Header,
    on_progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<Record>> {
    let (mut journal, mut records) = Journal::open(path, header).map_err(EvalError::Journal)?;
    let known: HashSet<usize> = records.iter().map(|record| record.index).collect();
    let resumed = records.len();
    let start = Instant::now();
    let all = samples.len();
    on_progress(Progress { done: resumed, all, resumed, elapsed: start.elapsed(), records: &records });
    for asked in samples.iter().filter(|asked| !known.contains(&asked.index)) {
        let record = engine.ask(asked)?;
        journal.append(&record)?;
        records.push(record);
        on_progress(Progress { done: records.len(), all, resumed, elapsed: start.elapsed(), records: &records });
    }
    records.sort_by_key(|record| record.index);
    Ok(records)
}
