//! From records to the numbers that users see.

mod cases;
mod exits;
mod overlap;
mod rows;
#[cfg(test)]
mod tests;

use super::figures::Figures;
use super::journal::Header;
use super::metrics::Metric;
use super::record::Record;
use super::summary::{About, Summary};
use cases::Cases;

/// What a summary does not take from the journal.
#[derive(Debug, Clone)]
pub struct Options {
    /// The retention of `global` behind an early exit; the unpruned target if it was not run.
    pub exit_retain: f64,
    /// Figures of the benchmark's authors ([`super::figures::of`]).
    pub figures: Figures,
}

/// Summarizes a run. Records must be in the benchmark's order.
pub fn summarize(header: &Header, records: &[Record], options: &Options) -> Summary {
    let settings = &header.settings;
    let metric: Metric = settings.metric.parse().unwrap_or(Metric::Exact);
    let cases = Cases::new(metric, records);
    let mut notes = rows::notes(settings, records);
    let exit_curve = exits::curve(&cases, options.exit_retain);
    if !exit_curve.is_empty() {
        notes.push(exits::note(&cases, options.exit_retain));
    }
    Summary {
        about: about(header, records),
        rows: rows::rows(settings, &cases),
        overlap: overlap::rows(settings, records),
        exit_curve,
        figures: rows::figures(settings, records, options.figures).into_iter().chain(exits::figures(&cases)).collect(),
        notes,
    }
}

fn about(header: &Header, records: &[Record]) -> About {
    let settings = &header.settings;
    let mut others: Vec<(String, String)> = vec![
        ("prompt".to_owned(), settings.prompt.clone()),
        ("answer length".to_owned(), format!("{} tokens", settings.n_predict)),
        ("consistency pass".to_owned(), format!("{} of the guide's visual tokens", settings.consistency_retain)),
    ];
    others.extend(settings.llama.iter().cloned());
    About {
        benchmark: settings.benchmark.clone(),
        metric: settings.metric.clone(),
        n_samples: records.len(),
        n_all: settings.n_all,
        target: settings.target.model.name.clone(),
        guide: settings.guide.as_ref().map(|guide| guide.model.name.clone()),
        seed: settings.seed,
        version: settings.version.clone(),
        llama_cpp: settings.llama_cpp.clone(),
        date: header.begun.clone(),
        settings: others,
    }
}
