//! Files of pictures, within limits of bytes and pixels. How much memory decoders take is held by libFuzzer
//! (`-malloc_limit_mb`).

#![no_main]

use image::RgbImage;
use libfuzzer_sys::fuzz_target;
use sgl::explain::encode_png;
use sgl::media::{Limits, MediaError, Picture};

const LIMITS: Limits = Limits { max_bytes: 1 << 16, max_pixels: 1 << 16 };

fuzz_target!(|bytes: &[u8]| {
    match Picture::decode(bytes, &LIMITS) {
        Ok(picture) => {
            let (width, height) = (picture.width(), picture.height());
            let n_pixels = u64::from(width) * u64::from(height);
            assert!(n_pixels > 0 && n_pixels <= LIMITS.max_pixels, "{width}x{height}");
            assert_eq!(picture.rgb().len() as u64, n_pixels * 3);
            assert!(Picture::decode(bytes, &LIMITS).unwrap() == picture, "a file shows one picture");
            let image = RgbImage::from_raw(width, height, picture.rgb().to_vec()).unwrap();
            let again = Picture::decode(&encode_png(&image).unwrap(), &Limits::default()).unwrap();
            assert_eq!(again.content_id(), picture.content_id());
        }
        Err(MediaError::TooManyBytes { .. }) => assert!(bytes.len() as u64 > LIMITS.max_bytes),
        Err(error) => assert!(error.to_string().len() < 2000, "{error}"),
    }
});
