//! Times of one run, by name.

use crate::timing::{Phase, Timings};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name of the time until the first token of the final answer is known.
pub const TIME_TO_FIRST_TOKEN: &str = "time_to_first_token";
/// Name of the time of the whole run.
pub const TOTAL: &str = "total";

/// Milliseconds of one run: phases under the names that [`Phase`] serializes to, [`TIME_TO_FIRST_TOKEN`] and [`TOTAL`]. What
/// did not run is not there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Times {
    ms: BTreeMap<String, f64>,
}

impl Times {
    /// Name of a phase's time.
    pub fn name(phase: Phase) -> String {
        phase.label().replace(' ', "_")
    }

    /// Time of a phase.
    pub fn phase(&self, phase: Phase) -> Option<f64> {
        self.get(&Self::name(phase))
    }

    /// Time by name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.ms.get(name).copied()
    }

    /// Sets the time of a phase.
    pub fn set_phase(&mut self, phase: Phase, ms: f64) {
        self.set(&Self::name(phase), ms);
    }

    /// Sets a time.
    pub fn set(&mut self, name: &str, ms: f64) {
        self.ms.insert(name.to_owned(), ms);
    }

    /// Sum of some phases; those that did not run count nothing.
    pub fn sum(&self, phases: &[Phase]) -> f64 {
        phases.iter().filter_map(|&phase| self.phase(phase)).sum()
    }

    /// All names and times.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.ms.iter().map(|(name, &ms)| (name.as_str(), ms))
    }
}

impl From<&Timings> for Times {
    fn from(timings: &Timings) -> Self {
        let mut times = Self::default();
        for phase in Phase::ALL {
            if let Some(ms) = timings.get(phase) {
                times.set_phase(phase, ms);
            }
        }
        times.set(TOTAL, timings.total);
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_phases_serialize_to() {
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_value(phase).unwrap(), Times::name(phase));
        }
    }

    #[test]
    fn times_are_those_of_the_phases_that_ran() {
        let timings = Timings { target_encode: Some(1.5), total: 4.0, ..Timings::default() };
        let times = Times::from(&timings);
        assert_eq!(times.iter().collect::<Vec<_>>(), [("target_encode", 1.5), ("total", 4.0)]);
        assert_eq!(times.sum(&[Phase::TargetEncode, Phase::TargetDecode]), 1.5);
        let text = serde_json::to_string(&times).unwrap();
        assert_eq!(text, r#"{"target_encode":1.5,"total":4.0}"#);
        assert_eq!(serde_json::from_str::<Times>(&text).unwrap(), times);
    }
}
