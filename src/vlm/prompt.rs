//! A tokenized prompt: text tokens, visual tokens and where each of them stands.

use crate::llama::{Chunk, Position, Token};
use serde::Serialize;
use std::ops::Range;

/// A prompt before pruning.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    pub(super) pieces: Vec<Piece>,
    /// Position of every visual token, in prompt order.
    pub(super) visual: Vec<Position>,
    /// Position of the first token after the prompt.
    pub(super) end: i32,
    grids: Vec<Option<PictureGrid>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text { tokens: Vec<Token>, start: i32 },
    Image { visual: Range<usize>, non_causal: bool },
}

/// How the visual tokens of one picture chunk lie: row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PictureGrid {
    /// Columns.
    pub nx: usize,
    /// Rows.
    pub ny: usize,
}

impl Prompt {
    pub(super) fn new(chunks: &[Chunk<'_>]) -> Self {
        let mut prompt = Self::default();
        for chunk in chunks {
            match chunk {
                Chunk::Text(tokens) => {
                    prompt.pieces.push(Piece::Text { tokens: tokens.to_vec(), start: prompt.end });
                    prompt.end += tokens.len() as i32;
                }
                Chunk::Image(image) => {
                    let positions = image.positions(prompt.end);
                    let first = prompt.visual.len();
                    let visual = first..first + positions.len();
                    prompt.pieces.push(Piece::Image { visual, non_causal: image.is_non_causal() });
                    prompt.grids.push(PictureGrid::of(&positions));
                    prompt.visual.extend(positions);
                    prompt.end += image.n_positions();
                }
            }
        }
        prompt
    }

    /// Number of visual tokens, V.
    pub fn n_visual(&self) -> usize {
        self.visual.len()
    }

    /// Number of tokens of both kinds.
    pub fn n_tokens(&self) -> usize {
        let text = |piece: &Piece| if let Piece::Text { tokens, .. } = piece { tokens.len() } else { 0 };
        self.n_visual() + self.pieces.iter().map(text).sum::<usize>()
    }

    /// Index of the first piece after the last visual token: the question.
    pub(super) fn question_start(&self) -> usize {
        let last = self.pieces.iter().rposition(|piece| matches!(piece, Piece::Image { .. }));
        last.map_or(self.pieces.len(), |last| last + 1)
    }

    /// Grid and visual tokens of each picture, if every picture is one chunk whose grid is known: not for tiled ones.
    pub fn picture_grids(&self, n_pictures: usize) -> Option<Vec<(PictureGrid, Range<usize>)>> {
        let ranges = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Image { visual, .. } => Some(visual.clone()),
            Piece::Text { .. } => None,
        });
        let grids: Option<Vec<_>> =
            self.grids.iter().zip(ranges).map(|(grid, range)| Some(((*grid)?, range))).collect();
        grids.filter(|grids| grids.len() == n_pictures)
    }
}

impl PictureGrid {
    /// From the M-RoPE rows and columns, or a square where the model has one position per token.
    fn of(positions: &[Position]) -> Option<Self> {
        let (first, last) = (positions.first()?, positions.last()?);
        let grid = if first.t == last.t {
            let side = |from: i32, to: i32| usize::try_from(to - from + 1).unwrap_or(0);
            Self { nx: side(first.x, last.x), ny: side(first.y, last.y) }
        } else {
            let side = positions.len().isqrt();
            Self { nx: side, ny: side }
        };
        (grid.nx * grid.ny == positions.len()).then_some(grid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_come_from_mrope_places_or_are_square() {
        let sequential: Vec<Position> = (5..21).map(Position::sequential).collect();
        assert_eq!(PictureGrid::of(&sequential), Some(PictureGrid { nx: 4, ny: 4 }));
        assert_eq!(PictureGrid::of(&sequential[..15]), None);
        let mrope: Vec<Position> = (0..6).map(|i| Position { t: 7, y: 7 + i / 3, x: 7 + i % 3 }).collect();
        assert_eq!(PictureGrid::of(&mrope), Some(PictureGrid { nx: 3, ny: 2 }));
        assert_eq!(PictureGrid::of(&[]), None);
    }
}
