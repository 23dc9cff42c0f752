//! What each contender keeps of one sample.

use super::Plan;
use crate::eval::contender::Contender;
use crate::eval::record::Overlap;
use crate::eval::sample::Sample;
use crate::explain::Agreement;
use crate::geometry::picture_sizes;
use crate::guidance::{Evidence, GuidanceError, Importance, Kept, Policy, Retain, Tiles};
use crate::timing::ms_since;
use crate::vlm::{Generation, Prompt};
use std::time::Instant;

/// All that contenders can rank by.
pub(super) struct Choice<'a> {
    pub plan: &'a Plan,
    pub sample: &'a Sample,
    /// The target's prompt.
    pub prompt: &'a Prompt,
    /// Their embeddings.
    pub rows: &'a [&'a [f32]],
    /// The guide's attention, carried over to the target's tokens.
    pub guide: Option<Importance>,
    /// Its expectation there.
    pub expected: Option<Vec<f64>>,
    /// The unpruned target's answer, observed.
    pub own: Option<&'a Generation>,
}

/// A kept set, and how long it took to choose.
pub(super) struct Chosen {
    pub kept: Kept,
    pub ms: f64,
}

impl Choice<'_> {
    /// `None` for contenders that keep no subset: the unpruned target and a lower resolution.
    pub fn kept(&self, contender: Contender, retain: f64, draw: u32) -> Result<Option<Chosen>, GuidanceError> {
        let own = |of: fn(&Generation) -> Option<&Importance>| self.own.and_then(of);
        let (policy, importance) = match contender {
            Contender::Unpruned | Contender::LowResolution => return Ok(None),
            Contender::Policy(policy) => (policy, self.guide.as_ref()),
            Contender::Gathered(_) => (Policy::Global, self.guide.as_ref()),
            Contender::Random(_) => (Policy::Random(self.seed(draw)), None),
            Contender::TargetLayer(layer) => (Policy::Layer(layer), own(|own| own.question_importance.as_ref())),
            Contender::Oracle => (Policy::Global, own(|own| own.importance.as_ref())),
        };
        let start = Instant::now();
        let mut kept = self.select(policy, importance, retain)?;
        if let (Contender::Gathered(loss), Some(importance)) = (contender, importance) {
            kept = self.prompt.gather(kept, &importance.global(), Tiles::Loss(loss)).kept;
        }
        Ok(Some(Chosen { kept, ms: ms_since(start) }))
    }

    /// How far the guide's rankings agree with the target's own; empty unless both are known.
    pub fn overlap(&self) -> Result<Vec<Overlap>, GuidanceError> {
        let (Some(guide), Some(own)) = (&self.guide, self.own.and_then(|own| own.importance.as_ref())) else {
            return Ok(Vec::new());
        };
        let target = own.global();
        let mut overlaps = Vec::new();
        for policy in self.plan.contenders.iter().filter_map(|contender| contender.guide_ranking()) {
            let scores = match policy {
                Policy::Layer(layer) => guide.layer(layer).map(<[f64]>::to_vec).unwrap_or_default(),
                _ => guide.global(),
            };
            for &retain in &self.plan.retains {
                let one = self.select(policy, Some(guide), retain)?;
                let other = self.select(Policy::Global, Some(own), retain)?;
                let agreement = Agreement::of((&one, &scores), (&other, &target));
                overlaps.push(Overlap {
                    policy: policy.to_string(),
                    retain,
                    k: agreement.kept,
                    overlap: agreement.overlap,
                    rank_correlation: agreement.rank_correlation,
                });
            }
        }
        Ok(overlaps)
    }

    fn select(&self, policy: Policy, importance: Option<&Importance>, retain: f64) -> Result<Kept, GuidanceError> {
        let evidence = Evidence { importance, embeddings: Some(self.rows), expected: self.expected.as_deref() };
        policy.select_of(&picture_sizes(self.prompt.places()), evidence, Retain::Share(retain), self.plan.picture_floor)
    }

    /// Another draw for every sample: one seed keeps the same places of every picture.
    fn seed(&self, draw: u32) -> u64 {
        let hash = blake3::hash(self.sample.id.as_bytes());
        let id = u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap_or_default());
        id ^ self.plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(draw))
    }
}
