//! A tokenized prompt: text tokens, visual tokens and where each of them stands.

use crate::geometry::{Level, Place, Rect};
use crate::guidance::{Gathered, Kept, Layout, Tiles, gather};
use crate::llama::{Chunk, Position, Token};
use crate::media::Picture;
use std::ops::Range;

/// A prompt before pruning.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    pub(super) pieces: Vec<Piece>,
    /// Every embedding row, in prompt order.
    pub(super) rows: Vec<Row>,
    /// Where each visual token lies.
    places: Vec<Place>,
    /// The first token that asks.
    pub(super) question: Question,
    /// Position of the first token after the prompt.
    pub(super) end: i32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text { tokens: Vec<Token>, start: i32 },
    Image { rows: Range<usize>, non_causal: bool },
}

/// One row of embeddings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    pub position: Position,
    /// Number of the visual token; `None` for structural rows, which are never dropped.
    pub visual: Option<usize>,
}

/// Index of a piece, and of a token in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub(super) struct Question {
    pub piece: usize,
    pub token: usize,
}

impl Prompt {
    pub(super) fn new(chunks: &[Chunk<'_>], pictures: &[Picture]) -> Self {
        let (mut pieces, mut rows, mut places, mut end) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for chunk in chunks {
            match chunk {
                Chunk::Text(tokens) => {
                    pieces.push(Piece::Text { tokens: tokens.to_vec(), start: end });
                    end += tokens.len() as i32;
                }
                Chunk::Image(image) => {
                    let first = rows.len();
                    let seen = pictures.get(image.picture()).map(|picture| image.places(picture)).unwrap_or_default();
                    for (position, place) in image.positions(end).into_iter().zip(seen) {
                        rows.push(Row { position, visual: place.map(|_| places.len()) });
                        places.extend(place);
                    }
                    pieces.push(Piece::Image { rows: first..rows.len(), non_causal: image.is_non_causal() });
                    end += image.n_positions();
                }
            }
        }
        Self { places, ..Self::of(pieces, rows, end) }
    }

    /// A prompt whose visual tokens lie somewhere.
    pub(super) fn of(pieces: Vec<Piece>, rows: Vec<Row>, end: i32) -> Self {
        let nowhere = Place { picture: 0, level: Level::Detail, rect: Rect::WHOLE };
        let places = rows.iter().filter_map(|row| row.visual).map(|_| nowhere).collect();
        let mut prompt = Self { pieces, rows, places, question: Question::default(), end };
        prompt.question = Question { piece: prompt.after_pictures(), token: 0 };
        prompt
    }

    /// Number of visual tokens, V. Structural rows do not count.
    pub fn n_visual(&self) -> usize {
        self.places.len()
    }

    /// Number of tokens of both kinds, structural rows included.
    pub fn n_tokens(&self) -> usize {
        let text = |piece: &Piece| if let Piece::Text { tokens, .. } = piece { tokens.len() } else { 0 };
        self.rows.len() + self.pieces.iter().map(text).sum::<usize>()
    }

    /// Where each visual token lies, `[n_visual]`.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// What the vision encoder reads at once, in prompt order: whole pictures, and tiles of the detail level. Tokens on
    /// padding widen a tile beyond its picture.
    pub fn tiles(&self) -> Vec<Place> {
        let tile = |piece: &Piece| {
            let Piece::Image { rows, .. } = piece else { return None };
            let tokens = self.rows.get(rows.clone())?.iter().filter_map(|row| self.places.get(row.visual?));
            tokens.copied().reduce(|tile, token| Place { rect: tile.rect.union(&token.rect), ..tile })
        };
        self.pieces.iter().filter_map(tile).collect()
    }

    /// Embedding rows of each image chunk, in prompt order.
    pub(super) fn image_rows(&self) -> impl Iterator<Item = Range<usize>> {
        self.pieces
            .iter()
            .filter_map(|piece| if let Piece::Image { rows, .. } = piece { Some(rows.clone()) } else { None })
    }

    /// The image chunk of each visual token, counted in prompt order, `[n_visual]`.
    pub fn tile_of(&self) -> Vec<usize> {
        let visual = |rows: Range<usize>| self.rows[rows].iter().filter(|row| row.visual.is_some()).count();
        self.image_rows().enumerate().flat_map(|(tile, rows)| std::iter::repeat_n(tile, visual(rows))).collect()
    }

    /// Moves `kept` tokens into fewer image chunks, see [`gather`]; `scores` are `[n_visual]`.
    pub fn gather(&self, kept: Kept, scores: &[f64], tiles: Tiles) -> Gathered {
        let (tile_of, picture_of, fixed) = (self.tile_of(), self.tile_pictures(), self.fixed_tiles());
        gather(kept, scores, Layout { tile_of: &tile_of, picture_of: &picture_of, fixed: &fixed }, tiles)
    }

    /// The picture of each image chunk.
    fn tile_pictures(&self) -> Vec<usize> {
        let picture =
            |rows: Range<usize>| self.rows[rows].iter().find_map(|row| Some(self.places[row.visual?].picture));
        self.image_rows().map(|rows| picture(rows).unwrap_or(0)).collect()
    }

    /// Which image chunks hold structural rows, which are never dropped.
    fn fixed_tiles(&self) -> Vec<bool> {
        self.needed(&Kept::from_indices(self.n_visual(), Vec::new()).unwrap_or_else(|| Kept::all(0)))
    }

    /// Which image chunks a model has to see for the `kept` visual tokens: those that hold one, and those with structural rows,
    /// which are never dropped.
    pub fn needed(&self, kept: &Kept) -> Vec<bool> {
        let mut is_kept = vec![false; self.n_visual()];
        for &index in kept.indices() {
            if let Some(is_kept) = is_kept.get_mut(index) {
                *is_kept = true;
            }
        }
        let needed =
            |rows: Range<usize>| self.rows[rows].iter().any(|row| row.visual.is_none_or(|visual| is_kept[visual]));
        self.image_rows().map(needed).collect()
    }

    /// Position of every visual token, `[n_visual]`.
    pub(super) fn visual_positions(&self) -> Vec<Position> {
        self.rows.iter().filter(|row| row.visual.is_some()).map(|row| row.position).collect()
    }

    /// Lets only the text behind its first `n_earlier` of `n_tail` last tokens ask: the turns before the last one.
    pub(super) fn skip_earlier_turns(&mut self, n_tail: usize, n_earlier: usize) {
        let piece = self.after_pictures();
        if let Some(Piece::Text { tokens, .. }) = self.pieces.get(piece)
            && let Some(start) = tokens.len().checked_sub(n_tail)
        {
            self.question = Question { piece, token: start + n_earlier.min(n_tail.saturating_sub(1)) };
        }
    }

    /// Index of the first piece after the last visual token.
    fn after_pictures(&self) -> usize {
        let last = self.pieces.iter().rposition(|piece| matches!(piece, Piece::Image { .. }));
        last.map_or(self.pieces.len(), |last| last + 1)
    }
}
