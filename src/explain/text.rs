//! Text in pictures: Noto Sans Mono, rasterized ahead of time, in two sizes.

use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

/// Text on white.
pub(super) const INK: Rgb<u8> = Rgb([33, 37, 43]);
/// Text that stands back.
pub(super) const MUTED: Rgb<u8> = Rgb([104, 110, 120]);

/// How text is set. All characters are equally wide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Font {
    weight: FontWeight,
    height: RasterHeight,
}

impl Font {
    pub(super) const SMALL: Self = Self { weight: FontWeight::Regular, height: RasterHeight::Size16 };
    pub(super) const LARGE: Self = Self { weight: FontWeight::Regular, height: RasterHeight::Size20 };

    pub(super) fn bold(self) -> Self {
        Self { weight: FontWeight::Bold, ..self }
    }

    /// Pixels from one line to the next.
    pub(super) fn line(self) -> u32 {
        self.height.val() as u32 + 4
    }

    /// Width of a text in pixels.
    pub(super) fn width(self, text: &str) -> u32 {
        text.chars().count() as u32 * self.advance()
    }

    /// Characters that fit into `width` pixels.
    pub(super) fn fitting(self, width: u32) -> usize {
        (width / self.advance()) as usize
    }

    fn advance(self) -> u32 {
        get_raster_width(self.weight, self.height) as u32
    }
}

/// Draws one line with its upper left corner at (`x`, `y`); what lies beyond the canvas is left out, what the font lacks is
/// the replacement character.
pub(super) fn draw(canvas: &mut RgbImage, (x, y): (u32, u32), text: &str, font: Font, colour: Rgb<u8>) {
    for (character, left) in text.chars().zip((x..).step_by(font.advance() as usize)) {
        let Some(glyph) = glyph(character, font) else { continue };
        for (row, y) in glyph.rows().zip(y..) {
            for (&cover, x) in row.iter().zip(left..) {
                if let Some(pixel) = canvas.get_pixel_mut_checked(x, y) {
                    let cover = u16::from(cover);
                    let blend = |(below, ink): (u8, u8)| {
                        ((u16::from(below) * (255 - cover) + u16::from(ink) * cover) / 255) as u8
                    };
                    pixel.0 = [0, 1, 2].map(|channel: usize| blend((pixel.0[channel], colour.0[channel])));
                }
            }
        }
    }
}

fn glyph(character: char, font: Font) -> Option<noto_sans_mono_bitmap::RasterizedChar> {
    let raster = |character| get_raster(character, font.weight, font.height);
    raster(character).or_else(|| raster(char::REPLACEMENT_CHARACTER))
}

/// Lines of at most `columns` characters, broken between words where there are any; a text of more than `max_lines` ends
/// in three dots.
pub(super) fn wrap(text: &str, columns: usize, max_lines: usize) -> Vec<String> {
    let columns = columns.max(4);
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in plain(text).split_whitespace() {
        let used = line.chars().count();
        let mut rest: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + rest.len() <= columns {
            line.push(' ');
        } else if used > 0 {
            lines.push(std::mem::take(&mut line));
        }
        while rest.len() > columns {
            lines.push(rest.drain(..columns).collect());
        }
        line.extend(rest);
    }
    lines.push(line);
    if lines.len() > max_lines {
        lines.truncate(max_lines.max(1));
        if let Some(last) = lines.last_mut() {
            let kept: String = last.chars().take(columns - 3).collect();
            *last = format!("{}...", kept.trim_end());
        }
    }
    lines
}

/// The first line of [`wrap`].
pub(super) fn clip(text: &str, columns: usize) -> String {
    wrap(text, columns, 1).remove(0)
}

/// Typographic marks that the font lacks, as it has them.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{2018}' | '\u{2019}' => plain.push('\''),
            '\u{201c}' | '\u{201d}' | '\u{201e}' => plain.push('"'),
            '\u{2010}'..='\u{2015}' | '\u{2212}' => plain.push('-'),
            '\u{2026}' => plain.push_str("..."),
            character if character.is_control() => plain.push(' '),
            character => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_break_between_words_and_long_texts_end_in_dots() {
        assert_eq!(wrap("one two three", 7, 9), ["one two", "three"]);
        assert_eq!(wrap("  one\n\ttwo ", 9, 9), ["one two"]);
        assert_eq!(wrap("abcdefghij kl", 4, 9), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("one two three four", 8, 2), ["one two", "three..."]);
        assert_eq!(wrap("", 8, 2), [""]);
        assert_eq!(clip("one two three", 10), "one two...");
        assert_eq!(wrap("\u{201c}it\u{2019}s\u{201d} \u{2013} \u{2026}", 20, 1), ["\"it's\" - ..."]);
    }

    #[test]
    fn text_is_drawn_where_it_should_be() {
        let mut canvas = RgbImage::from_pixel(60, 30, Rgb([255; 3]));
        draw(&mut canvas, (10, 5), "ok", Font::SMALL, INK);
        let inked: Vec<(u32, u32)> =
            canvas.enumerate_pixels().filter(|(.., pixel)| pixel.0[0] < 128).map(|(x, y, _)| (x, y)).collect();
        assert!(inked.len() > 20, "{}", inked.len());
        let right = 10 + Font::SMALL.width("ok");
        assert!(inked.iter().all(|&(x, y)| (10..right).contains(&x) && (5..21).contains(&y)));
    }

    #[test]
    fn other_scripts_are_replaced_and_not_left_out() {
        let drawn = |text: &str| {
            let mut canvas = RgbImage::from_pixel(40, 20, Rgb([255; 3]));
            draw(&mut canvas, (0, 0), text, Font::LARGE, INK);
            canvas
        };
        assert_eq!(drawn("\u{4e2d}"), drawn("\u{fffd}"));
        assert_ne!(drawn("\u{4e2d}"), drawn(" "));
        assert_ne!(drawn("\u{e9}"), drawn("\u{fffd}"));
    }

    proptest! {
        #[test]
        fn wrapped_lines_fit(text in ".{0,80}", columns in 0usize..30, max_lines in 0usize..5) {
            let lines = wrap(&text, columns, max_lines);
            prop_assert!((1..=max_lines.max(1)).contains(&lines.len()));
            prop_assert!(lines.iter().all(|line| line.chars().count() <= columns.max(4)), "{:?}", lines);
        }

        #[test]
        fn any_text_can_be_drawn_anywhere(text in ".{0,20}", x in 0u32..60, y in 0u32..40) {
            draw(&mut RgbImage::new(50, 30), (x, y), &text, Font::LARGE.bold(), INK);
        }
    }
}
