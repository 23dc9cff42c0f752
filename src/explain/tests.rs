use super::colour::{dimmed, heat_colour, heated, luminance};
use super::panel::{MARGIN, OUTLINE, OUTLINE_EDGE, PAGE, Scale};
use super::*;
use crate::geometry::{Level, Place, Rect};
use crate::guidance::{Importance, Kept};
use crate::media::Picture;
use image::Rgb;
use proptest::prelude::*;

const ORANGE: Rgb<u8> = Rgb([240, 120, 30]);
/// Where the first panel's picture begins: the page's edge and one caption.
const LEFT: u32 = 16;
const TOP: u32 = 16 + 20;

fn plain(width: u32, height: u32) -> Picture {
    Picture::from_rgb(width, height, ORANGE.0.repeat((width * height) as usize)).unwrap()
}

/// `nx` by `ny` equal tokens, row by row.
fn grid(level: Level, nx: usize, ny: usize) -> Vec<Place> {
    let edge = |i: usize, n: usize| i as f64 / n as f64;
    let rect = |x, y| Rect { x0: edge(x, nx), y0: edge(y, ny), x1: edge(x + 1, nx), y1: edge(y + 1, ny) };
    let place = |i: usize| Place { picture: 0, level, rect: rect(i % nx, i / nx) };
    (0..nx * ny).map(place).collect()
}

fn keep(n: usize, indices: &[usize]) -> Kept {
    Kept::from_indices(n, indices.to_vec()).unwrap()
}

fn view<'a>(places: &'a [Place], scores: &'a [f64], kept: &'a Kept) -> View<'a> {
    View { attention: "guide", choice: "kept", seen: places, scores, candidates: places, kept, tiles: [&[], &[]] }
}

