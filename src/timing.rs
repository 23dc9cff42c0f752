//! The one type behind every time that a user sees.

use serde::Serialize;
use std::time::Instant;
use utoipa::ToSchema;

/// What the user waits for, in the order in which it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The guide's vision encoder.
    GuideEncode,
    /// The guide reads the prompt.
    GuidePrefill,
    /// The guide answers.
    GuideDecode,
    /// The guide reads its own answer again, on pruned input.
    Consistency,
    /// The target's vision encoder.
    TargetEncode,
    /// The target reads the prompt, pruned.
    TargetPrefill,
    /// The target answers.
    TargetDecode,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 7] = [
        Self::GuideEncode,
        Self::GuidePrefill,
        Self::GuideDecode,
        Self::Consistency,
        Self::TargetEncode,
        Self::TargetPrefill,
        Self::TargetDecode,
    ];

    /// As JSON and metrics have it: `guide_encode`.
    pub fn name(self) -> &'static str {
        match self {
            Self::GuideEncode => "guide_encode",
            Self::GuidePrefill => "guide_prefill",
            Self::GuideDecode => "guide_decode",
            Self::Consistency => "consistency",
            Self::TargetEncode => "target_encode",
            Self::TargetPrefill => "target_prefill",
            Self::TargetDecode => "target_decode",
        }
    }

    /// Words for messages.
    pub fn label(self) -> &'static str {
        match self {
            Self::GuideEncode => "guide encode",
            Self::GuidePrefill => "guide prefill",
            Self::GuideDecode => "guide decode",
            Self::Consistency => "consistency",
            Self::TargetEncode => "target encode",
            Self::TargetPrefill => "target prefill",
            Self::TargetDecode => "target decode",
        }
    }
}

/// Wall-clock milliseconds by phase; `None` for phases that did not run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, ToSchema)]
pub struct Timings {
    /// See [`Phase::GuideEncode`].
    pub guide_encode: Option<f64>,
    /// See [`Phase::GuidePrefill`].
    pub guide_prefill: Option<f64>,
    /// See [`Phase::GuideDecode`].
    pub guide_decode: Option<f64>,
    /// See [`Phase::Consistency`].
    pub consistency: Option<f64>,
    /// See [`Phase::TargetEncode`].
    pub target_encode: Option<f64>,
    /// See [`Phase::TargetPrefill`].
    pub target_prefill: Option<f64>,
    /// See [`Phase::TargetDecode`].
    pub target_decode: Option<f64>,
    /// The whole request, including what lies between the phases.
    pub total: f64,
}

impl Timings {
    /// Time of one phase.
    pub fn get(mut self, phase: Phase) -> Option<f64> {
        *self.slot(phase)
    }

    /// Sets the time of one phase.
    pub fn set(&mut self, phase: Phase, ms: f64) {
        *self.slot(phase) = Some(ms);
    }

    fn slot(&mut self, phase: Phase) -> &mut Option<f64> {
        match phase {
            Phase::GuideEncode => &mut self.guide_encode,
            Phase::GuidePrefill => &mut self.guide_prefill,
            Phase::GuideDecode => &mut self.guide_decode,
            Phase::Consistency => &mut self.consistency,
            Phase::TargetEncode => &mut self.target_encode,
            Phase::TargetPrefill => &mut self.target_prefill,
            Phase::TargetDecode => &mut self.target_decode,
        }
    }
}

/// Milliseconds since `start`.
pub fn ms_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_json() {
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_string(&phase).unwrap(), format!("{:?}", phase.name()));
        }
    }
}
