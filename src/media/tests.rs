use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use image::codecs::gif::GifEncoder;
use image::codecs::tiff::TiffEncoder;
use image::{
    DynamicImage, ExtendedColorType, Frame, ImageBuffer, ImageEncoder, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba,
    RgbaImage,
};
use proptest::prelude::*;

use super::{Limits, MediaError, Picture};

const FORMATS: [ImageFormat; 6] =
    [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff];

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn decoded(bytes: &[u8]) -> Picture {
    Picture::decode(bytes, &Limits::default()).unwrap()
}

fn error(bytes: &[u8]) -> MediaError {
    Picture::decode(bytes, &Limits::default()).unwrap_err()
}

fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 3) as u8, (y * 5) as u8, (x + y) as u8]))
}

/// Four flat quarters, so that lossy compression and chroma subsampling leave them alone.
fn quarters() -> RgbImage {
    RgbImage::from_fn(48, 32, |x, y| match (x < 24, y < 16) {
        (true, true) => Rgb([255, 0, 0]),
        (false, true) => Rgb([0, 255, 0]),
        (true, false) => Rgb([0, 0, 255]),
        (false, false) => Rgb([255, 255, 255]),
    })
}

/// The quarters of `picture`, left to right and top to bottom, each as the letter of its colour.
fn letters(picture: &Picture) -> String {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    [(1, 1), (3, 1), (1, 3), (3, 3)]
        .iter()
        .map(|(x, y)| {
            let pixel = (height * y / 4 * width + width * x / 4) * 3;
            match picture.rgb()[pixel..pixel + 3] {
                [200..=255, 0..50, 0..50] => 'r',
                [0..50, 200..=255, 0..50] => 'g',
                [0..50, 0..50, 200..=255] => 'b',
                [200..=255, 200..=255, 200..=255] => 'w',
                _ => '?',
            }
        })
        .collect()
}

/// A TIFF header with one directory that holds only the orientation: the EXIF of every format.
fn exif(orientation: u8) -> Vec<u8> {
    let mut bytes = b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    bytes.extend([orientation, 0, 0, 0, 0, 0, 0]);
    bytes
}

fn jpeg_with_exif(orientation: u8) -> Vec<u8> {
    let jpeg = encoded(quarters(), ImageFormat::Jpeg);
    let exif = exif(orientation);
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xFF, 0xE1]);
    bytes.extend((exif.len() as u16 + 8).to_be_bytes());
    bytes.extend(b"Exif\0\0");
    bytes.extend(exif);
    bytes.extend(&jpeg[2..]);
    bytes
}

fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut bytes = (data.len() as u32).to_be_bytes().to_vec();
    bytes.extend(kind);
    bytes.extend(data);
    let crc = crc32(&bytes[4..]);
    bytes.extend(crc.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    });
    !crc
}

fn png_with_exif(orientation: u8) -> Vec<u8> {
    let png = encoded(quarters(), ImageFormat::Png);
    let after_header = 8 + 25;
    let mut bytes = png[..after_header].to_vec();
    bytes.extend(png_chunk(b"eXIf", &exif(orientation)));
    bytes.extend(&png[after_header..]);
    bytes
}

fn webp_with_exif(orientation: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut bytes);
    encoder.set_exif_metadata(exif(orientation)).unwrap();
    let image = quarters();
    encoder.write_image(&image, 48, 32, ExtendedColorType::Rgb8).unwrap();
    bytes.into_inner()
}

#[test]
fn every_lossless_format_gives_its_pixels_back() {
    let image = gradient(37, 23);
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff] {
        let picture = decoded(&encoded(image.clone(), format));
        assert_eq!((picture.width(), picture.height()), (37, 23), "{format:?}");
        assert_eq!(picture.rgb(), image.as_raw(), "{format:?}");
    }
}

#[test]
fn jpeg_and_gif_come_close() {
    for format in [ImageFormat::Jpeg, ImageFormat::Gif] {
        let picture = decoded(&encoded(quarters(), format));
        assert_eq!((picture.width(), picture.height()), (48, 32), "{format:?}");
        assert_eq!(letters(&picture), "rgbw", "{format:?}");
    }
}

