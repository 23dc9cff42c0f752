//! From the guide's attention to the visual tokens that the target reads.

use super::{PictureReport, Request, Result};
use crate::geometry::{Carry, Place};
use crate::guidance::{Importance, Kept, Retain};
use crate::vlm::Prompt;

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
}

impl Selection {
    /// The visual tokens of `prompt` that the policy of `request` keeps, by attention that was `seen` on the tokens at
    /// these places, of any model that read the same pictures.
    ///
    /// # Errors
    /// [`super::PipelineError::Guidance`]: the policy needs attention that was not seen.
    pub fn make(request: &Request, prompt: &Prompt, seen: Option<(&Importance, &[Place])>) -> Result<Self> {
        let places = prompt.places();
        let importance = seen.map(|(importance, seen)| {
            let carry = Carry::new(seen, places);
            importance.carried(places.len(), |mass| carry.apply(mass))
        });
        let pictures = picture_sizes(places);
        let retain = request.retain.unwrap_or(Retain::Share(1.0));
        let kept = request.policy.select_of(&pictures, importance.as_ref(), retain, request.picture_floor)?;
        Ok(Self { kept, importance, ..Self::of_all(prompt) })
    }

    pub(super) fn of_all(prompt: &Prompt) -> Self {
        let places = prompt.places().to_vec();
        Self { kept: Kept::all(places.len()), places, tiles: prompt.tiles(), importance: None }
    }

    pub(super) fn counts(&self, kept: &Kept) -> Vec<PictureReport> {
        let sizes = picture_sizes(&self.places);
        let counts = kept.counts(&sizes);
        sizes.into_iter().zip(counts).map(|(tokens, kept)| PictureReport { tokens, kept }).collect()
    }
}

/// Number of visual tokens of each picture.
fn picture_sizes(places: &[Place]) -> Vec<usize> {
    let mut sizes = vec![0; places.iter().map(|place| place.picture + 1).max().unwrap_or(0)];
    for place in places {
        sizes[place.picture] += 1;
    }
    sizes
}
