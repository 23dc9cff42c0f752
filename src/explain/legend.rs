//! What stands under the panels: the colour scale, what lines mean, and notes.

use super::colour::{dimmed, heat_colour};
use super::figure::GAP;
use super::panel::{OUTLINE, OUTLINE_EDGE, tile_dash};
use super::text::{self, Font, INK, MUTED};
use image::{Rgb, RgbImage};

/// Width of the colour scale, in pixels.
const BAR: u32 = 160;
/// Most lines of one note.
const MAX_LINES: usize = 4;
/// Stands for any part of a picture.
const SAMPLE: Rgb<u8> = Rgb([120, 170, 215]);

/// What is explained beside the colour scale.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Kept and dropped tokens.
    pub tokens: bool,
    /// Where tiles meet.
    pub tiles: bool,
    /// What is to be known about the colours.
    pub scale: &'static str,
}

/// Pixels that a legend takes.
pub(super) fn height(width: u32, font: Font, notes: &[(&str, String)]) -> u32 {
    let lines: usize = notes.iter().map(|(_, note)| lines(width, font, notes, note).len()).sum();
    font.line() + GAP / 2 + lines as u32 * font.line()
}

/// Draws it from row `top` of the page on.
pub(super) fn draw(page: &mut RgbImage, top: u32, font: Font, key: Key, notes: &[(&str, String)]) {
    let mut pen = Pen { page, x: GAP, y: top, font };
    let side = pen.side();
    pen.word("less");
    pen.sample(BAR, |x, _| Rgb(heat_colour(x as f32 / BAR as f32).map(|channel| channel as u8)));
    pen.word("more attention");
    pen.word(key.scale);
    if key.tokens {
        pen.sample(side, |x, y| match [x, y, side - 1 - x, side - 1 - y].into_iter().min() {
            Some(0) => OUTLINE_EDGE,
            Some(1 | 2) => OUTLINE,
            _ => SAMPLE,
        });
        pen.word("kept");
        pen.sample(side, |_, _| dimmed(SAMPLE));
        pen.word("dropped");
    }
    if key.tiles {
        pen.sample(2, |_, y| tile_dash(y));
        pen.word("tiles meet");
    }

    let width = page.width();
    let indent = indent(font, notes);
    let mut y = top + font.line() + GAP / 2;
    for (label, note) in notes {
        text::draw(page, (GAP, y), label, font, MUTED);
        for line in lines(width, font, notes, note) {
            text::draw(page, (GAP + indent, y), &line, font, INK);
            y += font.line();
        }
    }
}

fn lines(width: u32, font: Font, notes: &[(&str, String)], note: &str) -> Vec<String> {
    let room = width.saturating_sub(2 * GAP + indent(font, notes));
    text::wrap(note, font.fitting(room), MAX_LINES)
}

/// Room for the longest label.
fn indent(font: Font, notes: &[(&str, String)]) -> u32 {
    notes.iter().map(|(label, _)| font.width(label)).max().unwrap_or(0) + GAP
}

/// Writes the key from left to right.
struct Pen<'a> {
    page: &'a mut RgbImage,
    x: u32,
    y: u32,
    font: Font,
}

impl Pen<'_> {
    /// Height of samples.
    fn side(&self) -> u32 {
        self.font.line() - 6
    }

    fn word(&mut self, word: &str) {
        text::draw(self.page, (self.x, self.y), word, self.font, INK);
        self.x += self.font.width(word) + if word.is_empty() { 0 } else { GAP };
    }

    /// `colour` gets pixels counted from the sample's upper left corner.
    fn sample(&mut self, width: u32, colour: impl Fn(u32, u32) -> Rgb<u8>) {
        for (x, y) in (0..self.side()).flat_map(|y| (0..width).map(move |x| (x, y))) {
            if let Some(pixel) = self.page.get_pixel_mut_checked(self.x + x, self.y + 1 + y) {
                *pixel = colour(x, y);
            }
        }
        self.x += width + GAP / 2;
    }
}
