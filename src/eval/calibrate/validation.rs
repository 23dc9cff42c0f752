//! What the choice is worth on pictures that it was not made from.

use super::outcomes::{Outcomes, Setting, mean};
use super::{Options, walk};
use serde::{Deserialize, Serialize};

/// Choices made without one part of the pictures each, measured on that part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrossValidation {
    /// Mean loss over all pictures, each under the choice that was made without it.
    pub loss: f64,
    /// Parts whose loss was within what is allowed.
    pub kept: usize,
    /// One for each part.
    pub folds: Vec<Fold>,
}

/// A choice, and its loss on pictures that it was not made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    /// Share of visual tokens; 1, without a loss, where the others established nothing.
    pub retain: f64,
    /// Exit threshold.
    pub exit_threshold: Option<f64>,
    /// Pictures that it was measured on.
    pub n: usize,
    /// Mean loss on them.
    pub loss: f64,
}

/// Parts are drawn by the seed; no picture is in two.
pub(super) fn validate(outcomes: &Outcomes, options: &Options, levels: &walk::Levels) -> CrossValidation {
    let n = outcomes.n_pictures();
    let mut order: Vec<usize> = (0..n).collect();
    fastrand::Rng::with_seed(options.seed).shuffle(&mut order);
    let n_folds = options.folds.clamp(2, n.max(2));
    let mut losses = Vec::new();
    let fold = |part: usize| {
        let (held_out, others): (Vec<_>, Vec<_>) =
            order.iter().enumerate().partition(|(place, _)| place % n_folds == part);
        let pictures = |part: Vec<(usize, &usize)>| part.into_iter().map(|(_, &picture)| picture).collect::<Vec<_>>();
        let (held_out, others) = (pictures(held_out), pictures(others));
        let tested = walk::walk(outcomes, &others, options.max_loss, levels);
        let chosen = walk::fastest(outcomes, &others, &tested);
        let setting = chosen.map_or(Setting { level: 0, threshold: None }, |chosen| chosen.setting);
        let measured = outcomes.losses(&held_out, setting);
        let fold = Fold {
            retain: outcomes.retains[setting.level],
            exit_threshold: setting.threshold,
            n: measured.len(),
            loss: mean(measured.iter().copied()),
        };
        losses.extend(measured);
        fold
    };
    let folds: Vec<Fold> = (0..n_folds).map(fold).collect();
    let kept = folds.iter().filter(|fold| fold.loss <= options.max_loss).count();
    CrossValidation { loss: mean(losses.into_iter()), kept, folds }
}
