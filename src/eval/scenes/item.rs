//! What lies in a scene, and where.

use super::{PATCH, SIDE};
use fastrand::Rng;
use std::fmt;

/// All shapes.
pub const SHAPES: [Shape; 6] =
    [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Star, Shape::Diamond, Shape::Cross];
/// All colours.
pub const COLOURS: [Colour; 8] = [
    Colour::Red,
    Colour::Green,
    Colour::Blue,
    Colour::Yellow,
    Colour::Purple,
    Colour::Orange,
    Colour::White,
    Colour::Black,
];
/// All labels. Characters that look alike are not among them.
pub const LABELS: &str = "0123456789ACEFHKLNPRTUXY";

/// Radii of items on one tile, in pixels; in a large scene all have the first.
const RADII: [u32; 3] = [28, 35, 42];
/// Places that an item tries before it is left out.
const TRIES: usize = 60;

/// A shape, displayed as its name in questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Shape {
    Circle,
    Square,
    Triangle,
    Star,
    Diamond,
    Cross,
}

/// A colour, displayed as its name in questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Colour {
    Red,
    Green,
    Blue,
    Yellow,
    Purple,
    Orange,
    White,
    Black,
}

/// A labelled shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub shape: Shape,
    /// The colour that it is called by.
    pub colour: Colour,
    /// The character on it.
    pub label: char,
    /// Column of its centre, in pixels.
    pub x: u32,
    /// Row of its centre, in pixels.
    pub y: u32,
    /// Pixels from its centre to the side of its bounding box.
    pub radius: u32,
    /// The shade of its colour that it is painted in.
    pub fill: [u8; 3],
}

impl Shape {
    /// What several are called.
    pub fn plural(self) -> String {
        format!("{self}{}", if self == Shape::Cross { "es" } else { "s" })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Shape::Circle => "circle",
            Shape::Square => "square",
            Shape::Triangle => "triangle",
            Shape::Star => "star",
            Shape::Diamond => "diamond",
            Shape::Cross => "cross",
        })
    }
}

impl Colour {
    /// Its middle shade.
    fn rgb(self) -> [u8; 3] {
        match self {
            Colour::Red => [214, 38, 38],
            Colour::Green => [34, 150, 60],
            Colour::Blue => [40, 80, 220],
            Colour::Yellow => [240, 220, 40],
            Colour::Purple => [140, 50, 170],
            Colour::Orange => [245, 135, 20],
            Colour::White => [248, 248, 248],
            Colour::Black => [22, 22, 22],
        }
    }

    fn shade(self, random: &mut Rng) -> [u8; 3] {
        self.rgb().map(|channel| (i32::from(channel) + random.i32(-12..=12)).clamp(0, 255) as u8)
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Colour::Red => "red",
            Colour::Green => "green",
            Colour::Blue => "blue",
            Colour::Yellow => "yellow",
            Colour::Purple => "purple",
            Colour::Orange => "orange",
            Colour::White => "white",
            Colour::Black => "black",
        })
    }
}

/// The items of a random scene, in reading order.
pub(super) fn place(random: &mut Rng, tiles: (u32, u32)) -> Vec<Item> {
    let one_tile = tiles == (1, 1);
    let count = random.usize(if one_tile { 5..=10 } else { 6..=16 });
    let mut pairs: Vec<_> = COLOURS.iter().flat_map(|&colour| SHAPES.map(|shape| (colour, shape))).collect();
    let mut labels: Vec<char> = LABELS.chars().collect();
    random.shuffle(&mut pairs);
    random.shuffle(&mut labels);
    let mut items: Vec<Item> = Vec::with_capacity(count);
    for ((colour, shape), label) in pairs.into_iter().zip(labels).take(count) {
        let radius = RADII[if one_tile { random.usize(..RADII.len()) } else { 0 }];
        let corner = (random.u32(..tiles.0) * SIDE, random.u32(..tiles.1) * SIDE);
        let fill = colour.shade(random);
        for _ in 0..TRIES {
            let (x, y) = (corner.0 + coordinate(random, radius), corner.1 + coordinate(random, radius));
            if items.iter().all(|other| apart((x, y, radius), other)) {
                items.push(Item { shape, colour, label, x, y, radius, fill });
                break;
            }
        }
    }
    items.sort_by_key(|item| (item.y / (SIDE / 4), item.x, item.y));
    items
}

/// A centre within a tile, on one axis: near a patch centre, and so far inside that the item stays in the tile.
fn coordinate(random: &mut Rng, radius: u32) -> u32 {
    let margin = if radius < 40 { 1 } else { 2 };
    PATCH * random.u32(margin..SIDE / PATCH - margin) + PATCH / 2 - 2 + random.u32(..=4)
}

/// Whether the bounding boxes are 2 pixels apart on one axis.
fn apart((x, y, radius): (u32, u32, u32), other: &Item) -> bool {
    x.abs_diff(other.x).max(y.abs_diff(other.y)) >= radius + other.radius + 2
}
