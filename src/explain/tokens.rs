//! Rectangles and values of visual tokens for other programs.

use super::explanation::scores;
use crate::geometry::{Level, Place, Rect};
use crate::guidance::{Importance, Kept, Policy};
use crate::media::Picture;
use crate::pipeline::Selection;
use serde::Serialize;
use utoipa::ToSchema;

/// The visual tokens of one picture that were selected among.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PictureTokens {
    /// Of the picture, in pixels.
    pub width: u32,
    /// See `width`.
    pub height: u32,
    /// In prompt order.
    pub tokens: Vec<Token>,
    /// The guide's attention layer by layer, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<Layer>>,
}

/// A visual token.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Token {
    /// Overview or detail.
    pub level: Level,
    /// Left, upper, right and lower edge in pixels of the picture; padding lies beyond it.
    pub rect: [f64; 4],
    /// Attention on it: of the policy's layer, or of all.
    pub importance: f64,
    /// Whether the answering model read it.
    pub kept: bool,
    /// By the target's own attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetToken>,
}

/// What the target's own attention makes of a visual token.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TargetToken {
    /// Attention on it.
    pub importance: f64,
    /// Whether it would be kept.
    pub kept: bool,
}

/// The guide's attention in one layer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Layer {
    /// The model's index of it.
    pub layer: u32,
    /// One for each of the picture's tokens.
    pub importance: Vec<f64>,
}

impl PictureTokens {
    /// `target` has the target's own attention on all tokens of the selection, and what it would keep.
    pub fn new(
        picture: &Picture,
        number: usize,
        selection: &Selection,
        policy: Policy,
        target: Option<(&[f64], &Kept)>,
        layers: bool,
    ) -> Self {
        let (width, height) = (picture.width(), picture.height());
        let ranked = selection.importance.as_ref().map(|importance| scores(importance, policy)).unwrap_or_default();
        let own = || selection.places.iter().enumerate().filter(|(_, place)| place.picture == number);
        let value = |values: &[f64], token: usize| values.get(token).copied().unwrap_or_default();
        let is_kept = |kept: &Kept, token: usize| kept.indices().binary_search(&token).is_ok();
        let token = |(token, place): (usize, &Place)| Token {
            level: place.level,
            rect: pixels(&place.rect, width, height),
            importance: value(&ranked, token),
            kept: is_kept(&selection.kept, token),
            target: target
                .map(|(values, kept)| TargetToken { importance: value(values, token), kept: is_kept(kept, token) }),
        };
        let layer = |(layer, mass): (u32, &[f64])| Layer {
            layer,
            importance: own().map(|(token, _)| value(mass, token)).collect(),
        };
        let all_layers = |importance: &Importance| importance.layers().map(layer).collect();
        let layers = selection.importance.as_ref().filter(|_| layers).map(all_layers);
        Self { width, height, tokens: own().map(token).collect(), layers }
    }
}

/// To hundredths of a pixel.
fn pixels(rect: &Rect, width: u32, height: u32) -> [f64; 4] {
    let round = |share: f64, side: u32| (share * f64::from(side) * 100.0).round() / 100.0;
    [round(rect.x0, width), round(rect.y0, height), round(rect.x1, width), round(rect.y1, height)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_are_in_pixels() {
        let rect = Rect { x0: 0.25, y0: 1.0 / 3.0, x1: 1.5, y1: 1.0 };
        assert_eq!(pixels(&rect, 448, 100), [112.0, 33.33, 672.0, 100.0]);
    }
}
