use super::colour::{heat_colour, luminance};
use super::*;

const ORANGE: [u8; 3] = [240, 120, 30];

fn plain(width: u32, height: u32) -> Vec<u8> {
    ORANGE.repeat((width * height) as usize)
}

fn draw(width: u32, height: u32, n: usize, scores: &[f64], kept: &[usize]) -> RgbImage {
    overlay(width, height, &plain(width, height), &grid(n, n), scores, kept).unwrap()
}

/// Middle pixel of a cell in an `n` by `n` grid over the left (0) or right (1) panel.
fn cell(panels: &RgbImage, panel: u32, n: u32, index: u32) -> Rgb<u8> {
    let width = (panels.width() - GAP) / 2;
    let middle = |i: u32, side: u32| (2 * i + 1) * side / (2 * n);
    let x = panel * (width + GAP) + middle(index % n, width);
    *panels.get_pixel(x, middle(index / n, panels.height()))
}

#[test]
fn grid_is_row_major_and_closed() {
    let rects = grid(4, 2);
    assert_eq!(rects.len(), 8);
    assert_eq!(rects[0], Rect { x0: 0.0, y0: 0.0, x1: 0.25, y1: 0.5 });
    assert_eq!(rects[6], Rect { x0: 0.5, y0: 0.5, x1: 0.75, y1: 1.0 });
    assert!(grid(0, 3).is_empty());
}

#[test]
fn kept_cells_are_unchanged_and_dropped_ones_darker_and_greyer() {
    let panels = draw(448, 448, 4, &[1.0; 16], &[5]);
    for y in 112..224 {
        for x in 112..224 {
            assert_eq!(panels.get_pixel(448 + GAP + x, y).0, ORANGE);
        }
    }
    let dropped = cell(&panels, 1, 4, 10);
    assert!(luminance(dropped) < luminance(Rgb(ORANGE)) / 2.0);
    let spread = |colour: [u8; 3]| colour.iter().max().unwrap() - colour.iter().min().unwrap();
    assert!(spread(dropped.0) < spread(ORANGE) / 3);
}

#[test]
fn the_outline_lies_outside_kept_cells_and_not_between_them() {
    let panels = draw(448, 448, 4, &[1.0; 16], &[5, 6]);
    let at = |x: u32, y: u32| *panels.get_pixel(448 + GAP + x, y);
    assert_eq!([at(111, 168), at(110, 168), at(336, 168)], [OUTLINE_COLOUR; 3]);
    assert_eq!(at(109, 168), dimmed(Rgb(ORANGE)));
    assert_eq!([at(223, 168), at(224, 168)], [Rgb(ORANGE); 2]);
}

#[test]
fn the_hottest_token_has_the_hottest_colour_and_the_coldest_the_coldest() {
    let scores: Vec<f64> = (0..64).map(|index| f64::from((index * 37) % 64)).collect();
    let panels = draw(64, 64, 8, &scores, &[]);
    let at = |score: f64| cell(&panels, 0, 8, scores.iter().position(|&s| s == score).unwrap() as u32);
    assert_eq!(at(63.0), heated(Rgb(ORANGE), 1.0));
    assert_eq!(at(0.0), heated(Rgb(ORANGE), 0.0));
    assert!(luminance(at(10.0)) < luminance(at(30.0)) && luminance(at(30.0)) < luminance(at(50.0)));
}

#[test]
fn one_sink_does_not_blank_the_others() {
    let mut scores: Vec<f64> = (0..64).map(f64::from).collect();
    scores[0] = 1e6;
    let heat: Vec<f32> = normalise(&scores).collect();
    assert_eq!((heat[0], heat[63]), (1.0, 1.0));
    assert!((heat[32] - 0.5).abs() < 0.02, "{}", heat[32]);
}

#[test]
fn scores_without_spread_are_cold_and_a_lone_score_above_zero_shows() {
    assert!(normalise(&[3.0; 9]).all(|heat| heat == 0.0));
    let mut scores = [0.0; 100];
    scores[7] = 2.0;
    let heat: Vec<f32> = normalise(&scores).collect();
    assert_eq!((heat[7], heat[8]), (1.0, 0.0));
    assert_eq!(normalise(&[]).count(), 0);
}

#[test]
fn the_colour_scale_grows_in_lightness() {
    let lightness: Vec<f32> =
        (0..=100).map(|step| luminance(Rgb(heat_colour(step as f32 / 100.0).map(|channel| channel as u8)))).collect();
    assert!(lightness.is_sorted());
    assert!(lightness[100] - lightness[0] > 150.0);
}

