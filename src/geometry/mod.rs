//! Where visual tokens lie in the pictures, importance carried over from one model's tokens to another's, and what places of
//! pictures attract by themselves.

mod carry;
mod expectation;

pub use carry::Carry;
pub use expectation::{Expectation, ExpectationError};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A part of a picture, in shares of its width and height: 0 is the left or upper edge, 1 the right or lower one. Parts
/// that reach beyond are padding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rect {
    /// Left edge.
    pub x0: f64,
    /// Upper edge.
    pub y0: f64,
    /// Right edge.
    pub x1: f64,
    /// Lower edge.
    pub y1: f64,
}

impl Rect {
    /// The whole picture.
    pub const WHOLE: Self = Self { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 };

    /// Width times height; 0 for an empty or reversed one.
    pub fn area(&self) -> f64 {
        (self.x1 - self.x0).max(0.0) * (self.y1 - self.y0).max(0.0)
    }

    /// What both cover; its area is 0 if that is nothing.
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            x0: self.x0.max(other.x0),
            y0: self.y0.max(other.y0),
            x1: self.x1.min(other.x1),
            y1: self.y1.min(other.y1),
        }
    }

    /// The least rectangle that covers both.
    pub fn union(&self, other: &Self) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }
}

/// How a model sees a picture: models that tile show it as a whole beside the tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The whole picture, reduced, beside its tiles (also called thumbnail); the only level where it needs no tiles.
    Overview,
    /// The picture at the resolution that the model reads it at, in tiles or in one piece.
    Detail,
}

/// Where one visual token lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Place {
    /// The picture, counted in the order of the prompt.
    pub picture: usize,
    /// The level of that picture.
    pub level: Level,
    /// The part of that picture that the token stands for. Tokens without a place of their own, such as the queries of
    /// a resampler, have that of their tile.
    #[serde(flatten)]
    pub rect: Rect,
}

/// Number of visual tokens of each picture of a prompt.
pub fn picture_sizes(places: &[Place]) -> Vec<usize> {
    let mut sizes = vec![0; places.iter().map(|place| place.picture + 1).max().unwrap_or(0)];
    for place in places {
        sizes[place.picture] += 1;
    }
    sizes
}
