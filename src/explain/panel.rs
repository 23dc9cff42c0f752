//! One panel: a picture under the heat of its visual tokens, or with all but the kept ones dimmed.

use super::colour::{dimmed, heated};
use crate::geometry::Rect;
use crate::media::Picture;
use image::{ImageBuffer, Rgb, RgbImage, imageops};
use std::ops::Range;

/// White pixels around the picture, into which outlines may reach.
pub(super) const MARGIN: u32 = 3;
pub(super) const PAGE: Rgb<u8> = Rgb([255, 255, 255]);
/// The outline is a light line inside a dark one, so that it shows on any picture.
pub(super) const OUTLINE: Rgb<u8> = Rgb([255, 196, 0]);
pub(super) const OUTLINE_EDGE: Rgb<u8> = Rgb([28, 24, 0]);
/// Short side below which a picture is enlarged, in pixels.
const SHORT_SIDE: u32 = 448;
/// Quantile of the scores from which on the colour is the hottest.
const HOTTEST: f64 = 0.98;

/// The picture at the size of a panel: a small one enlarged by a whole factor until its short side has `SHORT_SIDE`
/// pixels, a large one reduced until it fits `limit` (width, height).
pub(super) fn fit(picture: &Picture, limit: (u32, u32)) -> RgbImage {
    let (width, height) = (picture.width(), picture.height());
    let limit = (limit.0.max(1), limit.1.max(1));
    let pixels =
        ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(width, height, picture.rgb()).expect("a picture is its pixels");
    if width > limit.0 || height > limit.1 {
        let scale = (f64::from(limit.0) / f64::from(width)).min(f64::from(limit.1) / f64::from(height));
        let reduced = |side: u32, limit: u32| ((f64::from(side) * scale).round() as u32).clamp(1, limit);
        return imageops::thumbnail(&pixels, reduced(width, limit.0), reduced(height, limit.1));
    }
    let factor = SHORT_SIDE.div_ceil(width.min(height)).min(limit.0 / width).min(limit.1 / height);
    RgbImage::from_fn(width * factor, height * factor, |x, y| *pixels.get_pixel(x / factor, y / factor))
}

/// The picture under the colours of its tokens; `heat` is 0 to 1. Where tokens overlap, the hotter one shows.
pub(super) fn heat<'a>(picture: &RgbImage, tokens: impl Iterator<Item = (&'a Rect, f32)>) -> RgbImage {
    let mut field = Field::new(picture);
    for (rect, heat) in tokens {
        field.raise(rect, 0, heat.clamp(0.0, 1.0));
    }
    field.paint(picture, |pixel, heat| match (pixel, heat) {
        (Some(pixel), Some(heat)) => heated(pixel, heat),
        (pixel, _) => pixel.unwrap_or(PAGE),
    })
}

/// The picture with all but the kept tokens dimmed, and an outline around what is kept.
pub(super) fn kept<'a>(picture: &RgbImage, tokens: impl Iterator<Item = &'a Rect> + Clone) -> RgbImage {
    let mut field = Field::new(picture);
    let (line, edge) = outline(picture, tokens.clone());
    for rect in tokens {
        field.raise(rect, line + edge, Mark::Edge);
        field.raise(rect, line, Mark::Line);
        field.raise(rect, 0, Mark::Kept);
    }
    field.paint(picture, |pixel, mark| match (mark, pixel) {
        (Some(Mark::Edge), _) => OUTLINE_EDGE,
        (Some(Mark::Line), _) => OUTLINE,
        (Some(Mark::Kept), Some(pixel)) => pixel,
        (_, pixel) => pixel.map_or(PAGE, dimmed),
    })
}

/// Thin dashes where tiles meet.
pub(super) fn tile_borders<'a>(panel: &mut RgbImage, tiles: impl Iterator<Item = &'a Rect>) {
    let (width, height) = (panel.width() - 2 * MARGIN, panel.height() - 2 * MARGIN);
    for tile in tiles {
        let (columns, rows) = (shares(tile.x0, tile.x1, width), shares(tile.y0, tile.y1, height));
        for x in [columns.start, columns.end].into_iter().filter(|&x| x > 0 && x < width) {
            rows.clone().for_each(|y| panel.put_pixel(MARGIN + x, MARGIN + y, tile_dash(y)));
        }
        for y in [rows.start, rows.end].into_iter().filter(|&y| y > 0 && y < height) {
            columns.clone().for_each(|x| panel.put_pixel(MARGIN + x, MARGIN + y, tile_dash(x)));
        }
    }
}

/// Colour of a border between tiles at `i` pixels from its start: visible on light and on dark.
pub(super) fn tile_dash(i: u32) -> Rgb<u8> {
    if i % 8 < 4 { Rgb([255; 3]) } else { Rgb([0; 3]) }
}

