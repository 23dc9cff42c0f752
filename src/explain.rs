//! The heat map: what the guide looked at, and which visual tokens the target reads.

mod colour;
#[cfg(test)]
mod tests;

use std::io::Cursor;
use std::ops::Range;

use image::{ImageBuffer, ImageFormat, Rgb, RgbImage, imageops};

use self::colour::{dimmed, heated};
use crate::geometry::Rect;

/// What keeps a heat map from being drawn.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The pixel buffer is not that of a picture of this size.
    #[error("{found} bytes are no RGB picture of {width}x{height} pixels; it has width * height * 3, and at least one")]
    Pixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Length of the buffer in bytes.
        found: usize,
    },
    /// Not one score per visual token.
    #[error("{n_scores} scores do not belong to {n_tokens} visual tokens; pass one per token")]
    ScoreCount {
        /// Rectangles, one per visual token.
        n_tokens: usize,
        /// Scores.
        n_scores: usize,
    },
    /// A score that has no place on a colour scale.
    #[error("the score of visual token {token} is {value}, which has no place on a colour scale")]
    Score {
        /// Visual token of this picture.
        token: usize,
        /// Its score.
        value: f64,
    },
    /// A rectangle that covers nothing.
    #[error("visual token {token} covers no part of the picture, {rect:?}; edges are fractions in 0..=1")]
    Rect {
        /// Visual token of this picture.
        token: usize,
        /// Its rectangle.
        rect: Rect,
    },
    /// A kept index beyond the last visual token.
    #[error("kept visual token {index} is not among the {n_tokens} of this picture; count from its first one")]
    Kept {
        /// The index.
        index: usize,
        /// Visual tokens of this picture.
        n_tokens: usize,
    },
    /// The PNG encoder failed.
    #[error("the heat map could not be written as PNG: {0}")]
    Encode(#[from] image::ImageError),
}

/// Short side below which a picture is enlarged, in pixels.
const SHORT_SIDE: u32 = 448;
/// Longest side of a panel, in pixels.
const LONG_SIDE: u32 = 1024;
/// Pixels between the panels.
const GAP: u32 = 12;
const GAP_COLOUR: Rgb<u8> = Rgb([255, 255, 255]);
/// Pixels around kept tokens.
const OUTLINE: usize = 2;
const OUTLINE_COLOUR: Rgb<u8> = Rgb([255, 186, 32]);
/// Quantile of the scores from which on the colour is the hottest.
const HOTTEST: f64 = 0.98;

/// The rectangles of `nx` by `ny` equal tokens, row by row.
pub fn grid(nx: usize, ny: usize) -> Vec<Rect> {
    let edge = |i: usize, n: usize| i as f64 / n as f64;
    (0..ny)
        .flat_map(|y| (0..nx).map(move |x| (x, y)))
        .map(|(x, y)| Rect { x0: edge(x, nx), y0: edge(y, ny), x1: edge(x + 1, nx), y1: edge(y + 1, ny) })
        .collect()
}

/// Two panels side by side: the picture under the colours of the scores, and the picture with all but the kept tokens
/// dimmed.
///
/// `rgb` is `[height, width, 3]`; `rects` and `scores` are `[n_tokens]`, `kept` holds indices into them. Rectangles may
/// overlap (tiles and their thumbnail): the higher score shows, and a pixel is kept if any kept token covers it. Small
/// pictures are enlarged by a whole factor, large ones reduced, so that a panel is readable on a page.
///
/// Colours run from the least score to the 98th percentile (interpolated): among fifty tokens or more, a single
/// attention sink saturates instead of leaving all others black.
///
/// # Errors
/// An empty picture or a buffer of another length, scores that are not finite or not one per rectangle, an empty
/// rectangle, a kept index out of range.
pub fn overlay(
    width: u32,
    height: u32,
    rgb: &[u8],
    rects: &[Rect],
    scores: &[f64],
    kept: &[usize],
) -> Result<RgbImage, ExplainError> {
    check(rects, scores, kept)?;
    let picture = panel(width, height, rgb)?;
    let (width, height) = picture.dimensions();

    let mut heat = Field::new(width, height);
    for (rect, value) in rects.iter().zip(normalise(scores)) {
        heat.raise(rect, 0, value);
    }
    let mut marks = Field::new(width, height);
    for rect in kept.iter().filter_map(|&index| rects.get(index)) {
        marks.raise(rect, OUTLINE, Mark::Outline);
        marks.raise(rect, 0, Mark::Kept);
    }

    let mut panels = RgbImage::from_pixel(2 * width + GAP, height, GAP_COLOUR);
    let values = heat.values.iter().zip(&marks.values);
    for ((x, y, &pixel), (heat, mark)) in picture.enumerate_pixels().zip(values) {
        panels.put_pixel(x, y, heat.map_or(pixel, |heat| heated(pixel, heat)));
        let shown = match mark {
            Some(Mark::Kept) => pixel,
            Some(Mark::Outline) => OUTLINE_COLOUR,
            None => dimmed(pixel),
        };
        panels.put_pixel(width + GAP + x, y, shown);
    }
    Ok(panels)
}

