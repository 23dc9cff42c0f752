//! The tests, and how they share out the probability of a wrong promise.
//!
//! The spine has settings without exit, from mild to strong pruning. At each of its retentions that is reached, the unpruned
//! target's included, a tooth goes from high to low exit thresholds. Spine and teeth end at their first refusal.
//!
//! Half of the allowed error, `1 - confidence`, is for the teeth, to equal parts; what the spine passes on to a tooth it
//! has no more, so that a retention is tested with what is left when its predecessor was established. Then a wrong promise
//! is as rare as it should be: let the k-th retention be the first whose loss is too high. Something wrong is established
//! only if that one is, or, on one of the k teeth before it, the first threshold that loses too much. None of these depends
//! on the data, and their probabilities add up to what is allowed at most. (Goeman & Solari, Annals of Statistics 38(6), 2010,
//! have the general principle.) Teeth need parts of their own: on which the walk ends depends on the data, and the best of several
//! tests is wrong more often than each.

use super::outcomes::{Outcomes, Setting, mean};
use super::{Options, THRESHOLDS};
use crate::eval::stats::bound::establishes_at_most;

/// The probability of a wrong promise that each test may have.
pub(super) struct Levels {
    allowed: f64,
    part: f64,
}

impl Levels {
    pub fn new(options: &Options, has_guide: bool) -> Self {
        let allowed = 1.0 - options.confidence;
        let n_teeth = if has_guide { options.levels().len() } else { 0 };
        Self { allowed, part: if n_teeth > 0 { allowed / (2.0 * n_teeth as f64) } else { 0.0 } }
    }

    /// Of the retention that so many others precede.
    pub fn spine(&self, preceding: usize) -> f64 {
        self.allowed - (preceding + 1) as f64 * self.part
    }

    /// Of thresholds; `None` without a guide.
    pub fn tooth(&self) -> Option<f64> {
        Some(self.part).filter(|&part| part > 0.0)
    }
}

/// A setting that was put to the test.
pub(super) struct Tested {
    pub setting: Setting,
    pub losses: Vec<f64>,
    /// How probable a wrong verdict may be.
    pub error: f64,
    pub established: bool,
}

impl Tested {
    /// On average.
    pub fn loss(&self) -> f64 {
        mean(self.losses.iter().copied())
    }
}

/// Tests settings on these pictures: the spine first, then its teeth.
pub(super) fn walk(outcomes: &Outcomes, pictures: &[usize], max_loss: f64, levels: &Levels) -> Vec<Tested> {
    let test = |setting, error| {
        let losses = outcomes.losses(pictures, setting);
        let established = establishes_at_most(&losses, max_loss, 1.0 - error);
        Tested { setting, losses, error, established }
    };
    let spine =
        (1..outcomes.retains.len()).map(|level| test(Setting { level, threshold: None }, levels.spine(level - 1)));
    let mut tested = until_refused(spine);
    let reached = tested.iter().filter(|tested| tested.established).count();
    if let Some(error) = levels.tooth() {
        for level in 0..=reached {
            let at = |threshold| test(Setting { level, threshold: Some(threshold) }, error);
            tested.extend(until_refused(THRESHOLDS.into_iter().map(at)));
        }
    }
    tested
}

/// What is established under which these pictures' questions took the least time; of equals what reads less.
pub(super) fn fastest<'a>(outcomes: &Outcomes, pictures: &[usize], tested: &'a [Tested]) -> Option<&'a Tested> {
    let key = |tested: &Tested| (outcomes.ms(pictures, tested.setting), tested.setting);
    let established = tested.iter().filter(|tested| tested.established).map(|tested| (key(tested), tested));
    let fastest = established.min_by(|((ms, setting), _), ((other_ms, other), _)| {
        let never = f64::INFINITY;
        ms.total_cmp(other_ms)
            .then(other.level.cmp(&setting.level))
            .then(setting.threshold.unwrap_or(never).total_cmp(&other.threshold.unwrap_or(never)))
    });
    fastest.map(|(_, tested)| tested)
}

/// All that is established, and the first that is not.
fn until_refused(tests: impl Iterator<Item = Tested>) -> Vec<Tested> {
    let mut refused = false;
    tests.take_while(|tested| !std::mem::replace(&mut refused, !tested.established)).collect()
}
