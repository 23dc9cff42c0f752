//! A picture of the prompt with what models looked at in it, tokens that were kept, and a legend.

use super::legend::{self, Key};
use super::panel::{self, MARGIN, PAGE, Scale};
use super::text::{self, Font, INK};
use super::{ExplainError, check_scores};
use crate::geometry::{Level, Place};
use crate::guidance::Kept;
use crate::media::Picture;
use image::{RgbImage, imageops};

/// Longest side of a panel, in pixels.
const LONG_SIDE: u32 = 1024;
/// Height of all panels of a column together, in pixels.
const COLUMN_HEIGHT: u32 = 2048;
/// Least width of a column, so that its caption has room.
const COLUMN_WIDTH: u32 = 352;
/// Pixels between and around the parts of a figure.
pub(super) const GAP: u32 = 16;
/// Width from which text is large.
const WIDE: u32 = 1200;

/// One model's attention, and the tokens kept by it. Slices are those of the whole prompt, of all its pictures.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Caption of the attention: `guide's attention`.
    pub attention: &'a str,
    /// Caption of what is kept: `kept by the guide`.
    pub choice: &'a str,
    /// Where the tokens lie that the attention is on.
    pub seen: &'a [Place],
    /// The attention on each of them, `[seen]`.
    pub scores: &'a [f64],
    /// Where the tokens lie that were selected among.
    pub candidates: &'a [Place],
    /// Which of these were kept.
    pub kept: &'a Kept,
    /// Tiles of the model that looked, and of the one whose tokens were selected among.
    pub tiles: [&'a [Place]; 2],
}

/// What is drawn of one picture.
#[derive(Debug, Clone, Copy)]
pub struct Figure<'a> {
    /// The picture.
    pub picture: &'a Picture,
    /// Its number in the prompt: the places of others are passed over.
    pub number: usize,
    /// From top to bottom.
    pub views: &'a [View<'a>],
    /// Lines under the panels: what they are about, and the text.
    pub notes: &'a [(&'a str, String)],
}

/// The two panels of a view's level.
struct Row {
    captions: [String; 2],
    panels: [RgbImage; 2],
}