/// The picture as a PNG file.
///
/// # Errors
/// The encoder's own, such as an empty picture.
pub fn encode_png(picture: &RgbImage) -> Result<Vec<u8>, ExplainError> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}

fn check(rects: &[Rect], scores: &[f64], kept: &[usize]) -> Result<(), ExplainError> {
    let n_tokens = rects.len();
    if scores.len() != n_tokens {
        return Err(ExplainError::ScoreCount { n_tokens, n_scores: scores.len() });
    }
    if let Some((token, &value)) = scores.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(ExplainError::Score { token, value });
    }
    let covers = |rect: &Rect| {
        rect.x0 < rect.x1 && rect.y0 < rect.y1 && rect.x0 < 1.0 && rect.y0 < 1.0 && rect.x1 > 0.0 && rect.y1 > 0.0
    };
    if let Some((token, &rect)) = rects.iter().enumerate().find(|(_, rect)| !covers(rect)) {
        return Err(ExplainError::Rect { token, rect });
    }
    match kept.iter().find(|&&index| index >= n_tokens) {
        Some(&index) => Err(ExplainError::Kept { index, n_tokens }),
        None => Ok(()),
    }
}

/// The picture at the size of a panel.
fn panel(width: u32, height: u32, rgb: &[u8]) -> Result<RgbImage, ExplainError> {
    let bytes = u64::from(width).saturating_mul(u64::from(height)).saturating_mul(3);
    let picture = ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(width, height, rgb)
        .filter(|_| bytes > 0 && bytes == rgb.len() as u64)
        .ok_or(ExplainError::Pixels { width, height, found: rgb.len() })?;
    let (short, long) = (width.min(height), width.max(height));
    if long > LONG_SIDE {
        let reduced = |side: u32| (u64::from(side) * u64::from(LONG_SIDE) / u64::from(long)).max(1) as u32;
        return Ok(imageops::thumbnail(&picture, reduced(width), reduced(height)));
    }
    let factor = SHORT_SIDE.div_ceil(short).min(LONG_SIDE / long);
    Ok(RgbImage::from_fn(width * factor, height * factor, |x, y| *picture.get_pixel(x / factor, y / factor)))
}

/// Scores as `0..=1` of the colour scale, `[n_tokens]`; equal scores are all cold.
fn normalise(scores: &[f64]) -> impl Iterator<Item = f32> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    let low = quantile(&sorted, 0.0);
    let high = Some(quantile(&sorted, HOTTEST)).filter(|&high| high > low).unwrap_or(quantile(&sorted, 1.0));
    let range = if high > low { high - low } else { 1.0 };
    scores.iter().map(move |score| ((score - low) / range).min(1.0) as f32)
}

/// Linear interpolation between neighbours; 0 for no scores.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * sorted.len().saturating_sub(1) as f64;
    let at = |index: f64| sorted.get(index as usize).copied().unwrap_or_default();
    let (below, above) = (at(position.floor()), at(position.ceil()));
    below + (above - below) * position.fract()
}

/// What a pixel of the right panel is, if not dropped.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Mark {
    Outline,
    Kept,
}

/// The highest value that any token gives to a pixel, none where no token is.
struct Field<T> {
    width: u32,
    height: u32,
    values: Vec<Option<T>>, // [height, width]
}

impl<T: Copy + PartialOrd> Field<T> {
    fn new(width: u32, height: u32) -> Self {
        Self { width, height, values: vec![None; width as usize * height as usize] }
    }

    /// Lifts the pixels of `rect`, at least one, and of a margin around it to `value`.
    fn raise(&mut self, rect: &Rect, margin: usize, value: T) {
        let columns = pixels(rect.x0, rect.x1, self.width, margin);
        let rows = pixels(rect.y0, rect.y1, self.height, margin);
        for row in self.values.chunks_exact_mut(self.width as usize).take(rows.end).skip(rows.start) {
            for pixel in row.get_mut(columns.clone()).into_iter().flatten() {
                if *pixel < Some(value) {
                    *pixel = Some(value);
                }
            }
        }
    }
}

fn pixels(from: f64, to: f64, side: u32, margin: usize) -> Range<usize> {
    let edge = |fraction: f64| (fraction * f64::from(side)).round() as usize;
    let side = side as usize;
    let start = edge(from).min(side.saturating_sub(1));
    let end = edge(to).max(start + 1).min(side);
    start.saturating_sub(margin)..(end + margin).min(side)
}
