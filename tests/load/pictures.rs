//! Pictures that are no pictures, or far too many of them in a few bytes.

use crate::Options;
use crate::harness::FLAT;
use crate::memory::peak;
use crate::server::{LABEL, Server, about_flat, ask};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use serde_json::json;
use std::fs;
use std::io::Cursor;

fn send(server: &Server, file: &[u8]) -> (u16, String) {
    let mut body = ask(&[&format!("data:image/png;base64,{}", BASE64_STANDARD.encode(file))], LABEL);
    body["max_tokens"] = json!(1);
    let reply = server.chat(&body);
    (reply.status, reply.body)
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, format).unwrap();
    file.into_inner()
}

pub fn bombs(_: &Options) -> String {
    let server = Server::start(&[]);
    let before = peak(&server);
    // 400 million pixels of one colour.
    let wide = encoded(&GrayImage::new(20_000, 20_000).into(), ImageFormat::Png);
    let mut claims = encoded(&RgbImage::new(9, 9).into(), ImageFormat::Png);
    claims[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    for bomb in [&wide, &claims] {
        let (status, text) = send(&server, bomb);
        // The checksum of the header that claims is wrong, too.
        assert!(status == 413 || status == 400, "{status} {text}");
    }
    let n_bytes = wide.len();
    let grown = peak(&server) - before;
    assert!(grown < 100.0, "{grown} MiB for a picture that is refused");
    server.chat(&about_flat(LABEL, json!({}))).ok();
    format!("400 million pixels in {n_bytes} bytes are refused, {grown:.0} MiB more")
}

/// Every length of a small file of each format.
pub fn truncated(_: &Options) -> String {
    let server = Server::start(&[]);
    let picture: DynamicImage = RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8 * 20, y as u8 * 30, 99])).into();
    let (mut n_sent, mut n_answered) = (0, 0);
    for format in
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP]
    {
        let file = encoded(&picture, format);
        assert_eq!(send(&server, &file).0, 200, "{format:?}");
        for length in (0..file.len()).step_by(file.len().div_ceil(24)) {
            let (status, text) = send(&server, &file[..length]);
            assert!(status == 400 || status == 200, "{format:?} of {length} bytes: {status} {text}");
            n_sent += 1;
            n_answered += usize::from(status == 200);
        }
    }
    assert!(n_answered * 10 <= n_sent, "{n_answered} of {n_sent} truncated pictures are answered");
    format!(
        "{n_sent} cut files of 6 formats: {} times 400, {n_answered} complete without their end",
        n_sent - n_answered
    )
}

/// Bytes changed at random.
pub fn hostile(_: &Options) -> String {
    let server = Server::start(&[]);
    let flat = image::load_from_memory(&fs::read(FLAT).unwrap()).unwrap().thumbnail(64, 64);
    let mut random = fastrand::Rng::with_seed(1);
    let (mut n_refused, mut n_answered) = (0, 0);
    for format in
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP]
    {
        let file = encoded(&flat.to_rgb8().into(), format);
        for _ in 0..40 {
            let mut file = file.clone();
            for _ in 0..random.usize(1..6) {
                let within = if random.bool() { file.len().min(64) } else { file.len() };
                file[random.usize(..within)] = random.u8(..);
            }
            match send(&server, &file) {
                (200, _) => n_answered += 1,
                (400 | 413, _) => n_refused += 1,
                (status, text) => panic!("{format:?}: {status} {text}"),
            }
        }
    }
    assert_eq!(server.metric("sgl_worker_restarts_total"), 0.0);
    format!("{n_refused} refused (400, 413), {n_answered} still pictures and answered")
}
