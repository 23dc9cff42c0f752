use super::*;
use crate::explain::encode_png;
use crate::server::request::Detail;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use image::{Rgb, RgbImage};
use std::time::Duration;

fn pictures(media_path: Option<PathBuf>) -> Pictures {
    let limits = Limits { max_bytes: 1000, max_pixels: 64 };
    Pictures::new(PictureOptions { max_pictures: 2, limits, media_path, remote: None })
}

fn png(side: u32) -> Vec<u8> {
    encode_png(&RgbImage::from_pixel(side, side, Rgb([1, 2, 3]))).unwrap()
}

fn named(url: String) -> PictureRef {
    PictureRef { url, detail: Detail::Auto, param: "here".into() }
}

fn data(bytes: &[u8]) -> PictureRef {
    named(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(bytes)))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[track_caller]
fn refused(pictures: &Pictures, urls: &[PictureRef], status: u16, message: &str) {
    let error = pictures.read(urls, soon()).unwrap_err();
    assert_eq!((error.status.as_u16(), error.param.as_deref()), (status, Some("here")), "{error:?}");
    assert!(error.message.contains(message), "{error:?}");
}

#[test]
fn pictures_are_read_in_order() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.png"), png(3)).unwrap();
    let named = [data(&png(2)), named("file:///a.png".into())];
    let read = pictures(Some(dir.path().to_owned())).read(&named, soon()).unwrap();
    assert_eq!(read.iter().map(Picture::width).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn no_picture_is_begun_when_the_time_is_over() {
    let error = pictures(None).read(&[data(&png(2))], Instant::now()).unwrap_err();
    assert_eq!((error.status.as_u16(), error.param.as_deref()), (504, Some("here")), "{error:?}");
}

#[test]
fn what_is_not_allowed_is_told() {
    let alone = pictures(None);
    refused(&alone, &[named("file:///a.png".into())], 400, "--media-path");
    refused(&alone, &[named("https://example.org/a.png".into())], 400, "--allow-remote-media");
    refused(&alone, &vec![data(&png(2)); 3], 400, "3 pictures, over the limit of 2");
    refused(&alone, &[data(&png(9))], 413, "9x9");
    refused(&alone, &[data(&png(7)), data(&png(4))], 413, "4x4, over the limit of 15 pixels");
    refused(&alone, &[data(&[0; 1001])], 413, "1000 bytes");
    refused(&alone, &[data(b"hello")], 400, "no known picture format");
    refused(&alone, &[data(&png(4)[..60])], 400, "damaged PNG");
    refused(&alone, &[data(b"")], 400, "empty");
}
