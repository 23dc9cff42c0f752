//! Where visual tokens lie: against tilings of the picture, and against what the encoder really answers to.

use super::harness::*;
use crate::chat::PromptPart;
use crate::geometry::{Level, Place, Rect};
use crate::llama::{Chunk, Vision};
use crate::media::Picture;

/// Places and, if asked for, embedding rows of each image chunk of a picture.
pub struct Seen {
    pub places: Vec<Option<Place>>,
    rows: Vec<Vec<f32>>,
}

pub fn look(vision: &Vision, picture: &Picture, encode: bool) -> Vec<Seen> {
    let pictures = std::slice::from_ref(picture);
    let chunks = vision.tokenize(&[PromptPart::Picture], pictures, true).unwrap();
    let chunks = chunks.iter(vision).unwrap();
    let images = chunks.iter().filter_map(|chunk| if let Chunk::Image(image) = chunk { Some(image) } else { None });
    let see = |image: &crate::llama::ImageChunk<'_>| {
        let places = image.places(picture);
        let embeddings = encode.then(|| vision.encode(image).unwrap());
        let row = |index| embeddings.as_ref().and_then(|embeddings| embeddings.row(index)).unwrap_or_default().to_vec();
        Seen { rows: (0..places.len()).map(row).collect(), places }
    };
    images.map(see).collect()
}

fn grey(width: u32, height: u32) -> Picture {
    Picture::from_rgb(width, height, vec![96; (width * height * 3) as usize]).unwrap()
}

/// A grey picture with a white disc of `radius` pixels.
fn dotted(width: u32, height: u32, (x, y): (f64, f64), radius: f64) -> Picture {
    let mut rgb = grey(width, height).rgb().to_vec();
    for (index, pixel) in rgb.chunks_exact_mut(3).enumerate() {
        let (px, py) = ((index as u32 % width) as f64 + 0.5, (index as u32 / width) as f64 + 0.5);
        if (px - x).hypot(py - y) <= radius {
            pixel.fill(255);
        }
    }
    Picture::from_rgb(width, height, rgb).unwrap()
}

/// The tokens of a level cover the picture once: none overlaps another and together they have its area, each row of
/// tokens lies below the one before. Tokens without a place of their own count as one over their tile.
pub fn check_tiling(vision: &Vision, width: u32, height: u32) -> Result<(), String> {
    let seen = look(vision, &grey(width, height), false);
    for level in [Level::Overview, Level::Detail] {
        let chunks: Vec<Vec<Rect>> = seen
            .iter()
            .map(|chunk| chunk.places.iter().flatten().filter(|place| place.level == level))
            .map(|places| {
                let mut rects: Vec<Rect> = places.map(|place| place.rect).collect();
                rects.dedup();
                rects
            })
            .collect();
        for rects in &chunks {
            for pair in rects.windows(2) {
                let next_row = pair[1].y0 >= pair[0].y1 - 1e-6 && pair[1].x0 < pair[0].x0 + 1e-6;
                let same_row = pair[1].y0 == pair[0].y0 && (pair[1].x0 - pair[0].x1).abs() < 1e-6;
                if !next_row && !same_row {
                    return Err(format!("{width}x{height}: {:?} does not follow {:?}", pair[1], pair[0]));
                }
            }
        }
        let rects: Vec<Rect> = chunks.into_iter().flatten().map(|rect| rect.intersection(&Rect::WHOLE)).collect();
        if rects.is_empty() {
            continue;
        }
        let area: f64 = rects.iter().map(Rect::area).sum();
        let overlap: f64 = (0..rects.len())
            .flat_map(|a| (0..a).map(move |b| (a, b)))
            .map(|(a, b)| rects[a].intersection(&rects[b]).area())
            .sum();
        if (area - 1.0).abs() > 1e-3 || overlap > 1e-3 {
            return Err(format!("{width}x{height}, {level:?}: area {area}, overlap {overlap}"));
        }
    }
    Ok(())
}

