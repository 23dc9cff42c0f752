//! Shapes, painted without anti-aliasing by Pillow's rules: corners on whole pixels, edges part of the shape, and inside a border.

use super::outline::{Outline, Point};
use super::{Item, Shape};
use image::{Rgb, RgbImage};

// Corners of shapes of radius 1.
const SQUARE: &[Point] = &[(-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)];
const TRIANGLE: &[Point] = &[(0.0, -1.0), (1.0, 0.85), (-1.0, 0.85)];
const DIAMOND: &[Point] = &[(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)];
/// Five points and, at 0.52 of the radius, the corners between them, 36 degrees apart.
const STAR: &[Point] = &[
    (0.0, -1.0),
    (0.305648, -0.420689),
    (0.951057, -0.309017),
    (0.494549, 0.160689),
    (0.587785, 0.809017),
    (0.0, 0.52),
    (-0.587785, 0.809017),
    (-0.494549, 0.160689),
    (-0.951057, -0.309017),
    (-0.305648, -0.420689),
];
const CROSS: &[Point] = &[
    (-0.42, -1.0),
    (0.42, -1.0),
    (0.42, -0.42),
    (1.0, -0.42),
    (1.0, 0.42),
    (0.42, 0.42),
    (0.42, 1.0),
    (-0.42, 1.0),
    (-0.42, 0.42),
    (-1.0, 0.42),
    (-1.0, -0.42),
    (-0.42, -0.42),
];
/// Greatest distance of border pixels from a straight edge; it reaches two pixels deep, level or slanting.
const BORDER: f64 = 1.45;

/// Paints an item without its label.
pub(super) fn shape(picture: &mut RgbImage, item: &Item) {
    let colours = [item.fill, border(item.fill)].map(Rgb);
    let corners = match item.shape {
        Shape::Circle => return circle(picture, item, colours),
        Shape::Square => SQUARE,
        Shape::Triangle => TRIANGLE,
        Shape::Star => STAR,
        Shape::Diamond => DIAMOND,
        Shape::Cross => CROSS,
    };
    let outline = outline(item, corners);
    for (x, y) in pixels(item, item.radius) {
        let point = (f64::from(x), f64::from(y));
        if outline.contains(point) || outline.touches(point) {
            picture.put_pixel(x, y, colours[usize::from(outline.distance(point) <= BORDER)]);
        }
    }
}

/// Columns and rows of the pixels at most `reach` from an item's centre, to the sides and up and down.
pub(super) fn pixels(item: &Item, reach: u32) -> impl Iterator<Item = (u32, u32)> + use<> {
    let (x, y) = (item.x, item.y);
    (y - reach..=y + reach).flat_map(move |y| (x - reach..=x + reach).map(move |x| (x, y)))
}

fn circle(picture: &mut RgbImage, item: &Item, [fill, border]: [Rgb<u8>; 2]) {
    // Twice the distances, squared: the circle goes through the outer sides of its outermost pixels.
    let (outer, inner) = ((2 * item.radius + 1).pow(2), (2 * item.radius - 3).pow(2));
    for (x, y) in pixels(item, item.radius) {
        let distance = 4 * (x.abs_diff(item.x).pow(2) + y.abs_diff(item.y).pow(2));
        if distance <= outer {
            picture.put_pixel(x, y, if distance > inner { border } else { fill });
        }
    }
}

fn outline(item: &Item, corners: &[Point]) -> Outline {
    let radius = f64::from(item.radius);
    let corner = |&(x, y): &Point| ((f64::from(item.x) + x * radius).floor(), (f64::from(item.y) + y * radius).floor());
    Outline::polygon(&corners.iter().map(corner).collect::<Vec<_>>())
}

/// Darker than a light fill, lighter than a dark one.
fn border(fill: [u8; 3]) -> [u8; 3] {
    let [red, green, blue] = fill.map(f64::from);
    let light = 0.3 * red + 0.59 * green + 0.11 * blue > 140.0;
    fill.map(f64::from).map(|v| if light { v * 0.5 } else { v + (255.0 - v) * 0.35 } as u8)
}
