//! What is asked: pictures of any size, and questions of any number of tokens.

use crate::eval::scenes::{SIDE, Scene};
use crate::media::{MediaError, Picture};
use image::imageops;

/// Seed of the picture.
pub const SEED: u64 = 0;

/// A question, and how long it became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// The question.
    pub text: String,
    /// Its tokens.
    pub n_tokens: usize,
}

/// A scene of labelled shapes, `width` times `height` pixels, cut off at the right and below.
///
/// # Errors
/// [`MediaError::ZeroSized`].
pub fn picture(width: u32, height: u32) -> Result<Picture, MediaError> {
    let tiles = (width.div_ceil(SIDE), height.div_ceil(SIDE));
    let scene = Scene::new(SEED, tiles).render();
    let cut = imageops::crop_imm(&scene, 0, 0, width, height).to_image();
    Picture::from_rgb(width, height, cut.into_raw())
}

/// The longest question of whole words with at most `n_tokens` tokens by `count`, one word at least.
pub fn question(n_tokens: usize, mut count: impl FnMut(&str) -> usize) -> Drawn {
    let mut drawn = |n_words: usize| {
        let words: Vec<&str> = WORDS.split(' ').cycle().take(n_words).collect();
        let text = words.join(" ");
        Drawn { n_tokens: count(&text), text }
    };
    // Every word is a token at least, so no longer question is needed.
    let (mut least, mut most) = (1, n_tokens.max(1));
    while least < most {
        let middle = least + (most - least).div_ceil(2);
        if drawn(middle).n_tokens <= n_tokens {
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    drawn(least)
}

const WORDS: &str = "What does the label on the large orange diamond say, which shapes are near it, and how many circles \
                     can be seen in the whole picture?";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_the_size_asked_for() {
        for (width, height) in [(1, 1), (448, 448), (449, 100), (1000, 600)] {
            let picture = picture(width, height).unwrap();
            assert_eq!((picture.width(), picture.height()), (width, height));
        }
        assert_eq!(picture(300, 200).unwrap(), picture(300, 200).unwrap());
        assert!(picture(0, 5).is_err());
    }

    #[test]
    fn questions_have_about_the_tokens_asked_for() {
        let by_letters = |text: &str| text.len().div_ceil(3);
        for n_tokens in [8, 64, 300] {
            let drawn = question(n_tokens, by_letters);
            assert_eq!(drawn.n_tokens, by_letters(&drawn.text));
            assert!(drawn.n_tokens <= n_tokens && drawn.n_tokens + 4 > n_tokens, "{n_tokens}: {drawn:?}");
            assert!(drawn.text.starts_with("What does the"));
        }
        let by_words = |text: &str| text.split(' ').count();
        assert_eq!(question(100, by_words).n_tokens, 100);
        assert_eq!(question(0, by_letters).text, "What");
    }
}
