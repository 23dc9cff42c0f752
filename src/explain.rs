//! Pictures of what a model looked at, and of which visual tokens the target reads.
//!
//! A [`Figure`] is one picture of the prompt with a legend. Each [`View`] (the guide's, or another model's beside it) has
//! two panels: the picture under the colours of the attention, and the picture with all but the kept tokens dimmed.
//!
//! Models that tile a picture have overview and detail tokens over the same spot. Laid over each other, a large overview
//! token would hide the small ones below it, so each level has a row of panels of its own. All levels of a view share one
//! colour scale, because they were ranked together; each view has its own, because models differ in layers and heads.
//! Colours run from the least score to the 98th percentile and grow with the square root. Dashes show where tiles meet.
//!
//! A [`Sheet`] has one small map for each attention layer, each with a scale of its own, and first of all their sum.

mod agreement;
mod colour;
mod explanation;
mod figure;
mod legend;
mod panel;
mod sheet;
pub mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod tokens;

pub use agreement::{Agreement, rank_correlation};
pub use explanation::{Compared, Explanation, scores};
pub use figure::{Figure, View};
pub use sheet::Sheet;
pub use tokens::{Layer, PictureTokens, TargetToken, Token};

use image::{ImageFormat, RgbImage};
use std::io::Cursor;

/// What keeps a figure from being drawn.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// Not one score per visual token.
    #[error("{n_scores} scores do not belong to {n_tokens} visual tokens; pass one per token")]
    ScoreCount {
        /// Visual tokens.
        n_tokens: usize,
        /// Scores.
        n_scores: usize,
    },
    /// A score that has no place on a colour scale.
    #[error("the score of visual token {token} is {value}, which has no place on a colour scale")]
    Score {
        /// Visual token of the prompt.
        token: usize,
        /// Its score.
        value: f64,
    },
    /// The kept tokens are those of another prompt.
    #[error(
        "tokens were kept of {n_kept_of} visual tokens, but there are {n_tokens}; pass those that were selected among"
    )]
    KeptOf {
        /// Visual tokens that were selected among.
        n_kept_of: usize,
        /// Visual tokens.
        n_tokens: usize,
    },
    /// The guide's attention is not part of what a request left behind.
    #[error("the guide has not looked at the pictures, so there is nothing to draw")]
    NotSeen,
    /// The PNG encoder failed.
    #[error("the heat map could not be written as PNG: {0}")]
    Encode(#[from] image::ImageError),
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

fn check_scores(n_tokens: usize, scores: &[f64]) -> Result<(), ExplainError> {
    if scores.len() != n_tokens {
        return Err(ExplainError::ScoreCount { n_tokens, n_scores: scores.len() });
    }
    match scores.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((token, &value)) => Err(ExplainError::Score { token, value }),
        None => Ok(()),
    }
}
