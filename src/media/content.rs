//! What a file is by its first bytes, and whether a JPEG goes on to its end.

use image::ImageFormat;

use super::{MediaError, tiff};

/// The accepted format of `bytes`, or [`MediaError::UnknownFormat`] with what they are instead.
pub(super) fn format_of(bytes: &[u8]) -> Result<ImageFormat, MediaError> {
    match image::guess_format(bytes) {
        Ok(
            format @ (ImageFormat::Png
            | ImageFormat::Jpeg
            | ImageFormat::WebP
            | ImageFormat::Gif
            | ImageFormat::Bmp
            | ImageFormat::Tiff),
        ) => Ok(format),
        _ => Err(MediaError::UnknownFormat { looks_like: looks_like(bytes) }),
    }
}

/// The format as people write it.
pub(super) fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        _ => "unknown",
    }
}

/// Refuses a TIFF that lists more than it holds, before its decoder makes room for it.
pub(super) fn check_lists(format: ImageFormat, bytes: &[u8]) -> Result<(), MediaError> {
    if format == ImageFormat::Tiff && !tiff::lists_what_it_holds(bytes) {
        return Err(damaged(format, "a list of values is longer than the file"));
    }
    Ok(())
}

/// Refuses a JPEG that ends before its end-of-image marker: its decoder would fill the missing part with grey.
///
/// And a WebP whose chunks claim more than there is: its decoder would take 4 GiB for one before it looks.
///
/// Other decoders fail by themselves where data is missing.
pub(super) fn check_end(format: ImageFormat, bytes: &[u8]) -> Result<(), MediaError> {
    let is_whole = match format {
        ImageFormat::Jpeg => has_jpeg_end(bytes),
        ImageFormat::WebP => has_riff_chunks(bytes),
        _ => true,
    };
    if !is_whole {
        return Err(damaged(format, "the file ends before the picture does"));
    }
    Ok(())
}

fn damaged(format: ImageFormat, reason: &str) -> MediaError {
    MediaError::Damaged { format: name(format), reason: reason.to_owned() }
}

/// Walks the markers of ITU T.81, B.1.1: segments by their length, entropy-coded data byte by byte.
fn has_jpeg_end(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        let Some(marker) = rest.iter().position(|&byte| byte == 0xFF) else {
            return false;
        };
        rest = &rest[marker + 1..];
        match *rest {
            [0xD9, ..] => return true,
            // A stuffed zero or a parameterless marker has no segment; a fill byte is the next marker's start.
            [0x00 | 0x01 | 0xD0..=0xD8, ref after @ ..] => rest = after,
            [0xFF, ..] => {}
            [_, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                match rest.get(1 + length..) {
                    Some(after) => rest = after,
                    None => return false,
                }
            }
            _ => return false,
        }
    }
}

/// The file without what follows a WebP behind the length that it says, so that checks and decoder see the same: its decoder looks
/// for chunks a little further.
pub(super) fn without_trailer(format: ImageFormat, bytes: &[u8]) -> &[u8] {
    let length = bytes.get(4..8).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
    let end = length.filter(|&length| format == ImageFormat::WebP && length >= 12).map(|length| length as usize + 8);
    end.and_then(|end| bytes.get(..end)).unwrap_or(bytes)
}

/// Whether no chunk of a RIFF file is longer than the rest of it.
fn has_riff_chunks(bytes: &[u8]) -> bool {
    riff_chunks(bytes.get(12..).unwrap_or_default()).all(|(_, data)| data.is_some())
}

/// Walks the chunks of a RIFF file: name, and data of an even number of bytes, `None` where there are not as many.
fn riff_chunks(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    std::iter::from_fn(move || {
        let (name, behind) = rest.split_at_checked(4)?;
        let (length, behind) = behind.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        rest = behind.get(length.next_multiple_of(2)..).unwrap_or_default();
        Some((name, behind.get(..length)))
    })
}

/// Refuses a WebP with a lossy frame that is larger than the picture: its decoder makes room for a frame before it compares.
pub(super) fn check_frames(format: ImageFormat, bytes: &[u8], pixels: u64) -> Result<(), MediaError> {
    if format != ImageFormat::WebP {
        return Ok(());
    }
    let chunks = riff_chunks(bytes.get(12..).unwrap_or_default());
    let largest = chunks.filter_map(|(name, data)| match name {
        // In a frame of an animation, chunks follow its place, size and duration.
        b"ANMF" => riff_chunks(data?.get(16..)?).filter_map(|(name, data)| lossy_pixels(name, data?)).max(),
        _ => lossy_pixels(name, data?),
    });
    if largest.max() > Some(pixels) {
        return Err(damaged(format, "a frame is larger than the picture"));
    }
    Ok(())
}

/// Pixels of a frame of VP8 by its header (RFC 6386, 9.1).
fn lossy_pixels(name: &[u8], data: &[u8]) -> Option<u64> {
    let side = |at: usize| Some(u64::from(u16::from_le_bytes(*data.get(at..)?.first_chunk()?) & 0x3FFF));
    (name == b"VP8 ").then(|| Some(side(6)? * side(8)?))?
}

/// Formats that people mistake for the accepted ones, by their signatures.
fn looks_like(bytes: &[u8]) -> Option<&'static str> {
    const SIGNATURES: &[(&[u8], &str)] = &[
        (b"%PDF-", "a PDF document"),
        (b"GGUF", "a GGUF model"),
        (b"\xFF\x0A", "a JPEG XL picture"),
        (b"\0\0\0\x0CJXL \r\n\x87\n", "a JPEG XL picture"),
        (b"\0\0\0\x0CjP  ", "a JPEG 2000 picture"),
        (b"\x1A\x45\xDF\xA3", "a Matroska or WebM video"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"8BPS", "a Photoshop document"),
        (b"\0\0\x01\0", "a Windows icon"),
        (b"\x76\x2F\x31\x01", "an OpenEXR picture"),
        (b"version https://git-lfs", "a Git LFS pointer"),
    ];
    if let Some((_, kind)) = SIGNATURES.iter().find(|(s, _)| bytes.starts_with(s)) {
        return Some(kind);
    }
    match (bytes.get(4..8), bytes.get(8..12)) {
        (Some(b"ftyp"), Some(brand)) => return Some(by_brand(brand)),
        (_, Some(b"AVI ")) if bytes.starts_with(b"RIFF") => return Some("an AVI video"),
        _ => {}
    }
    let head = String::from_utf8_lossy(bytes.get(..1024).unwrap_or(bytes)).to_lowercase();
    let head = head.trim_start_matches('\u{FEFF}').trim_start();
    if head.starts_with("<svg") || (head.starts_with("<?xml") && head.contains("<svg")) {
        Some("an SVG drawing")
    } else if head.starts_with("<!doctype html") || head.starts_with("<html") {
        Some("a web page")
    } else {
        None
    }
}

/// Major brands of ISO base media files (ISO/IEC 14496-12 and 23008-12).
fn by_brand(brand: &[u8]) -> &'static str {
    match brand {
        b"avif" | b"avis" => "an AVIF picture",
        b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1" => "a HEIC picture",
        _ => "an MP4 or QuickTime video",
    }
}
