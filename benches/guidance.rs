//! What the guidance itself costs between the two models, in the sizes of real pictures.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sgl::geometry::{Carry, Level, Place, Rect};
use sgl::guidance::{Importance, Policy, Retain};
use std::hint::black_box;

const N_LAYERS: u32 = 24;
const SIZES: [usize; 2] = [1792, 8192];

/// Attention of all layers on `n_visual` tokens.
fn importance(n_visual: usize) -> Importance {
    let mut random = fastrand::Rng::with_seed(1);
    let mut importance = Importance::new(n_visual);
    for layer in 0..N_LAYERS {
        let mass: Vec<f32> = (0..n_visual).map(|_| random.f32()).collect();
        importance.add(layer, &mass).expect("one value for each token");
    }
    importance
}

/// Tokens of `columns` times `rows` in a part of the picture.
fn grid(level: Level, part: Rect, columns: u32, rows: u32) -> Vec<Place> {
    let (width, height) = ((part.x1 - part.x0) / f64::from(columns), (part.y1 - part.y0) / f64::from(rows));
    let place = |index: u32| {
        let (x, y) = (f64::from(index % columns), f64::from(index / columns));
        let (x0, y0) = (part.x0 + x * width, part.y0 + y * height);
        Place { picture: 0, level, rect: Rect { x0, y0, x1: x0 + width, y1: y0 + height } }
    };
    (0..columns * rows).map(place).collect()
}

/// 3 times 2 tiles and an overview, of 16 times 16 tokens each.
fn tiles() -> Vec<Place> {
    let mut places = Vec::new();
    for tile in 0..6u32 {
        let (x, y) = (f64::from(tile % 3), f64::from(tile / 3));
        let part = Rect { x0: x / 3.0, y0: y / 2.0, x1: (x + 1.0) / 3.0, y1: (y + 1.0) / 2.0 };
        places.extend(grid(Level::Detail, part, 16, 16));
    }
    places.extend(grid(Level::Overview, Rect::WHOLE, 16, 16));
    places
}

fn selection(criterion: &mut Criterion) {
    for n_visual in SIZES {
        let importance = importance(n_visual);
        let mass: Vec<f32> = vec![0.5; n_visual];
        criterion.bench_with_input(BenchmarkId::new("select global", n_visual), &importance, |bencher, importance| {
            bencher.iter(|| Policy::Global.select(n_visual, black_box(importance).into(), Retain::Share(0.25)));
        });
        criterion.bench_with_input(BenchmarkId::new("sum importance", n_visual), &mass, |bencher, mass| {
            bencher.iter(|| {
                let mut importance = Importance::new(n_visual);
                for layer in 0..N_LAYERS {
                    importance.add(layer, black_box(mass))?;
                }
                Ok::<_, sgl::guidance::GuidanceError>(importance.global())
            });
        });
    }
}

fn geometry(criterion: &mut Criterion) {
    let (tiles, coarse) = (tiles(), grid(Level::Detail, Rect::WHOLE, 16, 8));
    let mass = vec![1.0; tiles.len()];
    criterion.bench_function("carry of 7 tiles to 16x8, made", |bencher| {
        bencher.iter(|| Carry::new(black_box(&tiles), black_box(&coarse)));
    });
    let carry = Carry::new(&tiles, &coarse);
    criterion.bench_function("carry of 7 tiles to 16x8, applied", |bencher| {
        bencher.iter(|| carry.apply(black_box(&mass)));
    });
}

fn diversity(criterion: &mut Criterion) {
    const WIDTH: usize = 896;
    let n_visual = SIZES[0];
    let mut random = fastrand::Rng::with_seed(2);
    let values: Vec<f32> = (0..n_visual * WIDTH).map(|_| random.f32() - 0.5).collect();
    let rows: Vec<&[f32]> = values.chunks(WIDTH).collect();
    let mut group = criterion.benchmark_group("greedy diversity");
    group.sample_size(10);
    group.bench_function(BenchmarkId::new("keep a tenth", n_visual), |bencher| {
        let evidence = sgl::guidance::Evidence { embeddings: Some(&rows), ..Default::default() };
        bencher.iter(|| Policy::Diversity.select(n_visual, black_box(evidence), Retain::Share(0.1)));
    });
    group.finish();
}

/// What the guide owes for each of its tokens.
fn probability(criterion: &mut Criterion) {
    const N_VOCAB: usize = 151_655;
    let mut random = fastrand::Rng::with_seed(3);
    let logits: Vec<f32> = (0..N_VOCAB).map(|_| 16.0 * random.f32() - 8.0).collect();
    criterion.bench_function(&format!("ln p of a token of {N_VOCAB}"), |bencher| {
        bencher.iter(|| sgl::llama::log_probability(black_box(&logits), 7));
    });
}

criterion_group!(benches, selection, geometry, diversity, probability);
criterion_main!(benches);