fn draw(picture: &Picture, views: &[View<'_>]) -> RgbImage {
    Figure { picture, number: 0, views, notes: &[] }.draw().unwrap()
}

/// A page of one 448x448 picture and one view of `n` by `n` tokens.
fn page(n: usize, scores: &[f64], kept: &[usize]) -> RgbImage {
    let places = grid(Level::Overview, n, n);
    draw(&plain(448, 448), &[view(&places, scores, &keep(n * n, kept))])
}

/// Pixel of the left (0) or right (1) panel.
fn at(page: &RgbImage, panel: u32, x: u32, y: u32) -> Rgb<u8> {
    *page.get_pixel(LEFT + panel * (448 + LEFT) + x, TOP + y)
}

#[test]
fn kept_cells_are_unchanged_and_dropped_ones_darker_and_greyer() {
    let page = page(4, &[1.0; 16], &[5]);
    assert!((112..224).all(|y| (112..224).all(|x| at(&page, 1, x, y) == ORANGE)));
    let dropped = at(&page, 1, 280, 280);
    assert!(luminance(dropped) < luminance(ORANGE) / 2.0);
    let spread = |colour: [u8; 3]| colour.iter().max().unwrap() - colour.iter().min().unwrap();
    assert!(spread(dropped.0) < spread(ORANGE.0) / 3);
}

#[test]
fn the_outline_lies_around_kept_cells_and_not_between_them() {
    let page = page(4, &[1.0; 16], &[5, 6]);
    assert_eq!([at(&page, 1, 111, 168), at(&page, 1, 110, 168), at(&page, 1, 336, 168)], [OUTLINE; 3]);
    assert_eq!([at(&page, 1, 109, 168), at(&page, 1, 338, 168)], [OUTLINE_EDGE; 2]);
    assert_eq!(at(&page, 1, 108, 168), dimmed(ORANGE));
    assert_eq!([at(&page, 1, 223, 168), at(&page, 1, 224, 168)], [ORANGE; 2]);
}

#[test]
fn the_outline_closes_outside_the_picture() {
    let page = page(4, &[1.0; 16], &[0]);
    let beside = |x: u32, y: u32| *page.get_pixel(LEFT + 448 + LEFT + x - MARGIN, TOP + y - MARGIN);
    assert_eq!([beside(0, 50), beside(1, 50), beside(2, 50), beside(3, 50)], [OUTLINE_EDGE, OUTLINE, OUTLINE, ORANGE]);
    assert_eq!([beside(50, 0), beside(50, 1), beside(50, 3)], [OUTLINE_EDGE, OUTLINE, ORANGE]);
    assert_eq!(beside(1, 300), PAGE);
}

#[test]
fn the_hottest_token_has_the_hottest_colour_and_the_coldest_the_coldest() {
    let scores: Vec<f64> = (0..64).map(|index| f64::from((index * 37) % 64)).collect();
    let page = page(8, &scores, &[]);
    let cell = |score: f64| {
        let index = scores.iter().position(|&found| found == score).unwrap() as u32;
        at(&page, 0, 28 + index % 8 * 56, 28 + index / 8 * 56)
    };
    assert_eq!((cell(63.0), cell(0.0)), (heated(ORANGE, 1.0), heated(ORANGE, 0.0)));
    assert!(luminance(cell(10.0)) < luminance(cell(30.0)) && luminance(cell(30.0)) < luminance(cell(50.0)));
}

#[test]
fn levels_have_panels_of_their_own_and_one_scale() {
    let places = [grid(Level::Overview, 1, 1), grid(Level::Detail, 2, 2)].concat();
    let tile = |x0, x1| Place { picture: 0, level: Level::Detail, rect: Rect { x0, x1, ..Rect::WHOLE } };
    let tiles = [Place { level: Level::Overview, ..tile(0.0, 1.0) }, tile(0.0, 0.5), tile(0.5, 1.0)];
    let kept = keep(5, &[0, 4]);
    let page =
        draw(&plain(448, 448), &[View { tiles: [&tiles, &tiles], ..view(&places, &[4.0, 0.0, 1.0, 2.0, 4.0], &kept) }]);
    let row = 448 + LEFT + 20;
    // Details above: cold to hot, kept in the last quarter only, and a dashed line between the tiles.
    assert_eq!(at(&page, 0, 100, 100), heated(ORANGE, 0.0));
    assert_eq!(at(&page, 0, 300, 300), heated(ORANGE, 1.0));
    assert_eq!((at(&page, 1, 300, 300), at(&page, 1, 100, 300)), (ORANGE, dimmed(ORANGE)));
    assert_eq!([at(&page, 0, 224, 16), at(&page, 0, 224, 20)], [Rgb([255; 3]), Rgb([0; 3])]);
    // The overview below: as hot as the hottest detail, and all of it kept.
    assert_eq!([at(&page, 0, 100, row + 100), at(&page, 0, 224, row + 20)], [heated(ORANGE, 1.0); 2]);
    assert_eq!(at(&page, 1, 100, row + 100), ORANGE);
}

#[test]
fn views_are_below_each_other_and_have_their_own_scales() {
    let places = grid(Level::Overview, 2, 1);
    let kept = [keep(2, &[0]), keep(2, &[1])];
    let page = draw(&plain(448, 448), &[view(&places, &[1.0, 0.0], &kept[0]), view(&places, &[0.0, 900.0], &kept[1])]);
    let row = 448 + LEFT + 20;
    assert_eq!((at(&page, 0, 100, 100), at(&page, 0, 300, 100)), (heated(ORANGE, 1.0), heated(ORANGE, 0.0)));
    assert_eq!((at(&page, 0, 100, row), at(&page, 0, 300, row)), (heated(ORANGE, 0.0), heated(ORANGE, 1.0)));
    assert_eq!((at(&page, 1, 100, row + 9), at(&page, 1, 300, row + 9)), (dimmed(ORANGE), ORANGE));
}

#[test]
fn other_pictures_and_padding_are_passed_over() {
    let mut places = grid(Level::Overview, 2, 2);
    places[1].picture = 1;
    places[2].rect = Rect { x0: 0.0, y0: 1.0, x1: 1.0, y1: 1.5 };
    let page = draw(&plain(448, 448), &[view(&places, &[0.0, 9.0, 2.0, 2.0], &keep(4, &[1, 2, 3]))]);
    assert_eq!(at(&page, 0, 300, 300), heated(ORANGE, 1.0));
    assert_eq!([at(&page, 0, 300, 100), at(&page, 0, 100, 300)], [ORANGE; 2]);
    assert_eq!((at(&page, 1, 300, 100), at(&page, 1, 300, 300)), (dimmed(ORANGE), ORANGE));
}

#[test]
fn a_model_without_tiles_is_shown_beside_the_tiles_of_another() {
    let (seen, kept) = (grid(Level::Overview, 2, 1), keep(4, &[0]));
    let candidates = grid(Level::Detail, 2, 2);
    let page = draw(&plain(448, 448), &[View { candidates: &candidates, ..view(&seen, &[0.0, 1.0], &kept) }]);
    for row in [0, 448 + LEFT + 20] {
        assert_eq!(at(&page, 0, 300, row + 100), heated(ORANGE, 1.0));
        assert_eq!((at(&page, 1, 100, row + 100), at(&page, 1, 300, row + 100)), (ORANGE, dimmed(ORANGE)));
    }
}

#[test]
fn the_legend_has_the_colour_scale_and_the_notes() {
    let places = grid(Level::Overview, 2, 2);
    let kept = keep(4, &[0]);
    let views = [view(&places, &[1.0; 4], &kept)];
    let picture = plain(448, 448);
    let long = "word ".repeat(400);
    let draw = |notes| Figure { picture: &picture, number: 0, views: &views, notes }.draw().unwrap();
    let (without, short, long) =
        (draw(&[]), draw(&[("question", "How many?".to_owned())]), draw(&[("question", long)]));
    assert_eq!((without.width(), short.width()), (2 * 448 + 3 * 16, 2 * 448 + 3 * 16));
    assert_eq!((short.height() - without.height(), long.height() - without.height()), (20, 80));
    let legend = |page: &RgbImage| page.rows().skip((TOP + 448 + LEFT) as usize).flatten().copied().collect::<Vec<_>>();
    for heat in [0.0, 0.5] {
        let colour = Rgb(heat_colour(heat).map(|channel| channel as u8));
        assert!(legend(&without).contains(&colour), "{heat}");
    }
    let dark = |page: &RgbImage| legend(page).iter().filter(|pixel| luminance(**pixel) < 100.0).count();
    assert!(dark(&short) > dark(&without) + 100 && dark(&long) > dark(&short) + 1000);
    // Captions.
    let inked =
        (0..TOP - MARGIN).flat_map(|y| (0..448).map(move |x| (x, y))).filter(|&(x, y)| short.get_pixel(x, y).0[0] < 90);
    assert!(inked.count() > 100);
}

#[test]
fn panels_are_enlarged_by_whole_factors_and_reduced_to_the_long_side() {
    for ((width, height), expected) in [
        ((448, 448), (448, 448)),
        ((160, 120), (640, 480)),
        ((64, 64), (448, 448)),
        ((1, 1), (448, 448)),
        ((400, 300), (800, 600)),
        ((700, 3), (700, 3)),
        ((1024, 16), (1024, 16)),
        ((2048, 1024), (1024, 512)),
        ((4000, 3000), (1024, 768)),
        ((5000, 1), (1024, 1)),
        ((1, 5000), (1, 1024)),
    ] {
        let fitted = panel::fit(&plain(width, height), (1024, 1024));
        assert_eq!(fitted.dimensions(), expected, "{width}x{height}");
        assert_eq!(*fitted.get_pixel(0, 0), ORANGE, "{width}x{height}");
    }
    let two = Picture::from_rgb(2, 1, vec![10, 20, 30, 200, 100, 0]).unwrap();
    let fitted = panel::fit(&two, (1024, 1024));
    assert_eq!((fitted.get_pixel(447, 447).0, fitted.get_pixel(448, 0).0), ([10, 20, 30], [200, 100, 0]));
}

#[test]
fn one_sink_does_not_blank_the_others() {
    let mut scores: Vec<f64> = (0..64).map(f64::from).collect();
    scores[0] = 1e6;
    let scale = Scale::of(scores.iter().copied());
    assert_eq!((scale.heat(scores[0]), scale.heat(63.0)), (1.0, 1.0));
    assert!((scale.heat(32.0) - 0.5f32.sqrt()).abs() < 0.02, "{}", scale.heat(32.0));
}

#[test]
fn scores_without_spread_are_cold_and_a_lone_score_above_zero_shows() {
    assert_eq!(Scale::of([3.0; 9].into_iter()).heat(3.0), 0.0);
    let scale = Scale::of((0..100).map(|token| if token == 7 { 2.0 } else { 0.0 }));
    assert_eq!((scale.heat(2.0), scale.heat(0.0)), (1.0, 0.0));
    assert_eq!(Scale::of(std::iter::empty()).heat(0.0), 0.0);
}

/// L* of CIELAB, 0 to 100.
fn perceived_lightness(colour: [f32; 3]) -> f32 {
    let linear = colour.map(|channel| ((channel / 255.0 + 0.055) / 1.055).powf(2.4));
    116.0 * (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]).cbrt() - 16.0
}

