use std::io::Cursor;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use super::{Limits, Picture};

fn sample() -> RgbImage { RgbImage::from_fn(37, 23, |x, y| Rgb([(x * 7) as u8, (y * 11) as u8, ((x * y * 31) % 251) as u8])) }
fn encode(image: &DynamicImage, f: ImageFormat) -> Vec<u8> { let mut o = Cursor::new(Vec::new()); image.write_to(&mut o, f).unwrap(); o.into_inner() }

#[test]
fn probe_truncation() {
    for f in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff] {
        let bytes = encode(&DynamicImage::ImageRgb8(sample()), f);
        let whole = Picture::decode(&bytes, &Limits::default()).unwrap();
        let mut silent = vec![]; let mut same = vec![];
        let mut reasons = std::collections::BTreeMap::new();
        for n in 0..bytes.len() {
            match Picture::decode(&bytes[..n], &Limits::default()) {
                Ok(p) if p == whole => same.push(n),
                Ok(_) => silent.push(n),
                Err(e) => { *reasons.entry(e.to_string()).or_insert(0) += 1; }
            }
        }
        eprintln!("{f:?} len {} silent {:?} same {:?}\n{reasons:#?}", bytes.len(), silent, same);
    }
}