#[test]
fn what_follows_a_webp_is_none_of_it() {
    let whole = webp_with_exif(1);
    let chunk = [&b"EXIF"[..], &u32::MAX.to_le_bytes()].concat();
    for trailer in [&b"made by a camera, see its page"[..], &chunk] {
        assert!(decoded(&[&whole, trailer].concat()) == decoded(&whole));
    }
}

#[test]
fn lossy_webp_is_read() {
    let webp =
        b"RIFF\x22\0\0\0WEBPVP8 \x16\0\0\0\x30\x01\0\x9D\x01\x2A\x01\0\x01\0\x0E\xC0\xFE\x25\xA4\0\x03\x70\0\0\0\0";
    let picture = decoded(webp);
    assert_eq!((picture.width(), picture.height()), (1, 1));
}

#[test]
fn orientation_is_applied_in_every_format_that_carries_it() {
    // EXIF 2.3, tag 0x112: where row 0 and column 0 of the stored picture are seen.
    let upright = ["rgbw", "grwb", "wbgr", "bwrg", "rbgw", "brwg", "wgbr", "gwrb"];
    type Maker = fn(u8) -> Vec<u8>;
    let makers: [(&str, Maker); 3] = [("jpeg", jpeg_with_exif), ("png", png_with_exif), ("webp", webp_with_exif)];
    for (name, make) in makers {
        for (orientation, expected) in (1..).zip(upright) {
            let picture = decoded(&make(orientation));
            assert_eq!(letters(&picture), expected, "{name} {orientation}");
            let size = if orientation < 5 { (48, 32) } else { (32, 48) };
            assert_eq!((picture.width(), picture.height()), size);
        }
    }
}

#[test]
fn orientation_of_tiff_is_its_own_tag() {
    let mut tiff = encoded(quarters(), ImageFormat::Tiff);
    // The directory's entries are sorted by tag; any entry that decoding does not need can become the orientation.
    let resolution = tiff.windows(8).position(|entry| entry == b"\x28\x01\x03\0\x01\0\0\0").unwrap();
    tiff[resolution..resolution + 10].copy_from_slice(b"\x12\x01\x03\0\x01\0\0\0\x06\0");
    assert_eq!(letters(&decoded(&tiff)), "brwg");
}

#[test]
fn an_orientation_that_does_not_exist_is_ignored() {
    for orientation in [0, 9, 255] {
        assert_eq!(letters(&decoded(&jpeg_with_exif(orientation))), "rgbw");
    }
}

#[test]
fn alpha_is_composed_over_white() {
    let rgba = RgbaImage::from_vec(4, 1, vec![10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 0, 128, 200, 100, 0, 51]).unwrap();
    let expected = [10, 20, 30, 255, 255, 255, 127, 127, 127, 244, 224, 204];
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff] {
        let picture = decoded(&encoded(rgba.clone(), format));
        assert_eq!(picture.rgb(), expected, "{format:?}");
    }

    let grey: ImageBuffer<LumaA<u8>, _> = ImageBuffer::from_vec(3, 1, vec![40, 255, 40, 0, 0, 128]).unwrap();
    let picture = decoded(&encoded(grey, ImageFormat::Png));
    assert_eq!(picture.rgb(), [40, 40, 40, 255, 255, 255, 127, 127, 127]);
}

#[test]
fn sixteen_bits_are_rounded_to_eight() {
    // 65535 / 255 = 257 levels each: half of one rounds up.
    let levels = vec![0, 128, 129, 257, 385, 386, 65_406, 65_407, 65_535];
    let expected = [0, 0, 1, 1, 1, 2, 254, 255, 255];
    let grey: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_vec(9, 1, levels.clone()).unwrap();
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        let picture = decoded(&encoded(grey.clone(), format));
        let spread: Vec<u8> = expected.iter().flat_map(|&level| [level; 3]).collect();
        assert_eq!(picture.rgb(), spread, "{format:?}");
    }

    let rgb: ImageBuffer<Rgb<u16>, _> = ImageBuffer::from_vec(3, 1, levels).unwrap();
    assert_eq!(decoded(&encoded(rgb, ImageFormat::Png)).rgb(), expected);

    let rgba: ImageBuffer<Rgba<u16>, _> =
        ImageBuffer::from_vec(2, 1, vec![0, 257, 65_535, 65_535, 0, 0, 0, 32_896]).unwrap();
    let picture = decoded(&encoded(rgba, ImageFormat::Png));
    assert_eq!(picture.rgb(), [0, 1, 255, 127, 127, 127]);

    let grey_alpha: ImageBuffer<LumaA<u16>, _> = ImageBuffer::from_vec(2, 1, vec![514, 65_535, 0, 0]).unwrap();
    let picture = decoded(&encoded(grey_alpha, ImageFormat::Png));
    assert_eq!(picture.rgb(), [2, 2, 2, 255, 255, 255]);
}

