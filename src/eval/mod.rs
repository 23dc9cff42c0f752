//! Benchmarks, metrics and policies side by side.
//!
//! ```text
//! data ── samples ─┐
//!                  ├─ engine: one guide pass, one target pass for every distinct kept set ── journal (JSONL)
//! contenders ──────┘                                                              │
//!              report (HTML, CSV, JSON) ◄── summary (rows, overlap, exit curve) ◄─┤ metrics, stats
//!                                             profile ◄── calibrate ◄─────────────┘
//! ```

pub mod calibrate;
pub mod contender;
pub mod data;
pub mod engine;
pub mod evaluation;
pub mod figures;
pub mod journal;
pub mod judge;
pub mod judged;
pub mod merge;
pub mod metrics;
pub mod prompts;
pub mod record;
pub mod report;
pub mod run;
pub mod sample;
pub mod scenes;
pub mod score;
pub mod settings;
pub mod stats;
pub mod subset;
pub mod summarize;
pub mod summary;

use crate::pipeline::PipelineError;
use sample::Sample;

/// Why an evaluation stopped. What was answered before is in the journal.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// A picture could not be read.
    #[error("sample {sample}: {message}")]
    Picture { sample: String, message: String },
    /// The models failed at a sample.
    #[error("sample {sample}: {source}")]
    Asking { sample: String, source: Box<PipelineError> },
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] journal::JournalError),
}

impl EvalError {
    fn asking(sample: &Sample, source: PipelineError) -> Self {
        Self::Asking { sample: sample.id.clone(), source: Box::new(source) }
    }
}

type Result<T> = std::result::Result<T, EvalError>;
