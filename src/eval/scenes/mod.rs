//! The world of the demo models: pictures of labelled shapes with questions that have exactly one right answer, from a seed.
//!
//! The same distribution as `training/scenes.py` and `training/questions.py` draw from, not the same draws. A seed gives the same
//! scene, pixels and questions on every platform: random numbers come from a seeded generator alone, and pixels from integers and
//! IEEE additions, multiplications, divisions and roots, never from a platform's sine.

mod background;
mod draw;
mod item;
mod label;
mod outline;
mod questions;
#[cfg(test)]
mod tests;

use background::Background;
use fastrand::Rng;
use image::RgbImage;

pub use item::{COLOURS, Colour, Item, LABELS, SHAPES, Shape};
pub use questions::{Kind, Question, examined};

/// Side of a tile, in pixels.
pub const SIDE: u32 = 448;
/// Sizes of large pictures, (columns, rows) of tiles.
pub const LARGE: [(u32, u32); 7] = [(2, 1), (1, 2), (3, 1), (1, 3), (2, 2), (3, 2), (2, 3)];

/// Side of a patch, in pixels. A patch is one visual token of the demo pair.
const PATCH: u32 = 28;

/// Labelled shapes on a background.
///
/// Up to 10 items on one tile, up to 16 small ones on several. They do not overlap, none crosses the edge of a tile, and centres
/// lie within 2 pixels of a patch centre. No label and no pair of colour and shape occurs twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    seed: u64,
    tiles: (u32, u32),
    items: Vec<Item>,
    background: Background,
}

impl Scene {
    /// The scene of a seed, on (columns, rows) tiles of [`SIDE`] pixels. No side is shorter than one tile.
    pub fn new(seed: u64, tiles: (u32, u32)) -> Self {
        let tiles = (tiles.0.max(1), tiles.1.max(1));
        // Seeds often follow each other; a generator's first number separates them.
        let mut random = Rng::with_seed(seed).fork();
        let items = item::place(&mut random, tiles);
        Self { seed, tiles, items, background: Background::draw(&mut random) }
    }

    /// Columns and rows of tiles.
    pub fn tiles(&self) -> (u32, u32) {
        self.tiles
    }

    /// The items in reading order: four bands a tile from the top, left to right in each.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The picture, tiles times [`SIDE`] pixels.
    pub fn render(&self) -> RgbImage {
        let mut picture = self.background.render(self.tiles.0 * SIDE, self.tiles.1 * SIDE);
        for item in &self.items {
            draw::shape(&mut picture, item);
            label::write(&mut picture, item);
        }
        picture
    }
}
