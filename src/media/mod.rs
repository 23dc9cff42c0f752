//! Pictures in: bytes of any accepted format to upright 8-bit RGB.
//!
//! The format is told by content, never by file name. Size limits hold before pixel memory is allocated, and a file that
//! ends early is refused rather than answered about half grey. Colour profiles are ignored, as libmtmd ignores them, and
//! nothing is resized here.

mod content;
mod error;
mod samples;
mod tiff;

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader};

pub use error::MediaError;

/// An upright picture without alpha, at least one pixel large.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>, // [height, width, 3]
}

/// What a picture shows, as a BLAKE3 hash of its size and pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentId([u8; 32]);

/// What a picture may cost at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of the encoded file, in bytes.
    pub max_bytes: u64,
    /// Width times height that the file's header claims.
    pub max_pixels: u64,
}

impl Default for Limits {
    /// 64 MiB and 100 million pixels.
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_pixels: 100_000_000 }
    }
}

impl Picture {
    /// Takes raw pixels, `[height, width, 3]`, row by row, red first.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, MediaError> {
        if width == 0 || height == 0 {
            return Err(MediaError::ZeroSized { width, height });
        }
        if rgb.len() as u128 != error::rgb_bytes(width, height) {
            let got = rgb.len();
            return Err(MediaError::WrongLength { width, height, got });
        }
        Ok(Self { width, height, rgb })
    }

    /// Decodes the file at `path`.
    pub fn open(path: impl AsRef<Path>, limits: &Limits) -> Result<Self, MediaError> {
        let path = path.as_ref();
        let cannot_open = |source| MediaError::Open { path: path.to_owned(), source };
        if fs::metadata(path).map_err(cannot_open)?.is_dir() {
            return Err(MediaError::Directory { path: path.to_owned() });
        }
        let file = File::open(path).map_err(cannot_open)?;
        Self::read(file, limits).map_err(|problem| match problem {
            MediaError::Read(source) => cannot_open(source),
            problem => MediaError::InFile { path: path.to_owned(), problem: Box::new(problem) },
        })
    }

    /// Decodes a stream such as standard input, reading at most one byte more than [`Limits::max_bytes`].
    pub fn read(reader: impl Read, limits: &Limits) -> Result<Self, MediaError> {
        let mut bytes = Vec::new();
        reader.take(limits.max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(MediaError::Read)?;
        Self::decode(&bytes, limits)
    }

    /// Decodes an encoded picture: first frame, upright by its EXIF or TIFF orientation, alpha composed over white,
    /// 16-bit samples rounded to 8, grey and CMYK turned to RGB. Float samples have no agreed white and are refused.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, MediaError> {
        if bytes.is_empty() {
            return Err(MediaError::Empty);
        }
        let max_bytes = limits.max_bytes;
        if bytes.len() as u64 > max_bytes {
            return Err(MediaError::TooManyBytes { max_bytes });
        }
        let format = content::format_of(bytes)?;
        let bytes = content::without_trailer(format, bytes);
        content::check_lists(format, bytes)?;
        let refused = |error| error::refused(format, error);

        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(allocation(limits.max_pixels));
        let mut decoder = reader.into_decoder().map_err(refused)?;
        let (width, height) = decoder.dimensions();
        let max_pixels = limits.max_pixels;
        let pixels = u64::from(width) * u64::from(height);
        if pixels > max_pixels {
            return Err(MediaError::TooManyPixels { width, height, max_pixels });
        }
        if pixels == 0 {
            return Err(MediaError::ZeroSized { width, height });
        }
        content::check_end(format, bytes)?;
        content::check_frames(format, bytes, pixels)?;
        decoder.set_limits(allocation(pixels)).map_err(refused)?;
        let orientation = decoder.orientation().map_err(refused)?;
        let image = DynamicImage::from_decoder(decoder).map_err(refused)?;
        let mut upright = DynamicImage::ImageRgb8(samples::over_white(image, format)?);
        upright.apply_orientation(orientation);
        let (width, height) = (upright.width(), upright.height());
        Self::from_rgb(width, height, upright.into_rgb8().into_raw())
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The same for pictures of the same size and pixels, whatever file they come from.
    pub fn content_id(&self) -> ContentId {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.width.to_le_bytes()).update(&self.height.to_le_bytes()).update(&self.rgb);
        ContentId(*hasher.finalize().as_bytes())
    }

    /// The pixels, `[height, width, 3]`, row by row, red first.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

/// The widest samples that any format decodes to take 8 bytes a pixel, and planar or CMYK TIFF holds them twice.
fn allocation(pixels: u64) -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(pixels.saturating_mul(16).saturating_add(16 << 20));
    limits
}

#[cfg(test)]
mod tests;