/// A bright dot changes, on each level that it lies on, most of all the token whose place holds it.
pub fn check_dots(vision: &Vision, width: u32, height: u32, spots: &[(f64, f64)]) -> Result<(), String> {
    let before = look(vision, &grey(width, height), true);
    for &(x, y) in spots {
        let spot = (x * f64::from(width), y * f64::from(height));
        let holds = |rect: &Rect| rect.x0 <= x && x < rect.x1 && rect.y0 <= y && y < rect.y1;
        // As large as half of the smallest token, so that it does not reach into a neighbour.
        let tokens = before.iter().flat_map(|chunk| chunk.places.iter().flatten());
        let side = |place: &Place| {
            ((place.rect.x1 - place.rect.x0) * f64::from(width))
                .min((place.rect.y1 - place.rect.y0) * f64::from(height))
        };
        let radius = tokens.map(side).fold(f64::INFINITY, f64::min) / 4.0;
        let radius = radius.max(1.0);
        let after = look(vision, &dotted(width, height, spot, radius), true);
        for level in [Level::Overview, Level::Detail] {
            let tokens = || {
                before.iter().zip(&after).flat_map(|(before, after)| {
                    let rows = before.rows.iter().zip(&after.rows);
                    let changes = rows.map(|(a, b)| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>());
                    before.places.iter().zip(changes)
                })
            };
            let on_level = tokens().filter_map(|(place, change)| Some(((*place)?, change)));
            let on_level: Vec<(Place, f32)> = on_level.filter(|(place, _)| place.level == level).collect();
            // Only levels on which the dot lies in one token with room around it.
            let (rx, ry) = (2.0 * radius / f64::from(width), 2.0 * radius / f64::from(height));
            let dot = Rect { x0: x - rx, y0: y - ry, x1: x + rx, y1: y + ry };
            if !on_level.iter().any(|(place, _)| place.rect.intersection(&dot) == dot) {
                continue;
            }
            let most = on_level.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(place, _)| *place);
            if !most.is_some_and(|place| holds(&place.rect)) {
                return Err(format!("{width}x{height}, {level:?}: a dot at {x:.3}, {y:.3} changes {most:?} most"));
            }
        }
    }
    Ok(())
}

/// Middles of cells spread over the picture, `n` by `n` positions moved to the middle of a cell of the model's detail level.
pub fn spots(vision: &Vision, width: u32, height: u32, n: usize) -> Vec<(f64, f64)> {
    let seen = look(vision, &grey(width, height), false);
    let places: Vec<Place> = seen.iter().flat_map(|chunk| chunk.places.iter().flatten().copied()).collect();
    let finest = places.iter().map(|place| place.level).max().unwrap();
    let cells: Vec<Rect> = places.iter().filter(|place| place.level == finest).map(|place| place.rect).collect();
    let wanted = (0..n * n).map(|i| (((i % n) as f64 + 0.5) / n as f64, ((i / n) as f64 + 0.5) / n as f64));
    let middle = |(x, y): (f64, f64)| {
        let holds = |rect: &&Rect| rect.x0 <= x && x < rect.x1 && rect.y0 <= y && y < rect.y1;
        cells.iter().find(holds).map(|rect| ((rect.x0 + rect.x1) / 2.0, (rect.y0 + rect.y1) / 2.0))
    };
    wanted.filter_map(middle).filter(|&(x, y)| x < 1.0 && y < 1.0).collect()
}

#[test]
fn the_demo_pair_sees_each_spot_once_per_level() {
    let vision = load_vision("guide");
    for (width, height) in [(448, 448), (300, 200), (896, 448), (448, 1344), (1344, 896), (1000, 700), (37, 900)] {
        check_tiling(&vision, width, height).unwrap();
    }
}

#[test]
fn a_dot_changes_the_token_that_lies_over_it() {
    let vision = load_vision("guide");
    for (width, height) in [(448, 448), (896, 448), (1000, 700)] {
        let spots = spots(&vision, width, height, 3);
        assert_eq!(spots.len(), 9);
        check_dots(&vision, width, height, &spots).unwrap();
    }
}

#[test]
fn levels_and_pictures_are_told_apart() {
    let vision = load_vision("target");
    let pictures = [grey(448, 448), grey(896, 448)];
    let parts = [PromptPart::Picture, PromptPart::Text("and".to_owned()), PromptPart::Picture];
    let chunks = vision.tokenize(&parts, &pictures, true).unwrap();
    let mut found = Vec::new();
    for chunk in chunks.iter(&vision).unwrap() {
        if let Chunk::Image(image) = chunk {
            let place = image.places(&pictures[image.picture()])[0].unwrap();
            assert_eq!(place.picture, image.picture());
            found.push((place.picture, place.level));
        }
    }
    use Level::{Detail, Overview};
    assert_eq!(found, [(0, Overview), (1, Detail), (1, Detail), (1, Overview)]);
}
