//! What can go wrong with a picture.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use image::{ImageError, ImageFormat};

use super::content;

/// Why bytes did not become a [`Picture`](super::Picture).
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
        /// What [`Picture::decode`](super::Picture::decode) says of its bytes.
        #[source]
        problem: Box<MediaError>,
    },
    /// The stream failed before its end.
    #[error("cannot read the picture: {0}")]
    Read(#[source] io::Error),
    /// There is not one byte.
    #[error("the picture is empty (0 bytes)")]
    Empty,
    /// The encoded picture is over [`Limits::max_bytes`](super::Limits::max_bytes).
    #[error("the picture is larger than {max_bytes} bytes; shrink it or raise the limit")]
    TooManyBytes {
        /// The limit.
        max_bytes: u64,
    },
    /// The header claims more pixels than [`Limits::max_pixels`](super::Limits::max_pixels).
    #[error("the picture is {width}x{height}, over the limit of {max_pixels} pixels; shrink it or raise the limit")]
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
    #[error("damaged {format} picture: {reason}; use an undamaged copy")]
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
    /// [`Picture::from_rgb`](super::Picture::from_rgb) got a buffer of the wrong length.
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

pub(super) fn rgb_bytes(width: u32, height: u32) -> u128 {
    u128::from(width) * u128::from(height) * 3
}

fn unknown(looks_like: Option<&str>) -> String {
    match looks_like {
        Some(kind) => format!("this is {kind}, not a picture that can be read"),
        None => "this is no known picture format".to_owned(),
    }
}

/// Characters of a decoder's words that are quoted: some list what they found, thousands of numbers.
const LONGEST_REASON: usize = 200;

/// The decoder's own words, without the format that our message names already.
pub(super) fn refused(format: ImageFormat, error: ImageError) -> MediaError {
    let format = content::name(format);
    let inner = error.source().map(ToString::to_string);
    let reason = inner.unwrap_or_else(|| error.to_string());
    let reason = match reason.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}...", &reason[..end]),
        None => reason.trim_end().to_owned(),
    };
    match error {
        ImageError::Unsupported(_) => MediaError::Unsupported { format, reason },
        _ => MediaError::Damaged { format, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::error::{UnsupportedError, UnsupportedErrorKind};

    #[test]
    fn a_long_reason_is_quoted_in_part() {
        let kind = UnsupportedErrorKind::GenericFeature("é".repeat(5000));
        let error = ImageError::Unsupported(UnsupportedError::from_format_and_kind(ImageFormat::Tiff.into(), kind));
        let message = refused(ImageFormat::Tiff, error).to_string();
        assert!(message.chars().count() < 400 && message.contains("é...; convert it"), "{message}");
    }
}
