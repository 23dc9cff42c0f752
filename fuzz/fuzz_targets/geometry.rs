//! Importance carried between two models' visual tokens, wherever these lie, and expectations measured from it.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use sgl::geometry::{Carry, Expectation, Level, Place, Rect, picture_sizes};
use std::collections::BTreeMap;

const MAX_TOKENS: usize = 64;

#[derive(Debug, Arbitrary)]
struct Input {
    from: Vec<Token>,
    to: Vec<Token>,
    measures: bool,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
struct Token {
    picture: bool,
    is_overview: bool,
    edges: [Edge; 4],
    mass: u16,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Edge {
    /// In 96ths, with padding on both sides; edges of tokens meet.
    Grid(i8),
    /// Anywhere.
    Any(f32),
}

impl Edge {
    fn share(self) -> f64 {
        match self {
            Edge::Grid(index) => f64::from(index) / 96.0,
            Edge::Any(share) if share.is_finite() => f64::from(share),
            Edge::Any(_) => 0.0,
        }
    }
}

fn place(token: &Token) -> Place {
    let [x0, y0, x1, y1] = token.edges.map(Edge::share);
    let level = if token.is_overview { Level::Overview } else { Level::Detail };
    Place { picture: token.picture.into(), level, rect: Rect { x0, y0, x1, y1 } }
}

/// Mass of each picture.
fn masses(places: &[Place], mass: &[f64]) -> BTreeMap<usize, f64> {
    let mut masses = BTreeMap::new();
    for (place, mass) in places.iter().zip(mass) {
        *masses.entry(place.picture).or_default() += mass;
    }
    masses
}

fuzz_target!(|input: Input| {
    let tokens = |tokens: &[Token]| tokens.iter().take(MAX_TOKENS).map(place).collect::<Vec<_>>();
    let (from, to) = (tokens(&input.from), tokens(&input.to));
    let mass: Vec<f64> = input.from.iter().take(MAX_TOKENS).map(|token| f64::from(token.mass) / 256.0).collect();
    assert_eq!(picture_sizes(&from).iter().sum::<usize>(), from.len());
    assert_eq!(Carry::new(&from, &from).apply(&mass), mass, "equal places are the identity");

    let carry = Carry::new(&from, &to);
    assert_eq!((carry.n_from(), carry.n_to()), (from.len(), to.len()));
    let carried = carry.apply(&mass);
    assert_eq!(carried.len(), to.len());
    assert!(carried.iter().all(|mass| mass.is_finite() && *mass >= 0.0), "{carried:?}");
    let sent = masses(&from, &mass);
    for (picture, arrived) in masses(&to, &carried) {
        let sent = sent.get(&picture).copied().unwrap_or(0.0);
        assert!((arrived - sent).abs() <= 1e-9 * sent, "{arrived} of {sent} arrive in picture {picture}");
    }

    let averages = carry.average(&mass);
    assert_eq!(averages.len(), to.len());
    let least = mass.iter().copied().fold(f64::INFINITY, f64::min).min(0.0);
    let most = mass.iter().copied().fold(0.0, f64::max);
    assert!(averages.iter().all(|mean| *mean >= least && *mean <= most * (1.0 + 1e-9)), "{averages:?}");

    // Its grid has thousands of cells.
    if input.measures && from.len() <= 16 && to.len() <= 16 {
        let Some(expectation) = Expectation::measure([(&mass[..], &from[..])]) else {
            return assert!(sent.values().all(|mass| *mass == 0.0));
        };
        let text = serde_json::to_string(&expectation).unwrap();
        assert_eq!(serde_json::from_str::<Expectation>(&text).unwrap(), expectation);
        let expected = expectation.at(&to);
        assert_eq!(expected.len(), to.len());
        assert!(expected.iter().all(|value| value.is_finite() && *value >= Expectation::FLOOR), "{expected:?}");
    }
});