#[test]
fn the_colour_scale_grows_in_even_steps_of_lightness() {
    let lightness: Vec<f32> = (0..=10).map(|step| perceived_lightness(heat_colour(step as f32 / 10.0))).collect();
    assert!(lightness[0] < 10.0 && lightness[10] > 90.0, "{lightness:?}");
    assert!(lightness.windows(2).all(|pair| (6.0..12.0).contains(&(pair[1] - pair[0]))), "{lightness:?}");
}

#[test]
fn a_sheet_has_a_map_for_the_sum_and_one_for_each_layer() {
    let places = grid(Level::Overview, 2, 1);
    let mut importance = Importance::new(2);
    importance.add(3, &[0.0, 1.0]).unwrap();
    importance.add(7, &[9.0, 0.0]).unwrap();
    let picture = plain(224, 224);
    let sheet = Sheet { picture: &picture, number: 0, places: &places, importance: &importance, notes: &[] };
    let page = sheet.draw().unwrap();
    // Two rows of 224 pixels, with margins, captions and gaps, and the legend; the legend needs the width.
    assert_eq!(page.dimensions(), (688, 16 + 2 * (230 + 20 + 8) + 8 + 28 + 16));
    let hot = heated(ORANGE, 1.0);
    let cells = [(0, 0), (1, 0), (0, 1)].map(|(column, row)| (16 + column * 246, 36 + row * 258));
    let halves = cells.map(|(x, y)| [*page.get_pixel(x + 50, y + 50), *page.get_pixel(x + 170, y + 50)]);
    let cold = heated(ORANGE, 0.0);
    assert_eq!(halves, [[hot, cold], [cold, hot], [hot, cold]]);
    assert_eq!(*page.get_pixel(16 + 246 + 50, 36 + 258 + 50), PAGE);
}