#[test]
fn a_palette_with_transparency_is_read() {
    let red = Frame::new(RgbaImage::from_pixel(3, 2, Rgba([255, 0, 0, 255])));
    let clear = Frame::new(RgbaImage::from_pixel(3, 2, Rgba([0, 0, 0, 0])));
    for (frames, expected) in [(vec![red.clone(), clear.clone()], [255, 0, 0]), (vec![clear, red], [255, 255, 255])] {
        let mut bytes = Vec::new();
        GifEncoder::new(&mut bytes).encode_frames(frames).unwrap();
        let picture = decoded(&bytes);
        assert_eq!(picture.rgb(), expected.repeat(6), "the first frame counts");
    }

    let mut png = b"\x89PNG\r\n\x1A\n".to_vec();
    png.extend(png_chunk(b"IHDR", b"\0\0\0\x02\0\0\0\x01\x08\x03\0\0\0"));
    png.extend(png_chunk(b"PLTE", &[9, 8, 7, 1, 2, 3]));
    png.extend(png_chunk(b"tRNS", &[255, 0]));
    // A stored deflate block: filter byte 0, palette entries 0 and 1.
    png.extend(png_chunk(b"IDAT", b"\x78\x01\x01\x03\0\xFC\xFF\0\0\x01\0\x05\0\x02"));
    png.extend(png_chunk(b"IEND", b""));
    assert_eq!(decoded(&png).rgb(), [9, 8, 7, 255, 255, 255]);
}

#[test]
fn float_samples_are_refused() {
    let float: ImageBuffer<Rgb<f32>, _> = ImageBuffer::from_vec(1, 1, vec![0.5; 3]).unwrap();
    let message = error(&encoded(float, ImageFormat::Tiff)).to_string();
    assert_eq!(message, "this kind of TIFF picture is not supported: samples are Rgb32F; convert it to 8-bit RGB");
}

#[test]
fn the_format_is_told_by_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("really-a-jpeg.png");
    std::fs::write(&path, encoded(quarters(), ImageFormat::Jpeg)).unwrap();
    let picture = Picture::open(&path, &Limits::default()).unwrap();
    assert_eq!(letters(&picture), "rgbw");
}

#[test]
fn a_picture_cut_short_is_refused_or_whole() {
    for format in FORMATS {
        let bytes = encoded(gradient(64, 48), format);
        let whole = decoded(&bytes);
        for eighth in 0..8 {
            let cut = &bytes[..bytes.len() * eighth / 8];
            assert!(Picture::decode(cut, &Limits::default()).is_err(), "{format:?} cut at {eighth}/8");
        }
        // The last bytes may be padding or an end marker.
        for missing in 1..=16 {
            if let Ok(picture) = Picture::decode(&bytes[..bytes.len() - missing], &Limits::default()) {
                assert!(picture == whole, "{format:?} without {missing} bytes");
            }
        }
    }
}

#[test]
fn a_jpeg_may_be_followed_by_anything() {
    let mut bytes = encoded(quarters(), ImageFormat::Jpeg);
    bytes.extend(b"a maker's trailer \xFF\xE1");
    assert_eq!(letters(&decoded(&bytes)), "rgbw");
}

