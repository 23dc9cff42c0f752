//! Samples of every depth and channel count to 8-bit RGB on white.

use image::{DynamicImage, ImageFormat, RgbImage};

use super::{MediaError, content};

/// Composes alpha over white, rounds 16-bit samples to 8 and spreads grey.
pub(super) fn over_white(image: DynamicImage, format: ImageFormat) -> Result<RgbImage, MediaError> {
    let (width, height) = (image.width(), image.height());
    let rgb: Vec<u8> = match image {
        DynamicImage::ImageRgb8(image) => return Ok(image),
        DynamicImage::ImageLuma8(image) => image.pixels().flat_map(|p| [p[0]; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => image.pixels().flat_map(|p| [over_white_8(p[0], p[1]); 3]).collect(),
        DynamicImage::ImageRgba8(image) => {
            image.pixels().flat_map(|p| [p[0], p[1], p[2]].map(|sample| over_white_8(sample, p[3]))).collect()
        }
        DynamicImage::ImageLuma16(image) => image.pixels().flat_map(|p| [over_white_16(p[0], u16::MAX); 3]).collect(),
        DynamicImage::ImageLumaA16(image) => image.pixels().flat_map(|p| [over_white_16(p[0], p[1]); 3]).collect(),
        DynamicImage::ImageRgb16(image) => {
            image.pixels().flat_map(|p| p.0.map(|sample| over_white_16(sample, u16::MAX))).collect()
        }
        DynamicImage::ImageRgba16(image) => {
            image.pixels().flat_map(|p| [p[0], p[1], p[2]].map(|sample| over_white_16(sample, p[3]))).collect()
        }
        other => {
            return Err(MediaError::Unsupported {
                format: content::name(format),
                reason: format!("samples are {:?}", other.color()),
            });
        }
    };
    RgbImage::from_raw(width, height, rgb).ok_or_else(|| MediaError::Damaged {
        format: content::name(format),
        reason: "the decoder gave too few pixels".to_owned(),
    })
}

fn over_white_8(sample: u8, alpha: u8) -> u8 {
    let (sample, alpha) = (u32::from(sample), u32::from(alpha));
    ((sample * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// Composes in 16 bits and rounds to 8 once: 65535 / 257 = 255.
fn over_white_16(sample: u16, alpha: u16) -> u8 {
    let (sample, alpha) = (u64::from(sample), u64::from(alpha));
    let composed = sample * alpha + 65_535 * (65_535 - alpha);
    ((composed + 65_535 * 257 / 2) / (65_535 * 257)) as u8
}
