//! The characters on items: DejaVu Sans Bold, white with a round black stroke.

use super::outline::{Outline, Point};
use super::{Item, Shape, draw};
use image::{Rgb, RgbImage};
use skrifa::instance::{LocationRef, Size};
use skrifa::outline::{DrawSettings, HintingInstance, HintingOptions, OutlinePen};
use skrifa::{FontRef, MetadataProvider};

const INK: [u8; 3] = [250; 3];
const STROKE: [u8; 3] = [10; 3];
/// Pixels that the stroke reaches beyond the character.
const REACH: f64 = 2.0;
/// Straight edges that a curve is painted as.
const STEPS: u8 = 6;

/// Writes an item's label on it.
pub(super) fn write(picture: &mut RgbImage, item: &Item) {
    let low = if item.shape == Shape::Triangle { f64::from(item.radius) / 10.0 } else { 0.0 };
    let character =
        character(item.label, item.radius * 9 / 10).expect("the font is part of the program and has all labels");
    // Whole pixels, so that what was hinted stays sharp.
    let pen = (f64::from(item.x) + character.left, (f64::from(item.y) + low + character.below).round());
    for (x, y) in draw::pixels(item, item.radius / 2 + 2) {
        let centre = (f64::from(x) + 0.5 - pen.0, f64::from(y) + 0.5 - pen.1);
        let distance = character.outline.distance(centre);
        let beyond = if character.outline.contains(centre) { -distance } else { distance };
        let pixel = picture.get_pixel_mut(x, y);
        blend(pixel, STROKE, REACH - beyond);
        blend(pixel, INK, -beyond);
    }
}

/// Inks a pixel whose middle lies `depth` pixels within what is inked.
fn blend(pixel: &mut Rgb<u8>, ink: [u8; 3], depth: f64) {
    let cover = (depth + 0.5).clamp(0.0, 1.0);
    for (below, ink) in pixel.0.iter_mut().zip(ink) {
        *below = (f64::from(*below) * (1.0 - cover) + f64::from(ink) * cover).round() as u8;
    }
}

/// A character in pixels.
struct Character {
    /// Around the pen's starting point.
    outline: Outline,
    /// Whole pixels from the middle of its advance to the pen, negative.
    left: f64,
    /// Pixels from the middle of the line to the pen.
    below: f64,
}

/// Hinted like FreeType does it; none for a character that the font does not have.
fn character(label: char, size: u32) -> Option<Character> {
    let font = FontRef::new(dejavu::sans::bold()).ok()?;
    let (size, location) = (Size::new(size as f32), LocationRef::default());
    let glyph = font.charmap().map(label)?;
    let outlines = font.outline_glyphs();
    let hinting = HintingInstance::new(&outlines, size, location, HintingOptions::default()).ok()?;
    let mut pen = Pen::default();
    outlines.get(glyph)?.draw(DrawSettings::hinted(&hinting, false), &mut pen).ok()?;
    let advance = f64::from(font.glyph_metrics(size, location).advance_width(glyph)?);
    let line = font.metrics(size, location);
    let below = (f64::from(line.ascent).ceil() + f64::from(line.descent).floor()) / 2.0;
    Some(Character { outline: pen.outline, left: (-advance / 2.0).round(), below })
}

/// Collects the edges of a glyph and turns it upside down: a font's y points up.
#[derive(Default)]
struct Pen {
    outline: Outline,
    start: Point,
    at: Point,
}

impl Pen {
    fn edge(&mut self, to: Point) {
        self.outline.push(self.at, to);
        self.at = to;
    }
}

impl OutlinePen for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.start = (f64::from(x), -f64::from(y));
        self.at = self.start;
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.edge((f64::from(x), -f64::from(y)));
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        let [control, to] = [(cx, cy), (x, y)].map(|(x, y)| (f64::from(x), -f64::from(y)));
        let from = self.at;
        for step in 1..=STEPS {
            let t = f64::from(step) / f64::from(STEPS);
            let between = |a: f64, b: f64, c: f64| a * (1.0 - t) * (1.0 - t) + b * 2.0 * t * (1.0 - t) + c * t * t;
            self.edge((between(from.0, control.0, to.0), between(from.1, control.1, to.1)));
        }
    }

    /// A TrueType font has no cubic curves.
    fn curve_to(&mut self, _: f32, _: f32, _: f32, _: f32, x: f32, y: f32) {
        self.line_to(x, y);
    }

    fn close(&mut self) {
        self.edge(self.start);
    }
}