#[test]
fn a_hostile_header_is_refused_before_memory_is_taken() {
    let (width, height) = (60_000_u32, 60_000_u32);

    let mut png = b"\x89PNG\r\n\x1A\n".to_vec();
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 6, 0, 0, 0]);
    png.extend(png_chunk(b"IHDR", &header));
    png.extend(png_chunk(b"IDAT", b"\x78\x01\x03\0\0\0\0\x01"));
    png.extend(png_chunk(b"IEND", b""));

    let mut jpeg = encoded(quarters(), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|m| m == b"\xFF\xC0").unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&(height as u16).to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&(width as u16).to_be_bytes());

    let mut gif = encoded(quarters(), ImageFormat::Gif);
    gif[6..8].copy_from_slice(&(width as u16).to_le_bytes());
    gif[8..10].copy_from_slice(&(height as u16).to_le_bytes());

    let mut bmp = encoded(quarters(), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&width.to_le_bytes());
    bmp[22..26].copy_from_slice(&height.to_le_bytes());

    let mut tiff = encoded(quarters(), ImageFormat::Tiff);
    // Width, height and rows of the one strip.
    for (tag, value) in [(0x100_u16, width), (0x101, height), (0x116, height)] {
        let entry =
            tiff.windows(8).position(|entry| entry[..2] == tag.to_le_bytes() && entry[4..] == [1, 0, 0, 0]).unwrap();
        tiff[entry + 8..entry + 12].copy_from_slice(&value.to_le_bytes());
    }

    let start = Instant::now();
    for (name, bytes) in [("png", png), ("jpeg", jpeg), ("gif", gif), ("bmp", bmp), ("tiff", tiff)] {
        let error = error(&bytes);
        assert!(
            matches!(error, MediaError::TooManyPixels { width: 60_000, height: 60_000, max_pixels: 100_000_000 }),
            "{name}: {error}"
        );
    }
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_gif_frame_far_larger_than_its_screen_is_refused() {
    let mut gif = encoded(quarters(), ImageFormat::Gif);
    let frame = gif.windows(9).position(|d| d == b"\x2C\0\0\0\0\x30\0\x20\0").unwrap();
    gif[frame + 5..frame + 9].copy_from_slice(&[0xA0, 0x0F, 0xA0, 0x0F]);
    let expected = "damaged GIF picture: Memory limit exceeded; use an undamaged copy";
    assert_eq!(error(&gif).to_string(), expected);
}

#[test]
fn limits_are_inclusive() {
    let bytes = encoded(gradient(10, 10), ImageFormat::Png);
    let limits = |max_bytes, max_pixels| Limits { max_bytes, max_pixels };
    let n = bytes.len() as u64;
    assert!(Picture::decode(&bytes, &limits(n, 100)).is_ok());
    assert!(Picture::read(&bytes[..], &limits(n, 100)).is_ok());
    let too_long = Picture::decode(&bytes, &limits(n - 1, 100)).unwrap_err();
    assert_eq!(
        too_long.to_string(),
        format!("the picture is larger than {} bytes; shrink it or raise the limit", n - 1)
    );
    let too_large = Picture::decode(&bytes, &limits(n, 99)).unwrap_err();
    assert_eq!(
        too_large.to_string(),
        "the picture is 10x10, over the limit of 99 pixels; shrink it or raise the limit"
    );
}

#[test]
fn a_stream_is_read_no_further_than_the_limit() {
    let mut endless = std::io::repeat(0x89);
    let limits = Limits { max_bytes: 1000, ..Limits::default() };
    let error = Picture::read(&mut endless, &limits).unwrap_err();
    assert!(matches!(error, MediaError::TooManyBytes { max_bytes: 1000 }));
}

#[test]
fn a_failing_stream_says_so() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the cable is out"))
        }
    }
    let error = Picture::read(Broken, &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the picture: the cable is out");
}

