//! Pictures in: bytes of any accepted format to upright 8-bit RGB.
//!
//! The format is told by content, never by file name. Size limits hold before pixel memory is allocated, and a file that
//! ends early is refused rather than answered about half grey. Colour profiles are ignored, as libmtmd ignores them, and
//! nothing is resized here.

mod content;

use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage};

/// An upright picture without alpha, at least one pixel large.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>, // [height, width, 3]
}

/// What a picture may cost at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of the encoded file, in bytes.
    pub max_bytes: u64,
    /// Width times height that the file's header claims.
    pub max_pixels: u64,
}

/// Why bytes did not become a [`Picture`].
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The file cannot be opened or read.
    #[error("cannot open picture {}: {source}", path.display())]
    Open {
        /// The path as given.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The path names a directory.
    #[error("{} is a directory; name one picture file", path.display())]
    Directory {
        /// The path as given.
        path: PathBuf,
    },
    /// The file at `path` was read, but is no acceptable picture.
    #[error("picture {}: {problem}", path.display())]
    InFile {
        /// The path as given.
        path: PathBuf,
        /// What [`Picture::decode`] says of its bytes.
        #[source]
        problem: Box<MediaError>,
    },
    /// The stream failed before its end.
    #[error("cannot read the picture: {0}")]
    Read(#[source] io::Error),
    /// There is not one byte.
    #[error("the picture is empty (0 bytes)")]
    Empty,
    /// The encoded picture is over [`Limits::max_bytes`].
    #[error("the picture is larger than {max_bytes} bytes; shrink it or raise the limit")]
    TooManyBytes {
        /// The limit.
        max_bytes: u64,
    },
    /// The header claims more pixels than [`Limits::max_pixels`].
    #[error(
        "the picture is {width}x{height}, over the limit of {max_pixels} pixels; shrink it or raise the limit"
    )]
    TooManyPixels {
        /// Claimed width, in pixels.
        width: u32,
        /// Claimed height, in pixels.
        height: u32,
        /// The limit.
        max_pixels: u64,
    },
    /// The content is no format that this program reads.
    #[error("{}; use {ACCEPTED}", unknown(*.looks_like))]
    UnknownFormat {
        /// What the content is recognisably instead, with its article.
        looks_like: Option<&'static str>,
    },
    /// The format is accepted, but not this flavour of it.
    #[error("this kind of {format} picture is not supported: {reason}; convert it to 8-bit RGB")]
    Unsupported {
        /// Name of the format.
        format: &'static str,
        /// The decoder's reason.
        reason: String,
    },
    /// The content breaks the rules of its format or ends early.
    #[error("damaged {format} picture: {reason}")]
    Damaged {
        /// Name of the format.
        format: &'static str,
        /// The decoder's reason.
        reason: String,
    },
    /// A side is zero pixels long.
    #[error("the picture is {width}x{height}: it has no pixels")]
    ZeroSized {
        /// Width, in pixels.
        width: u32,
        /// Height, in pixels.
        height: u32,
    },
    /// [`Picture::from_rgb`] got a buffer of the wrong length.
    #[error("{width}x{height} RGB needs {} bytes, not {got}", rgb_bytes(*.width, *.height))]
    WrongLength {
        /// Width, in pixels.
        width: u32,
        /// Height, in pixels.
        height: u32,
        /// Length of the buffer, in bytes.
        got: usize,
    },
}

const ACCEPTED: &str = "PNG, JPEG, WebP, GIF, BMP or TIFF";

impl Default for Limits {
    /// 64 MiB and 100 million pixels.
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_pixels: 100_000_000,
        }
    }
}