#[test]
fn overlapping_tokens_show_the_higher_score_and_stay_kept() {
    let whole = Rect { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 };
    let rects = [vec![whole], grid(2, 2)].concat();
    let scores = [1.0, 0.0, 0.0, 2.0, 0.0];
    let panels = overlay(448, 448, &plain(448, 448), &rects, &scores, &[0, 1]).unwrap();
    assert_eq!(cell(&panels, 0, 2, 0), cell(&panels, 0, 2, 3));
    assert_ne!(cell(&panels, 0, 2, 0), heated(Rgb(ORANGE), 0.0));
    assert_ne!(cell(&panels, 0, 2, 0), cell(&panels, 0, 2, 2));
    assert!((0..4).all(|index| cell(&panels, 1, 2, index).0 == ORANGE));
}

#[test]
fn where_no_token_is_the_picture_shows_through_and_counts_as_dropped() {
    let left = Rect { x0: 0.0, y0: 0.0, x1: 0.5, y1: 1.0 };
    let panels = overlay(448, 448, &plain(448, 448), &[left], &[1.0], &[0]).unwrap();
    assert_eq!(cell(&panels, 0, 2, 1).0, ORANGE);
    assert_eq!(cell(&panels, 1, 2, 1), dimmed(Rgb(ORANGE)));
}

#[test]
fn panels_are_enlarged_by_whole_factors_and_reduced_to_the_long_side() {
    for ((width, height), expected) in [
        ((448, 448), (448, 448)),
        ((160, 120), (640, 480)),
        ((1, 1), (448, 448)),
        ((400, 300), (800, 600)),
        ((700, 3), (700, 3)),
        ((1024, 16), (1024, 16)),
        ((2048, 1024), (1024, 512)),
        ((5000, 1), (1024, 1)),
        ((1, 5000), (1, 1024)),
    ] {
        let panels = draw(width, height, 16, &[1.0; 256], &[0, 17]);
        assert_eq!(panels.dimensions(), (2 * expected.0 + GAP, expected.1), "{width}x{height}");
        assert_eq!(panels.get_pixel(expected.0 + GAP, 0).0, ORANGE, "{width}x{height}");
    }
}

#[test]
fn enlarging_repeats_pixels() {
    let panels = overlay(2, 1, &[10, 20, 30, 200, 100, 0], &grid(2, 1), &[0.0, 1.0], &[0, 1]).unwrap();
    let right = 2 * 448 + GAP;
    assert_eq!(panels.get_pixel(right + 447, 447).0, [10, 20, 30]);
    assert_eq!(panels.get_pixel(right + 448, 0).0, [200, 100, 0]);
}

#[test]
fn bad_input_is_refused() {
    let rgb = plain(2, 2);
    let rects = grid(2, 2);
    let run = |width, height, rgb: &[u8], rects: &[Rect], scores: &[f64], kept: &[usize]| {
        overlay(width, height, rgb, rects, scores, kept).unwrap_err().to_string()
    };
    let scores = [1.0; 4];
    assert_eq!(
        run(2, 3, &rgb, &rects, &scores, &[]),
        "12 bytes are no RGB picture of 2x3 pixels; it has width * height * 3, and at least one"
    );
    assert!(run(1, 2, &rgb, &rects, &scores, &[]).starts_with("12 bytes are no RGB picture of 1x2 pixels"));
    assert!(run(0, 5, &[], &rects, &scores, &[]).starts_with("0 bytes are no RGB picture of 0x5 pixels"));
    assert!(run(u32::MAX, u32::MAX, &rgb, &rects, &scores, &[]).contains("4294967295x4294967295"));
    assert!(run(2, 2, &rgb, &rects, &[1.0], &[]).starts_with("1 scores do not belong to 4 visual tokens"));
    assert!(run(2, 2, &rgb, &rects, &[1.0, f64::NAN, 1.0, 1.0], &[]).contains("visual token 1 is NaN"));
    assert!(run(2, 2, &rgb, &rects, &scores, &[4]).contains("kept visual token 4 is not among the 4"));
    for (x0, x1) in [(0.5, 0.5), (0.7, 0.2), (f64::NAN, 1.0), (1.0, 2.0), (-1.0, 0.0)] {
        let rect = Rect { x0, y0: 0.0, x1, y1: 1.0 };
        assert!(run(2, 2, &rgb, &[rect], &[1.0], &[]).contains("token 0 covers no part"), "{rect:?}");
    }
}

#[test]
fn png_round_trips() {
    let panels = draw(16, 16, 4, &[1.0; 16], &[3]);
    let file = encode_png(&panels).unwrap();
    assert_eq!(image::load_from_memory(&file).unwrap().to_rgb8(), panels);
}
