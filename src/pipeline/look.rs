//! The guide's part of a request: its answer, its attention, and whether the answer is final.

use super::trace::Trace;
use super::{Event, ExitOptions, GuideReport, PipelineError, Request, Result, in_guide};
use crate::geometry::Place;
use crate::guidance::{ExitDecision, Importance, Kept, Policy, cannot_exit, confidence};
use crate::timing::{Phase, ms_since};
use crate::vlm::{Generation, GenerationOptions, Prepared, Vlm, VlmError};
use std::time::Instant;

/// What the guide saw and said.
pub(super) struct Look {
    pub prepared: Prepared,
    pub generation: Generation,
}

impl Look {
    pub fn take(guide: &mut Vlm, request: &Request, trace: &mut Trace<'_>) -> std::result::Result<Self, VlmError> {
        let mut prepared = guide.read(&request.messages, &request.pictures)?;
        let all = Kept::all(prepared.prompt.n_visual());
        guide.check_room(&prepared.prompt, all.len(), request.n_predict)?;
        trace.encode(guide, &mut prepared, &all, Phase::GuideEncode)?;
        let options = GenerationOptions { observe: true, ..request.generation() };
        let phases = [Phase::GuidePrefill, Phase::GuideDecode];
        let generation = trace.answer(guide, &prepared, &all, &options, phases)?;
        Ok(Self { prepared, generation })
    }

    pub fn importance(&self) -> &Importance {
        self.generation.importance.as_ref().expect("the guide is always observed")
    }

    /// Attention, and where the tokens lie that it was on.
    pub fn seen(&self) -> (&Importance, &[Place]) {
        (self.importance(), self.prepared.prompt.places())
    }

    pub fn report(&self) -> GuideReport {
        let Generation { text, tokens, n_held, .. } = &self.generation;
        GuideReport { answer: text.clone(), tokens: tokens.len(), held_tokens: *n_held }
    }

    /// SEE. The consistency pass is spared when no outcome of it could lead to an exit.
    pub fn decide(&self, guide: &mut Vlm, options: &ExitOptions, trace: &mut Trace<'_>) -> Result<ExitDecision> {
        let importance = self.importance();
        if importance.layers().next().is_none() {
            return Err(PipelineError::NoAttention);
        }
        let confidence = confidence(&self.generation.log_probabilities);
        if cannot_exit(confidence, options.threshold) {
            return Ok(ExitDecision::ruled_out(confidence, options.threshold));
        }
        (trace.on_event)(Event::Phase(Phase::Consistency));
        let start = Instant::now();
        let kept = Policy::Global.select(importance.n_visual(), importance.into(), options.retain)?;
        let scores = guide.score(&self.prepared, &kept, &self.generation.tokens).map_err(in_guide)?;
        trace.timings.set(Phase::Consistency, ms_since(start));
        Ok(ExitDecision::decide(confidence, options.consistency.of(&scores), options.threshold))
    }
}
