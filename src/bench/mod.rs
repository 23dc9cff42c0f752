//! What a guide and target pair brings on this machine, phase by phase: the target alone, the whole pipeline, and the guide
//! with and without the export of its attention take turns for some rounds, a stock build of llama.cpp among them if there
//! is one.
//!
//! [`measure`] times, [`Measurement`] sums up, [`ideal_ms`] says what the pieces would make possible, [`break_even`] when a
//! guide pays, [`compare`] what changed between two measurements.

mod compare;
mod engine;
mod ideal;
mod material;
mod measure;
mod measurement;
mod stock;
mod times;

pub use crate::llama::Memory;
pub use compare::{CompareError, Comparison, Row, Verdict, compare, differences};
pub use engine::{Engine, Question};
pub use ideal::{BreakEven, Costs, Pieces, break_even, ideal_ms};
pub use material::{Drawn, SEED, picture, question};
pub use measure::{Counts, Round, Variant, measure};
pub use measurement::{
    Baseline, Build, Measurement, Medians, PeakBytes, Ratios, Settings, Shapes, Speeds, peak_process_bytes,
};
pub use stock::{Stock, StockError, StockRun};
pub use times::{TIME_TO_FIRST_TOKEN, TOTAL, Times};

use crate::pipeline::PipelineError;

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A model failed.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The stock program failed.
    #[error(transparent)]
    Stock(#[from] StockError),
    /// No number can be taken of no round.
    #[error("0 rounds measure nothing; ask for at least 1")]
    NoRounds,
}
