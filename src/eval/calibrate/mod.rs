//! The largest pruning and the lowest exit threshold that keep a promise about the loss.
//!
//! A setting's loss on a question is the unpruned target's score minus the setting's, -1 to 1. Questions about one picture
//! share its luck, so a picture is one sample, and its loss the mean over its questions: what is promised is the loss at a
//! question about a picture, for pictures drawn as these were.
//!
//! Every setting is put to the test of [`bound`](super::stats::bound), which allows a wrong promise with a probability chosen
//! beforehand. Tests form a comb (`walk.rs`): the spine goes from mild to strong pruning, a tooth at each of its retentions
//! from high to low exit thresholds, and each ends at its first refusal. Spine and teeth share out the probability of a
//! wrong promise, so all that is established holds at once, and any of it may be chosen: the setting under which a question
//! took the least time. That is the largest pruning and the lowest threshold, and time decides where they compete for
//! the loss that is allowed.

mod outcomes;
mod validation;
mod walk;

#[cfg(test)]
mod tests;

pub use validation::{CrossValidation, Fold};

use super::metrics::Metric;
use super::record::Record;
use super::sample::Sample;
use super::stats::bound::{samples_needed, upper_bound};
use outcomes::Outcomes;
use serde::Serialize;
use std::collections::HashMap;
use walk::{Levels, Tested};

/// Exit thresholds that are tried, in this order.
pub const THRESHOLDS: [f64; 16] =
    [0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.92, 0.9, 0.88, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5];

/// What is to be promised.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which scores make a group's score.
    pub metric: Metric,
    /// Text form of the policy that prunes.
    pub policy: String,
    /// Candidates for the share of visual tokens that the target reads, each above 0 and below 1.
    pub retains: Vec<f64>,
    /// Most loss of score on average, above 0 and below 1.
    pub max_loss: f64,
    /// Least probability with which the promise holds, above 0 and below 1.
    pub confidence: f64,
    /// Score answers by whether they are the unpruned target's, right or wrong, and not as the records do.
    pub agreement: bool,
    /// Parts of the cross-validation.
    pub folds: usize,
    /// Seed of its draw.
    pub seed: u64,
}

/// What may be promised.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// The fastest setting that is established; `None` if none is.
    pub choice: Option<Candidate>,
    /// Every setting that was tested, in the order of the tests.
    pub candidates: Vec<Candidate>,
    /// Pictures.
    pub n: usize,
    /// Questions about them.
    pub n_questions: usize,
    /// Pictures without any loss that it takes to establish the mildest pruning.
    pub needed: Option<usize>,
    /// The same for an early exit; `None` also without a guide.
    pub needed_for_exit: Option<usize>,
    /// The same choice on part of the pictures, measured on the others.
    pub cross_validated: CrossValidation,
}

/// A setting, and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// Share of visual tokens that the target reads; 1 is all.
    pub retain: f64,
    /// Score from which the guide's answer is final; `None`: never.
    pub exit_threshold: Option<f64>,
    /// Mean loss.
    pub loss: f64,
    /// The least limit that its test would have established. What is promised is the limit that was asked for: this one was
    /// not fixed beforehand.
    pub bound: f64,
    /// Whether the loss that is allowed is established.
    pub established: bool,
    /// Share of questions that the guide answers.
    pub exited: f64,
    /// Mean time of a question over that of the unpruned target alone.
    pub cost: f64,
}

impl Options {
    /// Candidates from all tokens, 1, down.
    fn levels(&self) -> Vec<f64> {
        let mut levels = self.retains.clone();
        levels.push(1.0);
        levels.sort_by(|a, b| b.total_cmp(a));
        levels.dedup();
        levels
    }
}

/// Why records cannot be calibrated on.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalibrateError {
    /// A sample was not asked under all candidates.
    #[error(
        "sample {sample} was not answered with policy {policy} at a retention of {retain}; ask it, or leave {retain} out"
    )]
    Missing { sample: String, policy: String, retain: f64 },
    /// A sample has a score that is not known.
    #[error("sample {sample} has an answer without a score; score it, or measure agreement with the unpruned target")]
    Unscored { sample: String },
    /// Nothing could be promised however good the answers.
    #[error(
        "{n} pictures cannot establish a loss of at most {} % at a confidence of {} %, even if none had any; {}",
        percent(*max_loss), percent(*confidence), fix(*needed)
    )]
    TooFew { n: usize, max_loss: f64, confidence: f64, needed: Option<usize> },
}

/// Which of the samples are about the same pictures: a number for each. Those without a picture stand by group.
pub fn by_picture(samples: &[Sample]) -> Vec<usize> {
    let mut numbers = HashMap::new();
    let mut of_samples = Vec::with_capacity(samples.len());
    for Sample { pictures, group, .. } in samples {
        let group = if pictures.is_empty() { group.as_str() } else { "" };
        let next = numbers.len();
        of_samples.push(*numbers.entry((pictures, group)).or_insert(next));
    }
    of_samples
}

/// Whether this many pictures could establish anything, with a guide or without.
///
/// # Errors
/// [`CalibrateError::TooFew`].
pub fn check(n: usize, has_guide: bool, options: &Options) -> Result<(), CalibrateError> {
    let Options { max_loss, confidence, .. } = *options;
    let needed = samples_needed(max_loss, 1.0 - Levels::new(options, has_guide).spine(0));
    match needed {
        Some(needed) if n >= needed => Ok(()),
        _ => Err(CalibrateError::TooFew { n, max_loss, confidence, needed }),
    }
}

/// Finds out what may be promised. Records are in the benchmark's order; `picture` says of a record's index which picture
/// it is about, as [`by_picture`] does.
///
/// # Errors
/// [`CalibrateError`]. That nothing is established is none.
pub fn calibrate(records: &[Record], picture: &[usize], options: &Options) -> Result<Calibration, CalibrateError> {
    let outcomes = Outcomes::read(records, picture, options)?;
    let n = outcomes.n_pictures();
    check(n, outcomes.has_guide, options)?;
    let levels = Levels::new(options, outcomes.has_guide);
    let all: Vec<usize> = (0..n).collect();
    let tested = walk::walk(&outcomes, &all, options.max_loss, &levels);
    let candidate = |tested: &Tested| Candidate {
        retain: outcomes.retains[tested.setting.level],
        exit_threshold: tested.setting.threshold,
        loss: tested.loss(),
        bound: upper_bound(&tested.losses, 1.0 - tested.error),
        established: tested.established,
        exited: outcomes.exited(&all, tested.setting),
        cost: outcomes.ms(&all, tested.setting) / outcomes.alone_ms(&all),
    };
    Ok(Calibration {
        choice: walk::fastest(&outcomes, &all, &tested).map(candidate),
        candidates: tested.iter().map(candidate).collect(),
        n,
        n_questions: records.len(),
        needed: samples_needed(options.max_loss, 1.0 - levels.spine(0)),
        needed_for_exit: levels.tooth().and_then(|error| samples_needed(options.max_loss, 1.0 - error)),
        cross_validated: validation::validate(&outcomes, options, &levels),
    })
}

/// Without what rounding leaves behind.
fn percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}

fn fix(needed: Option<usize>) -> String {
    match needed {
        Some(needed) => format!("ask about {needed} pictures at least, or allow more loss"),
        None => "allow more loss".to_owned(),
    }
}