impl Figure<'_> {
    /// Panels and legend on a white page. Small pictures are enlarged by a whole factor, large ones reduced.
    ///
    /// # Errors
    /// Scores that are not finite or not one per token, kept tokens of another prompt.
    pub fn draw(&self) -> Result<RgbImage, ExplainError> {
        let rows = self.rows()?;
        let (panel_width, panel_height) = size(&rows);
        let column = (panel_width - 2 * MARGIN).max(COLUMN_WIDTH);
        let width = 2 * column + 3 * GAP;
        let font = font(width);
        let row_height = font.line() + panel_height - 2 * MARGIN + GAP;
        let key = Key { tokens: true, tiles: self.has_tiles(), scale: "(square-root scale)" };
        let top = GAP + rows.len() as u32 * row_height;
        let height = top + legend::height(width, font, self.notes) + GAP;

        let mut page = RgbImage::from_pixel(width, height, PAGE);
        let mut y = GAP;
        for row in &rows {
            for ((caption, panel), x) in row.captions.iter().zip(&row.panels).zip([GAP, 2 * GAP + column]) {
                let caption = text::clip(caption, font.fitting(column));
                text::draw(&mut page, (x, y), &caption, font.bold(), INK);
                // The margin of a panel hangs over, so that the picture lines up with its caption.
                imageops::replace(&mut page, panel, i64::from(x - MARGIN), i64::from(y + font.line() - MARGIN));
            }
            y += row_height;
        }
        legend::draw(&mut page, top, font, key, self.notes);
        Ok(page)
    }

    /// The panels alone, without any text, for small displays.
    ///
    /// # Errors
    /// As [`Figure::draw`].
    pub fn panels(&self) -> Result<RgbImage, ExplainError> {
        let rows = self.rows()?;
        let (width, height) = size(&rows);
        let mut page = RgbImage::from_pixel(2 * width, height * rows.len().max(1) as u32, PAGE);
        for (row, y) in rows.iter().zip((0..).step_by(height as usize)) {
            for (panel, x) in row.panels.iter().zip([0, i64::from(width)]) {
                imageops::replace(&mut page, panel, x, y);
            }
        }
        Ok(page)
    }

    fn rows(&self) -> Result<Vec<Row>, ExplainError> {
        for view in self.views {
            check_scores(view.seen.len(), view.scores)?;
            let (n_kept_of, n_tokens) = (view.kept.n_visual(), view.candidates.len());
            if n_kept_of != n_tokens {
                return Err(ExplainError::KeptOf { n_kept_of, n_tokens });
            }
        }
        let levels: Vec<Vec<Level>> = self.views.iter().map(|view| self.levels(view)).collect();
        let n_rows = levels.iter().map(Vec::len).sum::<usize>().max(1) as u32;
        let picture = panel::fit(self.picture, (LONG_SIDE, LONG_SIDE.min(COLUMN_HEIGHT / n_rows)));
        let rows = self.views.iter().zip(&levels).flat_map(|(view, levels)| {
            let picture = &picture;
            levels.iter().map(move |&level| self.row(view, Some(level).filter(|_| levels.len() > 1), picture))
        });
        Ok(rows.collect())
    }

    /// Levels that a view has tokens on, detail first.
    fn levels(&self, view: &View<'_>) -> Vec<Level> {
        let has = |level: &Level| {
            self.own(view.seen).chain(self.own(view.candidates)).any(|(_, place)| place.level == *level)
        };
        [Level::Detail, Level::Overview].into_iter().filter(has).collect()
    }

    /// `level` is `None` where there is one only.
    fn row(&self, view: &View<'_>, level: Option<Level>, picture: &RgbImage) -> Row {
        let scale = Scale::of(self.own(view.seen).filter_map(|(token, _)| view.scores.get(token).copied()));
        let seen = self.on(level, view.seen);
        let heat = seen.filter_map(|(token, place)| Some((&place.rect, scale.heat(*view.scores.get(token)?))));
        let candidates = self.on(level, view.candidates);
        let is_kept = |token: &usize| view.kept.indices().binary_search(token).is_ok();
        let kept = candidates.clone().filter(|(token, _)| is_kept(token)).map(|(_, place)| &place.rect);

        let choice = format!("{}: {} of {} visual tokens", view.choice, kept.clone().count(), candidates.count());
        let mut panels = [panel::heat(picture, heat), panel::kept(picture, kept)];
        let mut captions = [view.attention.to_owned(), choice];
        for ((panel, caption), all_tiles) in panels.iter_mut().zip(&mut captions).zip(view.tiles) {
            let tiles = self.on(level, all_tiles);
            panel::tile_borders(panel, tiles.clone().map(|(_, tile)| &tile.rect));
            // A model of one level shows the same in each row.
            let is_one = |a: &Level| self.own(all_tiles).all(|(_, tile)| tile.level == *a);
            let level = level.filter(|_| ![Level::Detail, Level::Overview].iter().any(is_one));
            *caption += &match (level, tiles.clone().count()) {
                (Some(Level::Detail), 0 | 1) => ", detail".to_owned(),
                (Some(Level::Detail), n) => format!(", {n} tiles"),
                (Some(Level::Overview), _) => ", overview".to_owned(),
                (None, _) => String::new(),
            };
        }
        Row { captions, panels }
    }

    /// Places of this picture on a level, or all of them for a model that has not this level: it has read the picture all
    /// the same.
    fn on<'p>(
        &self,
        level: Option<Level>,
        places: &'p [Place],
    ) -> impl Iterator<Item = (usize, &'p Place)> + Clone + use<'p> {
        let level = level.filter(|level| self.own(places).any(|(_, place)| place.level == *level));
        self.own(places).filter(move |(_, place)| level.is_none_or(|level| place.level == level))
    }

    /// Places of this picture, with their indices.
    fn own<'p>(&self, places: &'p [Place]) -> impl Iterator<Item = (usize, &'p Place)> + Clone + use<'p> {
        let number = self.number;
        places.iter().enumerate().filter(move |(_, place)| place.picture == number)
    }

    fn has_tiles(&self) -> bool {
        let n_details = |tiles: &[Place]| self.own(tiles).filter(|(_, tile)| tile.level == Level::Detail).count();
        self.views.iter().flat_map(|view| view.tiles).any(|tiles| n_details(tiles) > 1)
    }
}

/// Of every panel, as they show one picture at one size.
fn size(rows: &[Row]) -> (u32, u32) {
    rows.first().map_or((2 * MARGIN, 2 * MARGIN), |row| row.panels[0].dimensions())
}

/// Text grows with the page.
pub(super) fn font(width: u32) -> Font {
    if width < WIDE { Font::SMALL } else { Font::LARGE }
}
