//! The attention of every layer on one page.

use super::figure::{GAP, font};
use super::legend::{self, Key};
use super::panel::{self, MARGIN, PAGE, Scale};
use super::text::{self, INK, MUTED};
use super::{ExplainError, check_scores};
use crate::geometry::{Level, Place};
use crate::guidance::Importance;
use crate::media::Picture;
use image::{RgbImage, imageops};

/// Longest side of a small map, in pixels; small pictures are enlarged by a whole factor below it.
const SIDE: u32 = 224;
/// Width that a page of several columns does not exceed.
const PAGE_WIDTH: u32 = 1600;
/// Least width of a page, so that the legend has room.
const LEAST_WIDTH: u32 = 688;

/// Small heat maps of one picture, one for each attention layer, and first of all their sum.
///
/// Where a model has overview and detail tokens, the map of the details stands to the left of that of the overview. Each
/// layer has a scale of its own, which both share; its label tells its part of the attention on all pictures.
#[derive(Debug, Clone, Copy)]
pub struct Sheet<'a> {
    /// The picture.
    pub picture: &'a Picture,
    /// Its number in the prompt: the places of others are passed over.
    pub number: usize,
    /// Where the tokens lie.
    pub places: &'a [Place],
    /// The attention on each of them, per layer.
    pub importance: &'a Importance,
    /// Lines under the maps: what they are about, and the text.
    pub notes: &'a [(&'a str, String)],
}

impl Sheet<'_> {
    /// Maps and legend on a white page.
    ///
    /// # Errors
    /// Importance on another number of tokens than there are places.
    pub fn draw(&self) -> Result<RgbImage, ExplainError> {
        let sum = self.importance.global();
        check_scores(self.places.len(), &sum)?;
        let all: f64 = sum.iter().sum();
        let layers = self.importance.layers().map(|(layer, scores)| {
            let share = if all > 0.0 { scores.iter().sum::<f64>() / all } else { 0.0 };
            (format!("layer {layer}"), format!("{:.0}%", 100.0 * share), scores)
        });
        let maps: Vec<(String, String, &[f64])> =
            std::iter::once(("all layers".to_owned(), String::new(), sum.as_slice())).chain(layers).collect();

        let picture = panel::fit(self.picture, (SIDE, SIDE));
        let levels = self.levels();
        let (panel_width, panel_height) = (picture.width() + 2 * MARGIN, picture.height() + 2 * MARGIN);
        let map_width = panel_width * levels.len().max(1) as u32;
        let font = font(0);
        let cell = (map_width.max(font.width("all layers  100%")) + GAP, panel_height + font.line() + GAP / 2);
        let columns = columns(maps.len() as u32, cell);
        let n_rows = (maps.len() as u32).div_ceil(columns);
        let width = (columns * cell.0 + GAP).max(LEAST_WIDTH);
        let top = GAP + n_rows * cell.1 + GAP / 2;
        let height = top + legend::height(width, font, self.notes) + GAP;

        let mut page = RgbImage::from_pixel(width, height, PAGE);
        for ((label, share, scores), index) in maps.iter().zip(0..) {
            let (x, y) = (GAP + index % columns * cell.0, GAP + index / columns * cell.1);
            text::draw(&mut page, (x, y), label, font.bold(), INK);
            text::draw(&mut page, (x + font.width(label) + GAP / 2, y), share, font, MUTED);
            let scale = Scale::of(self.own().filter_map(|(token, _)| scores.get(token).copied()));
            for (&level, left) in levels.iter().zip((x - MARGIN..).step_by(panel_width as usize)) {
                let here = self.own().filter(|(_, place)| place.level == level);
                let tokens = here.filter_map(|(token, place)| Some((&place.rect, scale.heat(*scores.get(token)?))));
                let map = panel::heat(&picture, tokens);
                imageops::replace(&mut page, &map, i64::from(left), i64::from(y + font.line() - MARGIN));
            }
        }
        let key = Key { tokens: false, tiles: false, scale: "(square-root scale, of each map its own)" };
        legend::draw(&mut page, top, font, key, self.notes);
        Ok(page)
    }

    fn levels(&self) -> Vec<Level> {
        let has = |level: &Level| self.own().any(|(_, place)| place.level == *level);
        [Level::Detail, Level::Overview].into_iter().filter(has).collect()
    }

    /// Places of this picture, with their indices.
    fn own(&self) -> impl Iterator<Item = (usize, &Place)> {
        self.places.iter().enumerate().filter(|(_, place)| place.picture == self.number)
    }
}

/// As many columns as make a page of `n` cells about half as wide again as high.
fn columns(n: u32, (width, height): (u32, u32)) -> u32 {
    let wanted = (f64::from(n) * 1.5 * f64::from(height) / f64::from(width)).sqrt().round() as u32;
    wanted.clamp(1, (PAGE_WIDTH / width).max(1)).min(n)
}