#[test]
fn other_content_is_named() {
    let avi = b"RIFF\x10\0\0\0AVI LIST";
    for (bytes, kind) in [
        (&b"\0\0\0\x18ftypheic\0\0\0\0"[..], "a HEIC picture"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "an AVIF picture"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "an MP4 or QuickTime video"),
        (b"\x1A\x45\xDF\xA3\x01", "a Matroska or WebM video"),
        (avi, "an AVI video"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"GGUF\x03\0\0\0", "a GGUF model"),
        (b"\xFF\x0A\x01\x02", "a JPEG XL picture"),
        (b"\0\0\0\x0CJXL \r\n\x87\n", "a JPEG XL picture"),
        (b"\xEF\xBB\xBF <SVG width='1'>", "an SVG drawing"),
        (b"<?xml version='1.0'?>\n<!-- x --><svg/>", "an SVG drawing"),
        (b"<!DOCTYPE html><title>Not found", "a web page"),
        (b"version https://git-lfs.example/spec/v1", "a Git LFS pointer"),
    ] {
        assert_eq!(
            error(bytes).to_string(),
            format!("this is {kind}, not a picture that can be read; use PNG, JPEG, WebP, GIF, BMP or TIFF")
        );
    }
    assert_eq!(error(b"hello").to_string(), "this is no known picture format; use PNG, JPEG, WebP, GIF, BMP or TIFF");
    assert_eq!(error(b"").to_string(), "the picture is empty (0 bytes)");
}

#[test]
fn damage_is_told_with_the_decoders_reason() {
    let mut png = encoded(gradient(20, 20), ImageFormat::Png);
    png[8 + 8] ^= 1;
    let message = error(&png).to_string();
    assert!(message.starts_with("damaged PNG picture: CRC error"), "{message}");
}

#[test]
fn a_screen_without_pixels_is_zero_sized() {
    let mut gif = encoded(quarters(), ImageFormat::Gif);
    gif[6..8].copy_from_slice(&[0, 0]);
    assert!(matches!(error(&gif), MediaError::ZeroSized { width: 0, height: 32 }));
}

