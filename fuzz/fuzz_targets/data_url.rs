//! Texts of `image_url.url`, behind a limit of so many bytes.

#![no_main]

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use sgl::server::PictureSource;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    max_bytes: u16,
    url: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let Input { max_bytes, url } = input;
    let max_bytes = u64::from(max_bytes);
    match PictureSource::parse(url, max_bytes) {
        Ok(PictureSource::Inline(bytes)) => {
            // The decoder of pictures counts exactly; this one keeps memory bounded.
            assert!(bytes.len() as u64 <= max_bytes + 8, "{} bytes", bytes.len());
            let same = Ok(PictureSource::Inline(bytes.clone()));
            for text in [BASE64_STANDARD.encode(&bytes), BASE64_STANDARD_NO_PAD.encode(&bytes)] {
                assert_eq!(PictureSource::parse(&text, u64::MAX), same);
                assert_eq!(PictureSource::parse(&format!("data:image/png;base64,{text}"), u64::MAX), same);
            }
        }
        Ok(PictureSource::Remote(remote)) => {
            let scheme = remote.split(':').next().unwrap().to_ascii_lowercase();
            assert!(scheme == "http" || scheme == "https", "{remote:?}");
            assert_eq!(remote, url.trim());
        }
        Ok(PictureSource::File(path)) => assert!(url.trim().ends_with(&path)),
        Err(error) => {
            assert!(error.status == 400 || error.status == 413, "{error:?}");
            assert!(error.status == 400 || url.len() as u64 > max_bytes, "{error:?}");
            assert!(error.message.len() < 500, "{} bytes", error.message.len());
        }
    }
});