#[test]
fn bad_input_is_refused() {
    let places = grid(Level::Detail, 2, 2);
    let picture = plain(2, 2);
    let error = |scores: &[f64], kept: &Kept| {
        let views = [view(&places, scores, kept)];
        Figure { picture: &picture, number: 0, views: &views, notes: &[] }.draw().unwrap_err().to_string()
    };
    let kept = keep(4, &[1]);
    assert!(error(&[1.0], &kept).starts_with("1 scores do not belong to 4 visual tokens"));
    assert!(error(&[1.0, f64::NAN, 1.0, 1.0], &kept).contains("visual token 1 is NaN"));
    assert!(error(&[1.0; 4], &keep(3, &[1])).starts_with("tokens were kept of 3 visual tokens, but there are 4"));
    let importance = Importance::new(3);
    let sheet = Sheet { picture: &picture, number: 0, places: &places, importance: &importance, notes: &[] };
    assert!(matches!(sheet.draw(), Err(ExplainError::ScoreCount { n_tokens: 4, n_scores: 3 })));
}

#[test]
fn png_round_trips() {
    let page = page(4, &[1.0; 16], &[3]);
    let file = encode_png(&page).unwrap();
    assert_eq!(image::load_from_memory(&file).unwrap().to_rgb8(), page);
}

fn any_place() -> impl Strategy<Value = Place> {
    let share = || prop_oneof![-2.0..3.0f64, Just(0.0), Just(1.0), Just(f64::NAN), Just(f64::INFINITY)];
    let level = prop_oneof![Just(Level::Overview), Just(Level::Detail)];
    (0usize..2, level, share(), share(), share(), share()).prop_map(|(picture, level, x0, y0, x1, y1)| Place {
        picture,
        level,
        rect: Rect { x0, y0, x1, y1 },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn any_places_can_be_drawn(
        (width, height) in (1u32..40, 1u32..40),
        seen in prop::collection::vec((any_place(), -5.0..50.0f64), 0..12),
        candidates in prop::collection::vec((any_place(), any::<bool>()), 0..12),
        note in ".{0,60}",
    ) {
        let (seen, scores): (Vec<Place>, Vec<f64>) = seen.into_iter().unzip();
        let (candidates, is_kept): (Vec<Place>, Vec<bool>) = candidates.into_iter().unzip();
        let indices = (0..is_kept.len()).filter(|&token| is_kept[token]).collect();
        let kept = Kept::from_indices(candidates.len(), indices).unwrap();
        let picture = plain(width, height);
        let view = View { attention: &note, choice: &note, seen: &seen, scores: &scores, candidates: &candidates, kept: &kept, tiles: [&seen, &[]] };
        let notes = [("note", note.clone())];
        let figure = Figure { picture: &picture, number: 0, views: &[view, view], notes: &notes };
        prop_assert!(figure.draw().unwrap().width() > 600);
        prop_assert!(figure.panels().unwrap().width() > 0);
        let mut importance = Importance::new(seen.len());
        importance.add(2, &scores.iter().map(|score| score.abs() as f32).collect::<Vec<_>>()).unwrap();
        let sheet = Sheet { picture: &picture, number: 1, places: &seen, importance: &importance, notes: &notes };
        prop_assert!(sheet.draw().unwrap().height() > 0);
    }
}