#[test]
fn raw_pixels_are_checked() {
    let picture = Picture::from_rgb(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
    assert_eq!((picture.width(), picture.height()), (2, 1));
    assert_eq!(picture.rgb(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(format!("{picture:?}"), "Picture(2x1)");

    let short = Picture::from_rgb(2, 2, vec![0; 6]).unwrap_err();
    assert_eq!(short.to_string(), "2x2 RGB needs 12 bytes, not 6");
    let overflow = Picture::from_rgb(u32::MAX, u32::MAX, Vec::new());
    assert!(matches!(overflow, Err(MediaError::WrongLength { .. })));
    let empty = Picture::from_rgb(0, 5, Vec::new()).unwrap_err();
    assert_eq!(empty.to_string(), "the picture is 0x5: it has no pixels");
}

#[test]
fn errors_of_files_name_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.png");
    let message = Picture::open(&missing, &Limits::default()).unwrap_err().to_string();
    assert!(message.starts_with(&format!("cannot open picture {}: ", missing.display())));

    let message = Picture::open(folder.path(), &Limits::default()).unwrap_err().to_string();
    let expected = "is a directory; name one picture file";
    assert_eq!(message, format!("{} {expected}", folder.path().display()));

    let empty = folder.path().join("empty.png");
    std::fs::File::create(&empty).unwrap();
    let message = Picture::open(&empty, &Limits::default()).unwrap_err().to_string();
    let expected = format!("picture {}: the picture is empty (0 bytes)", empty.display());
    assert_eq!(message, expected);

    let text = folder.path().join("notes.jpg");
    std::fs::File::create(&text).and_then(|mut file| file.write_all(b"hello")).unwrap();
    let error = Picture::open(&text, &Limits::default()).unwrap_err();
    let MediaError::InFile { path, problem } = error else { panic!("{error}") };
    assert_eq!(path, text);
    assert!(matches!(*problem, MediaError::UnknownFormat { looks_like: None }));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(
        format in 0..FORMATS.len() + 1,
        tail in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let signatures: [&[u8]; 7] = [
            b"\x89PNG\r\n\x1A\n", b"\xFF\xD8\xFF", b"RIFF\x40\0\0\0WEBPVP8", b"GIF89a", b"BM", b"II*\0", b"",
        ];
        let bytes = [signatures[format], &tail].concat();
        let limits = Limits { max_pixels: 1_000_000, ..Limits::default() };
        if let Ok(picture) = Picture::decode(&bytes, &limits) {
            prop_assert_eq!(picture.rgb().len() as u64, u64::from(picture.width()) * u64::from(picture.height()) * 3);
        }
    }

    #[test]
    fn damaged_files_never_panic(
        format in 0..FORMATS.len(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encoded(gradient(24, 16), FORMATS[format]);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let limits = Limits { max_pixels: 1_000_000, ..Limits::default() };
        if let Ok(picture) = Picture::decode(&bytes, &limits) {
            prop_assert!(picture.rgb().len() as u64 <= 3 * limits.max_pixels);
        }
    }

    #[test]
    fn pixels_survive_png(width in 1..40_u32, height in 1..40_u32, seed in any::<u32>()) {
        let image = RgbImage::from_fn(width, height, |x, y| {
            let mixed = (seed ^ (x * 7919 + y * 104_729)).wrapping_mul(2_654_435_761);
            let [_, red, green, blue] = mixed.to_be_bytes();
            Rgb([red, green, blue])
        });
        let picture = decoded(&encoded(image.clone(), ImageFormat::Png));
        prop_assert_eq!(picture.rgb(), image.as_raw().as_slice());
    }
}

#[test]
fn tiff_of_grey_and_alpha_float_is_refused_by_name() {
    let mut bytes = Cursor::new(Vec::new());
    let samples: Vec<u8> = [0.25_f32; 4].iter().flat_map(|s| s.to_ne_bytes()).collect();
    TiffEncoder::new(&mut bytes).write_image(&samples, 1, 1, ExtendedColorType::Rgba32F).unwrap();
    assert!(matches!(error(bytes.get_ref()), MediaError::Unsupported { format: "TIFF", .. }));
}

#[test]
fn a_webp_takes_no_memory_for_chunks_that_are_not_there() {
    let picture = RgbImage::from_pixel(3, 2, Rgb([1, 2, 3]));
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::WebP).unwrap();
    let plain = file.into_inner();
    let extended = |exif_bytes: u32| {
        let mut file = plain[..12].to_vec();
        file.extend(b"VP8X\x0a\0\0\0\x08\0\0\0\x02\0\0\x01\0\0");
        file.extend(&plain[12..]);
        file.extend(b"EXIF");
        file.extend(exif_bytes.to_le_bytes());
        file.extend([0; 4]);
        let length = file.len() as u32 - 8;
        file[4..8].copy_from_slice(&length.to_le_bytes());
        Picture::decode(&file, &Limits::default())
    };
    assert_eq!(extended(4).unwrap().width(), 3);
    assert!(matches!(extended(u32::MAX - 9), Err(MediaError::Damaged { .. })));
}

#[test]
fn a_webp_takes_no_memory_for_a_frame_that_is_larger_than_itself() {
    let lossy = include_bytes!("../../fuzz/corpus/media/lossy.webp");
    let at = lossy.windows(3).position(|bytes| bytes == b"\x9D\x01\x2A").unwrap() + 3;
    let picture = Picture::decode(lossy, &Limits::default()).unwrap();
    let [width, height] = [picture.width(), picture.height()].map(|side| side as u8 - 1);
    let framed = |sides: [u8; 4]| {
        // A canvas of its own, which the frame has to fit.
        let mut file = b"RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0\0\0\0\0".to_vec();
        file.extend([width, 0, 0, height, 0, 0]);
        file.extend(&lossy[12..at]);
        file.extend(sides);
        file.extend(&lossy[at + 4..]);
        let length = file.len() as u32 - 8;
        file[4..8].copy_from_slice(&length.to_le_bytes());
        file
    };
    assert_eq!(decoded(&framed([width + 1, 0, height + 1, 0])).width(), picture.width());
    let huge = framed([0xFF; 4]);
    assert!(error(&huge).to_string().contains("larger than the picture"), "{}", error(&huge));
    let mut moving = b"RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0\x02\0\0\0".to_vec();
    moving.extend([width, 0, 0, height, 0, 0]);
    moving.extend(b"ANIM\x06\0\0\0\0\0\0\0\0\0ANMF");
    moving.extend((huge.len() as u32 - 30 + 16).to_le_bytes());
    moving.extend([0; 6]);
    moving.extend([width, 0, 0, height, 0, 0, 1, 0, 0, 0]);
    moving.extend(&huge[30..]);
    let length = moving.len() as u32 - 8;
    moving[4..8].copy_from_slice(&length.to_le_bytes());
    assert!(error(&moving).to_string().contains("larger than the picture"), "{}", error(&moving));
}