/// The lowest score and the range above it that colours run over: up to the 98th percentile, interpolated, so that a
/// single attention sink among fifty tokens or more saturates instead of leaving all others black.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    range: f64,
}

impl Scale {
    pub(super) fn of(scores: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = scores.collect();
        sorted.sort_by(f64::total_cmp);
        let low = quantile(&sorted, 0.0);
        let high = Some(quantile(&sorted, HOTTEST)).filter(|&high| high > low).unwrap_or(quantile(&sorted, 1.0));
        Self { low, range: if high > low { high - low } else { 1.0 } }
    }

    /// 0 to 1, growing with the square root: attention is so uneven that all but a few tokens would be equally cold.
    /// Equal scores are all cold.
    pub(super) fn heat(self, score: f64) -> f32 {
        ((score - self.low) / self.range).clamp(0.0, 1.0).sqrt() as f32
    }
}

/// Linear interpolation between neighbours; 0 for no scores.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * sorted.len().saturating_sub(1) as f64;
    let at = |index: f64| sorted.get(index as usize).copied().unwrap_or_default();
    let (below, above) = (at(position.floor()), at(position.ceil()));
    below + (above - below) * position.fract()
}

/// Widths of the line and of the edge around it: thinner where tokens are only a few pixels large, so that dropped tokens
/// between kept ones stay visible.
fn outline<'a>(picture: &RgbImage, tokens: impl Iterator<Item = &'a Rect>) -> (u32, u32) {
    let side = |rect: &Rect| {
        let (width, height) = (rect.x1 - rect.x0, rect.y1 - rect.y0);
        (width * f64::from(picture.width())).min(height * f64::from(picture.height()))
    };
    match tokens.map(side).fold(f64::INFINITY, f64::min) {
        ..8.0 => (1, 0),
        ..16.0 => (1, 1),
        _ => (2, 1),
    }
}

/// What a pixel is, if not dropped.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Mark {
    Edge,
    Line,
    Kept,
}

/// The highest value that any token gives to a pixel of a picture or of the margin around it.
struct Field<T> {
    width: u32,
    height: u32,
    values: Vec<Option<T>>, // [height + 2 * MARGIN, width + 2 * MARGIN]
}

impl<T: Copy + PartialOrd> Field<T> {
    fn new(picture: &RgbImage) -> Self {
        let (width, height) = picture.dimensions();
        let n = (width + 2 * MARGIN) as usize * (height + 2 * MARGIN) as usize;
        Self { width, height, values: vec![None; n] }
    }

    /// Lifts the pixels of `rect` and of `around` pixels about it to `value`.
    fn raise(&mut self, rect: &Rect, around: u32, value: T) {
        let (columns, rows) = (span(rect.x0, rect.x1, self.width, around), span(rect.y0, rect.y1, self.height, around));
        let stride = (self.width + 2 * MARGIN) as usize;
        for row in self.values.chunks_exact_mut(stride).take(rows.end).skip(rows.start) {
            for pixel in row.get_mut(columns.clone()).into_iter().flatten() {
                if *pixel < Some(value) {
                    *pixel = Some(value);
                }
            }
        }
    }

    /// The picture with its margin; pixels of the margin are `None`.
    fn paint(self, picture: &RgbImage, colour: impl Fn(Option<Rgb<u8>>, Option<T>) -> Rgb<u8>) -> RgbImage {
        let stride = self.width + 2 * MARGIN;
        RgbImage::from_fn(stride, self.height + 2 * MARGIN, |x, y| {
            let pixel =
                x.checked_sub(MARGIN).zip(y.checked_sub(MARGIN)).and_then(|(x, y)| picture.get_pixel_checked(x, y));
            let value = self.values.get(y as usize * stride as usize + x as usize).copied().flatten();
            colour(pixel.copied(), value)
        })
    }
}

/// Pixels of one token and of `around` it, with the margin counted; none of a part that is empty or outside the picture.
fn span(from: f64, to: f64, side: u32, around: u32) -> Range<usize> {
    let is_visible = from < to && from < 1.0 && to > 0.0;
    if !is_visible {
        return 0..0;
    }
    let pixels = shares(from, to, side);
    let start = pixels.start.min(side.saturating_sub(1));
    let end = pixels.end.max(start + 1);
    let around = around.min(MARGIN);
    (start + MARGIN - around) as usize..(end + MARGIN + around) as usize
}

/// From one edge to the other, in pixels.
fn shares(from: f64, to: f64, side: u32) -> Range<u32> {
    let pixel = |share: f64| ((share * f64::from(side)).round() as u32).min(side);
    pixel(from)..pixel(to)
}
