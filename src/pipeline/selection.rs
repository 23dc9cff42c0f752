//! From the guide's attention to the visual tokens that the target reads.

use super::{PictureReport, Request, Result};
use crate::geometry::{Carry, Place, picture_sizes};
use crate::guidance::{Evidence, Gathered, Importance, Kept, Retain};
use crate::vlm::{Prepared, Prompt};

/// Attention on the visual tokens of a model.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Per layer and token.
    pub importance: Importance,
    /// Where the tokens lie.
    pub places: Vec<Place>,
    /// Whole pictures and tiles ([`Prompt::tiles`]).
    pub tiles: Vec<Place>,
}

/// Visual tokens selected for the target.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Which.
    pub kept: Kept,
    /// Where all of them lie.
    pub places: Vec<Place>,
    /// Whole pictures and tiles ([`Prompt::tiles`]).
    pub tiles: Vec<Place>,
    /// The guide's attention carried over to them, if it ran.
    pub importance: Option<Importance>,
    /// Share of the importance of the best tokens that was given up to encode fewer tiles.
    pub lost: f64,
}

impl Selection {
    /// The visual tokens of a prompt that the policy of `request` keeps, by attention that was `seen` on the tokens at these
    /// places, of any model that read the same pictures, and by the embeddings of the prompt itself.
    ///
    /// # Errors
    /// [`super::PipelineError::Guidance`]: the policy needs what was not seen, or the request's expectation.
    pub fn make(request: &Request, prepared: &Prepared, seen: Option<(&Importance, &[Place])>) -> Result<Self> {
        let Request { policy, picture_floor, expectation, .. } = request;
        let retain = request.retain.unwrap_or(Retain::Share(1.0));
        let places = prepared.prompt.places();
        let (mut importance, mut expected) = (None, None);
        if let Some((mass, seen)) = seen {
            let carry = Carry::new(seen, places);
            importance = Some(mass.carried(places.len(), |mass| carry.apply(mass)));
            let expectation = expectation.as_ref().filter(|_| policy.needs_expectation(retain));
            expected = expectation.map(|expectation| carry.average(&expectation.at(seen)));
        }
        let rows = policy.needs_embeddings(retain).then(|| prepared.visual_rows());
        let evidence =
            Evidence { importance: importance.as_ref(), embeddings: rows.as_deref(), expected: expected.as_deref() };
        let kept = policy.select_of(&picture_sizes(places), evidence, retain, *picture_floor)?;
        let Gathered { kept, lost } = match &importance {
            Some(importance) if policy.needs_attention(retain) => {
                prepared.prompt.gather(kept, &importance.global(), request.tiles)
            }
            _ => Gathered { kept, lost: 0.0 },
        };
        Ok(Self { kept, importance, lost, ..Self::of_all(&prepared.prompt) })
    }

    pub(super) fn of_all(prompt: &Prompt) -> Self {
        let places = prompt.places().to_vec();
        Self { kept: Kept::all(places.len()), places, tiles: prompt.tiles(), importance: None, lost: 0.0 }
    }

    pub(super) fn counts(&self, kept: &Kept) -> Vec<PictureReport> {
        let sizes = picture_sizes(&self.places);
        let counts = kept.counts(&sizes);
        sizes.into_iter().zip(counts).map(|(tokens, kept)| PictureReport { tokens, kept }).collect()
    }
}
