//! The guide's part: its answer, its attention, how sure it is.

use super::{Asked, Engine, in_guide};
use crate::eval::record::GuideLook;
use crate::geometry::{Carry, Expectation, Place};
use crate::guidance::{Consistency, Evidence, Importance, Kept, Policy, confidence};
use crate::media::Picture;
use crate::pipeline::PipelineError;
use crate::timing::ms_since;
use crate::vlm::{Role, question};
use std::time::Instant;

pub(super) struct Look {
    pub report: GuideLook,
    /// On the guide's tokens.
    pub importance: Importance,
    /// Where they lie.
    pub places: Vec<Place>,
}

impl Look {
    /// The attention on the tokens of another model, and its expectation there.
    pub fn carried_to(&self, places: &[Place], expectation: Option<&Expectation>) -> (Importance, Option<Vec<f64>>) {
        let carry = Carry::new(&self.places, places);
        let importance = self.importance.carried(places.len(), |mass| carry.apply(mass));
        (importance, expectation.map(|expectation| carry.average(&expectation.at(&self.places))))
    }
}

impl Engine {
    /// `None` without a guide. The consistency pass always runs: curves need its score at every threshold.
    pub(super) fn look(&mut self, asked: &Asked<'_>, pictures: &[Picture]) -> Result<Option<Look>, PipelineError> {
        let Some(guide) = self.pipeline.guide_mut() else { return Ok(None) };
        let messages = question(None, pictures.len(), &asked.prompt);
        let prepared = guide.prepare(&messages, pictures, |_, _| {}).map_err(in_guide)?;
        let encode_ms = self.times.of(Role::Guide, pictures, &prepared);
        let places = prepared.prompt.places().to_vec();
        let observed = self.plan.generation(true);
        let answer = guide
            .answer(&prepared, &Kept::all(places.len()), &observed, &mut |_, _| {}, &mut |_| {})
            .map_err(in_guide)?;
        let importance = answer.importance.ok_or(PipelineError::NoAttention)?;

        let start = Instant::now();
        let kept = Policy::Global.select(places.len(), Evidence::from(&importance), self.plan.consistency_retain)?;
        let scores = guide.score(&prepared, &kept, &answer.tokens).map_err(in_guide)?;
        let report = GuideLook {
            score: (asked.score)(Role::Guide, &answer.text, &places),
            answer: answer.text,
            confidence: confidence(&answer.log_probabilities),
            consistency: Consistency::Product.of(&scores),
            encode_ms,
            answer_ms: answer.prefill_ms + answer.decode_ms,
            consistency_ms: ms_since(start),
        };
        Ok(Some(Look { report, importance, places }))
    }
}