impl Picture {
    /// Takes raw pixels, `[height, width, 3]`, row by row, red first.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, MediaError> {
        if width == 0 || height == 0 {
            return Err(MediaError::ZeroSized { width, height });
        }
        if rgb.len() as u128 != rgb_bytes(width, height) {
            let got = rgb.len();
            return Err(MediaError::WrongLength { width, height, got });
        }
        Ok(Self { width, height, rgb })
    }

    /// Decodes the file at `path`.
    pub fn open(path: impl AsRef<Path>, limits: &Limits) -> Result<Self, MediaError> {
        let path = path.as_ref();
        let cannot_open = |source| MediaError::Open {
            path: path.to_owned(),
            source,
        };
        if fs::metadata(path).map_err(cannot_open)?.is_dir() {
            return Err(MediaError::Directory {
                path: path.to_owned(),
            });
        }
        let file = File::open(path).map_err(cannot_open)?;
        Self::read(file, limits).map_err(|problem| match problem {
            MediaError::Read(source) => cannot_open(source),
            problem => MediaError::InFile {
                path: path.to_owned(),
                problem: Box::new(problem),
            },
        })
    }

    /// Decodes a stream such as standard input, reading at most one byte more than [`Limits::max_bytes`].
    pub fn read(reader: impl Read, limits: &Limits) -> Result<Self, MediaError> {
        let mut bytes = Vec::new();
        reader
            .take(limits.max_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(MediaError::Read)?;
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
        let refused = |error| refused(format, error);

        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(allocation(limits.max_pixels));
        let mut decoder = reader.into_decoder().map_err(refused)?;
        let (width, height) = decoder.dimensions();
        let max_pixels = limits.max_pixels;
        let pixels = u64::from(width) * u64::from(height);
        if pixels > max_pixels {
            return Err(MediaError::TooManyPixels {
                width,
                height,
                max_pixels,
            });
        }
        if pixels == 0 {
            return Err(MediaError::ZeroSized { width, height });
        }
        content::check_end(format, bytes)?;
        decoder.set_limits(allocation(pixels)).map_err(refused)?;
        let orientation = decoder.orientation().map_err(refused)?;
        let image = DynamicImage::from_decoder(decoder).map_err(refused)?;
        let mut upright = DynamicImage::ImageRgb8(over_white(image, format)?);
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

fn rgb_bytes(width: u32, height: u32) -> u128 {
    u128::from(width) * u128::from(height) * 3
}

fn unknown(looks_like: Option<&str>) -> String {
    match looks_like {
        Some(kind) => format!("this is {kind}, not a picture that can be read"),
        None => "this is no known picture format".to_owned(),
    }
}

/// The widest samples that any format decodes to take 8 bytes a pixel, and planar or CMYK TIFF holds them twice.
fn allocation(pixels: u64) -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(pixels.saturating_mul(16).saturating_add(16 << 20));
    limits
}

fn refused(format: ImageFormat, error: ImageError) -> MediaError {
    let format = content::name(format);
    let inner = std::error::Error::source(&error).map(ToString::to_string);
    let reason = inner.unwrap_or_else(|| error.to_string());
    match error {
        ImageError::Unsupported(_) => MediaError::Unsupported { format, reason },
        _ => MediaError::Damaged { format, reason },
    }
}

fn over_white(image: DynamicImage, format: ImageFormat) -> Result<RgbImage, MediaError> {
    let (width, height) = (image.width(), image.height());
    let rgb: Vec<u8> = match image {
        DynamicImage::ImageRgb8(image) => return Ok(image),
        DynamicImage::ImageLuma8(image) => image.pixels().flat_map(|p| [p[0]; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => image
            .pixels()
            .flat_map(|p| [over_white_8(p[0], p[1]); 3])
            .collect(),
        DynamicImage::ImageRgba8(image) => image
            .pixels()
            .flat_map(|p| [p[0], p[1], p[2]].map(|sample| over_white_8(sample, p[3])))
            .collect(),
        DynamicImage::ImageLuma16(image) => image
            .pixels()
            .flat_map(|p| [over_white_16(p[0], u16::MAX); 3])
            .collect(),
        DynamicImage::ImageLumaA16(image) => image
            .pixels()
            .flat_map(|p| [over_white_16(p[0], p[1]); 3])
            .collect(),
        DynamicImage::ImageRgb16(image) => image
            .pixels()
            .flat_map(|p| p.0.map(|sample| over_white_16(sample, u16::MAX)))
            .collect(),
        DynamicImage::ImageRgba16(image) => image
            .pixels()
            .flat_map(|p| [p[0], p[1], p[2]].map(|sample| over_white_16(sample, p[3])))
            .collect(),
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

#[cfg(test)]
mod tests;
