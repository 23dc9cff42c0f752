//! Rectangles and values of visual tokens for other programs.

use super::drawing::scores;
use serde::Serialize;
use sgl::geometry::{Level, Rect};
use sgl::guidance::{Importance, Kept, Policy};
use sgl::media::Picture;
use sgl::pipeline::Selection;

/// The visual tokens of one picture that were selected among.
#[derive(Serialize)]
pub struct PictureTokens {
    width: u32,
    height: u32,
    tokens: Vec<Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Layer>>,
}

#[derive(Serialize)]
struct Token {
    level: Level,
    /// Left, upper, right and lower edge in pixels of the picture; padding lies beyond it.
    rect: [f64; 4],
    /// Attention on it: of the policy's layer, or of all.
    importance: f64,
    kept: bool,
    /// By the target's own attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<TargetToken>,
}

#[derive(Serialize)]
struct TargetToken {
    importance: f64,
    kept: bool,
}

/// The guide's attention in one layer.
#[derive(Serialize)]
struct Layer {
    layer: u32,
    /// One for each of the picture's tokens.
    importance: Vec<f64>,
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
        let token = |(token, place): (usize, &sgl::geometry::Place)| Token {
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
