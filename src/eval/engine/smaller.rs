//! Pictures scaled down until a model makes few enough visual tokens of them.

use crate::chat::Message;
use crate::media::Picture;
use crate::vlm::{Vlm, VlmError};
use image::RgbImage;
use image::imageops::{FilterType, resize};
use std::collections::HashMap;

/// Each size tried, over the one before.
const STEP: f64 = 0.9;
/// Smallest side, pixels.
const LEAST_SIDE: f64 = 28.0;

/// Width and height of every picture of a prompt.
type Sizes = Vec<(u32, u32)>;

/// Sizes that were found, by the sizes of the pictures and the budget.
#[derive(Default)]
pub(super) struct Smaller {
    known: HashMap<(Sizes, usize), Option<Sizes>>,
}

impl Smaller {
    /// The pictures at the largest size at which `vlm` makes at most `budget` visual tokens of them; `None` if there is none.
    ///
    /// Models that tile by the picture's shape alone make as many tokens of a small picture as of a large one: for them the
    /// pictures are squeezed into squares, too.
    pub fn fit(
        &mut self,
        vlm: &mut Vlm,
        messages: &[Message],
        pictures: &[Picture],
        budget: usize,
    ) -> Result<Option<Vec<Picture>>, VlmError> {
        let sizes: Sizes = pictures.iter().map(|picture| (picture.width(), picture.height())).collect();
        let key = (sizes.clone(), budget);
        if !self.known.contains_key(&key) {
            let mut found = None;
            for sizes in candidates(&sizes) {
                if vlm.count_visual(messages, &scaled(pictures, &sizes))? <= budget {
                    found = Some(sizes);
                    break;
                }
            }
            self.known.insert(key.clone(), found);
        }
        Ok(self.known[&key].as_ref().map(|sizes| scaled(pictures, sizes)))
    }
}

/// Sizes from large to small: first in shape, then as squares.
fn candidates(sizes: &[(u32, u32)]) -> Vec<Sizes> {
    let squares: Sizes = sizes.iter().map(|&(width, height)| (width.min(height), width.min(height))).collect();
    let least = sizes.iter().map(|&(width, height)| width.min(height)).min().unwrap_or(0);
    let scales = || {
        std::iter::successors(Some(1.0), |scale| Some(scale * STEP))
            .take_while(move |scale| scale * f64::from(least) >= LEAST_SIDE)
    };
    let scaled = |sizes: &[(u32, u32)], scale: f64| {
        let side = |pixels: u32| (f64::from(pixels) * scale).round().max(1.0) as u32;
        sizes.iter().map(|&(width, height)| (side(width), side(height))).collect()
    };
    let in_shape = scales().map(|scale| scaled(sizes, scale));
    in_shape.chain(scales().map(|scale| scaled(&squares, scale))).collect()
}

fn scaled(pictures: &[Picture], sizes: &[(u32, u32)]) -> Vec<Picture> {
    let scaled = |(picture, &(width, height)): (&Picture, &(u32, u32))| {
        if (picture.width(), picture.height()) == (width, height) {
            return picture.clone();
        }
        let pixels = RgbImage::from_raw(picture.width(), picture.height(), picture.rgb().to_vec()).unwrap_or_default();
        let pixels = resize(&pixels, width, height, FilterType::CatmullRom);
        Picture::from_rgb(width, height, pixels.into_raw()).unwrap_or_else(|_| picture.clone())
    };
    pictures.iter().zip(sizes).map(scaled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_fall_in_shape_and_then_as_squares() {
        let tried = candidates(&[(1344, 896)]);
        assert_eq!(tried[0], [(1344, 896)]);
        assert_eq!(tried[1], [(1210, 806)]);
        let squares = tried.iter().position(|sizes| sizes == &[(896, 896)]).unwrap();
        assert!(tried[..squares].iter().all(|sizes| sizes[0].0 > sizes[0].1));
        assert!(tried[squares..].iter().all(|sizes| sizes[0].0 == sizes[0].1));
        assert!(tried.iter().all(|sizes| sizes[0].1 >= 28));
    }

    #[test]
    fn nothing_to_scale_is_no_size() {
        assert!(candidates(&[]).is_empty());
    }
}
