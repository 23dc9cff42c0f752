//! Attention mass as a density over the picture.

use super::{Level, Place, Rect};
use std::collections::BTreeMap;

/// Carries mass on the visual tokens of one model (the guide) over to those of another (the target).
///
/// Mass is taken as spread evenly over the area of its token and flows to the tokens of the other model in proportion to
/// the area that they share, picture by picture.
///
/// - Equal places: every token keeps its own mass, bit for bit.
/// - A picture that both see on the same levels: level by level, so that attention on an overview stays on the overview.
/// - Else its levels are seen as one density, and each level of the other model gets a part of the mass that goes with
///   its number of tokens. Overview and detail tokens over one spot then weigh the same, and neither level wins only
///   because its tokens are large or many.
///
/// The mass of a picture is conserved; what lies on padding, or where the other model sees nothing, goes to its other
/// tokens in proportion to what they have.
#[derive(Debug, Clone)]
pub struct Carry {
    n_from: usize,
    n_to: usize,
    /// `None`: equal places.
    flows: Option<Vec<Flow>>,
}

/// From some tokens of a picture to all tokens of one level.
#[derive(Debug, Clone)]
struct Flow {
    from: Vec<usize>,
    /// (from, to, part of the mass of `from`).
    links: Vec<(usize, usize, f64)>,
    to: Vec<usize>,
    /// Part of the mass that takes this way.
    part: f64,
}

impl Carry {
    /// Between the places of two models' visual tokens, `[n_from]` and `[n_to]`, for the same pictures.
    pub fn new(from: &[Place], to: &[Place]) -> Self {
        let (n_from, n_to) = (from.len(), to.len());
        if from == to {
            return Self { n_from, n_to, flows: None };
        }
        let (from_levels, to_levels) = (levels(from), levels(to));
        let mut flows = Vec::new();
        for (&picture, to_levels) in &to_levels {
            let Some(from_levels) = from_levels.get(&picture) else { continue };
            let same_levels = from_levels.keys().eq(to_levels.keys());
            let n_all: usize = to_levels.values().map(Vec::len).sum();
            for (level, to_tokens) in to_levels {
                let (from_tokens, part) = if same_levels {
                    (from_levels[level].clone(), 1.0)
                } else {
                    (from_levels.values().flatten().copied().collect(), to_tokens.len() as f64 / n_all as f64)
                };
                let links = links(from, &from_tokens, to, to_tokens);
                flows.push(Flow { from: from_tokens, links, to: to_tokens.clone(), part });
            }
        }
        Self { n_from, n_to, flows: Some(flows) }
    }

    /// Number of tokens that mass comes from.
    pub fn n_from(&self) -> usize {
        self.n_from
    }

    /// Number of tokens that mass goes to.
    pub fn n_to(&self) -> usize {
        self.n_to
    }

    /// Mass on the tokens of the other model: `[n_from]` to `[n_to]`. Missing values count as 0.
    pub fn apply(&self, mass: &[f64]) -> Vec<f64> {
        let at = |token: usize| mass.get(token).copied().unwrap_or(0.0);
        let Some(flows) = &self.flows else { return (0..self.n_from).map(at).collect() };
        let mut carried = vec![0.0; self.n_to];
        for flow in flows {
            let sent = flow.part * flow.from.iter().map(|&token| at(token)).sum::<f64>();
            for &(from, to, part) in &flow.links {
                carried[to] += at(from) * part;
            }
            let arrived: f64 = flow.to.iter().map(|&token| carried[token]).sum();
            let n_to = flow.to.len() as f64;
            for &token in &flow.to {
                carried[token] = if arrived > 0.0 { carried[token] * (sent / arrived) } else { sent / n_to };
            }
        }
        carried
    }

    /// Values that are no mass, such as ratios: `[n_from]` to their means over what the tokens of the other model share with
    /// them, `[n_to]`. Tokens that share nothing, as those on padding, get the mean of all values; missing values count as 0.
    pub fn average(&self, values: &[f64]) -> Vec<f64> {
        let at = |token: usize| values.get(token).copied().unwrap_or(0.0);
        let all = (0..self.n_from).map(at);
        let Some(flows) = &self.flows else { return all.collect() };
        let mean = all.sum::<f64>() / self.n_from.max(1) as f64;
        let mut sums = vec![(0.0, 0.0); self.n_to];
        for &(from, to, part) in flows.iter().flat_map(|flow| &flow.links) {
            let (sum, parts) = &mut sums[to];
            *sum += at(from) * part;
            *parts += part;
        }
        sums.into_iter().map(|(sum, parts)| if parts > 0.0 { sum / parts } else { mean }).collect()
    }
}

/// The tokens of each level of each picture.
fn levels(places: &[Place]) -> BTreeMap<usize, BTreeMap<Level, Vec<usize>>> {
    let mut levels: BTreeMap<usize, BTreeMap<Level, Vec<usize>>> = BTreeMap::new();
    for (token, place) in places.iter().enumerate() {
        levels.entry(place.picture).or_default().entry(place.level).or_default().push(token);
    }
    levels
}

/// Which tokens share area, and the shared part of that of the first.
fn links(from: &[Place], from_tokens: &[usize], to: &[Place], to_tokens: &[usize]) -> Vec<(usize, usize, f64)> {
    let inside = |place: &Place| place.rect.intersection(&Rect::WHOLE);
    let to_rects: Vec<(usize, Rect)> = to_tokens.iter().map(|&token| (token, inside(&to[token]))).collect();
    let mut links = Vec::new();
    for &token in from_tokens {
        let rect = inside(&from[token]);
        let area = rect.area();
        let shared = to_rects.iter().map(|(to, to_rect)| (*to, rect.intersection(to_rect).area()));
        links.extend(shared.filter(|&(_, shared)| shared > 0.0).map(|(to, shared)| (token, to, shared / area)));
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(level: Level, rect: [f64; 4]) -> Place {
        let [x0, y0, x1, y1] = rect;
        Place { picture: 0, level, rect: Rect { x0, y0, x1, y1 } }
    }

    /// `nx` by `ny` equal tokens, row by row.
    fn grid(level: Level, nx: usize, ny: usize) -> Vec<Place> {
        let edge = |i: usize, n: usize| i as f64 / n as f64;
        let cell = |i: usize| {
            let (x, y) = (i % nx, i / nx);
            place(level, [edge(x, nx), edge(y, ny), edge(x + 1, nx), edge(y + 1, ny)])
        };
        (0..nx * ny).map(cell).collect()
    }

    fn carry(from: &[Place], to: &[Place], mass: &[f64]) -> Vec<f64> {
        Carry::new(from, to).apply(mass)
    }

    #[test]
    fn a_coarse_token_spreads_evenly_and_fine_ones_add_up() {
        let (coarse, fine) = (grid(Level::Detail, 1, 2), grid(Level::Detail, 2, 4));
        assert_eq!(carry(&coarse, &fine, &[4.0, 8.0]), [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
        assert_eq!(carry(&fine, &coarse, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]), [10.0, 26.0]);
    }

    #[test]
    fn grids_that_do_not_divide_share_by_area() {
        let carried = carry(&grid(Level::Detail, 2, 1), &grid(Level::Detail, 3, 1), &[3.0, 0.0]);
        assert!(carried.iter().zip([2.0, 1.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{carried:?}");
    }

    #[test]
    fn attention_on_an_overview_stays_on_the_overview() {
        let from = [grid(Level::Overview, 1, 1), grid(Level::Detail, 2, 2)].concat();
        let to = [grid(Level::Overview, 2, 1), grid(Level::Detail, 2, 1)].concat();
        assert_eq!(carry(&from, &to, &[6.0, 1.0, 0.0, 1.0, 0.0]), [3.0, 3.0, 2.0, 0.0]);
    }

    #[test]
    fn one_level_reaches_overview_and_detail_tokens_alike() {
        let from = grid(Level::Detail, 2, 2);
        let to = [grid(Level::Overview, 2, 2), grid(Level::Detail, 4, 4)].concat();
        let carried = carry(&from, &to, &[20.0, 0.0, 0.0, 0.0]);
        // A fifth of the tokens is overview: it gets a fifth of the mass, and one token there as much as one below it.
        assert!((carried[..4].iter().sum::<f64>() - 4.0).abs() < 1e-12);
        assert!((carried[0] - carried[4]).abs() < 1e-12 && carried[0] > 0.0, "{carried:?}");
        let back = carry(&to, &from, &carried);
        assert!((back[0] - 20.0).abs() < 1e-12, "{back:?}");
    }

    #[test]
    fn tokens_without_a_place_of_their_own_stand_for_their_tile() {
        let queries = vec![place(Level::Detail, [0.0, 0.0, 1.0, 1.0]); 3];
        let to = grid(Level::Detail, 2, 2);
        assert_eq!(carry(&queries, &to, &[1.0, 2.0, 5.0]), [2.0; 4]);
        let carried = carry(&to, &queries, &[1.0, 2.0, 5.0, 4.0]);
        assert!(carried.iter().all(|mass| (mass - 4.0).abs() < 1e-12), "{carried:?}");
        // Between equal models each query keeps what it has.
        assert_eq!(carry(&queries, &queries, &[1.0, 2.0, 5.0]), [1.0, 2.0, 5.0]);
    }

    #[test]
    fn what_lies_on_padding_goes_to_the_picture() {
        let from = [place(Level::Detail, [0.0, -1.0, 1.0, 0.0]), place(Level::Detail, [0.0, 0.0, 1.0, 1.0])];
        assert_eq!(carry(&from, &grid(Level::Detail, 2, 1), &[4.0, 2.0]), [3.0, 3.0]);
        assert_eq!(carry(&from, &grid(Level::Detail, 2, 1), &[4.0, 0.0]), [2.0, 2.0]);
    }

    #[test]
    fn averages_are_over_area() {
        let average = |from: &[Place], to: &[Place], values: &[f64]| Carry::new(from, to).average(values);
        let (coarse, fine) = (grid(Level::Detail, 1, 2), grid(Level::Detail, 2, 4));
        assert_eq!(average(&coarse, &fine, &[4.0, 8.0]), [4.0, 4.0, 4.0, 4.0, 8.0, 8.0, 8.0, 8.0]);
        assert_eq!(average(&fine, &coarse, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]), [2.5, 6.5]);
        let padded = [place(Level::Detail, [0.0, 0.0, 1.0, 1.0]), place(Level::Detail, [0.0, 1.0, 1.0, 2.0])];
        assert_eq!(average(&coarse, &padded, &[4.0, 8.0]), [6.0, 6.0]);
        assert_eq!(average(&padded, &coarse, &[4.0, 8.0]), [4.0, 4.0]);
        assert!(average(&coarse, &[], &[4.0, 8.0]).is_empty());
    }

    #[test]
    fn pictures_do_not_mix() {
        let second = |places: Vec<Place>| places.into_iter().map(|place| Place { picture: 1, ..place });
        let from: Vec<Place> = grid(Level::Detail, 2, 1).into_iter().chain(second(grid(Level::Detail, 1, 1))).collect();
        let to: Vec<Place> = grid(Level::Detail, 1, 1).into_iter().chain(second(grid(Level::Detail, 2, 1))).collect();
        assert_eq!(carry(&from, &to, &[1.0, 2.0, 8.0]), [3.0, 4.0, 4.0]);
    }

    fn layouts() -> impl Strategy<Value = Vec<Place>> {
        let side = || 1usize..7;
        prop_oneof![
            (side(), side()).prop_map(|(nx, ny)| grid(Level::Detail, nx, ny)),
            (side(), side()).prop_map(|(nx, ny)| grid(Level::Overview, nx, ny)),
            (side(), side(), side(), side()).prop_map(|(a, b, c, d)| [
                grid(Level::Overview, a, b),
                grid(Level::Detail, c, d)
            ]
            .concat()),
        ]
    }

    proptest! {
        #[test]
        fn mass_is_conserved_and_never_negative(
            from in layouts(),
            to in layouts(),
            seed in prop::collection::vec(0.0..5.0f64, 80),
        ) {
            let mass: Vec<f64> = seed.into_iter().cycle().take(from.len()).collect();
            let carried = carry(&from, &to, &mass);
            prop_assert_eq!(carried.len(), to.len());
            prop_assert!(carried.iter().all(|&mass| mass >= 0.0));
            let (before, after) = (mass.iter().sum::<f64>(), carried.iter().sum::<f64>());
            prop_assert!((before - after).abs() <= 1e-9 * before.max(1.0), "{} {}", before, after);
        }

        #[test]
        fn equal_places_keep_every_bit(layout in layouts(), mass in prop::collection::vec(0.0..5.0f64, 80)) {
            let mass: Vec<f64> = mass.into_iter().cycle().take(layout.len()).collect();
            prop_assert_eq!(carry(&layout, &layout, &mass), mass);
        }

        #[test]
        fn averages_stay_within_the_values(
            from in layouts(),
            to in layouts(),
            seed in prop::collection::vec(1.0..5.0f64, 80),
        ) {
            let values: Vec<f64> = seed.into_iter().cycle().take(from.len()).collect();
            let (least, most) = values.iter().fold((9.0, 0.0), |(a, b), &value| (f64::min(a, value), f64::max(b, value)));
            let carry = Carry::new(&from, &to);
            let inside = least - 1e-9..=most + 1e-9;
            prop_assert!(carry.average(&values).iter().all(|value| inside.contains(value)));
            prop_assert_eq!(carry.average(&vec![1.0; from.len()]), vec![1.0; to.len()]);
            prop_assert_eq!(Carry::new(&from, &from).average(&values), values);
        }

        #[test]
        fn constant_density_stays_constant(a in 1usize..9, b in 1usize..9, c in 1usize..9, d in 1usize..9) {
            let carried = carry(&grid(Level::Detail, a, b), &grid(Level::Detail, c, d), &vec![1.0; a * b]);
            let expected = (a * b) as f64 / (c * d) as f64;
            prop_assert!(carried.iter().all(|mass| (mass - expected).abs() < 1e-9));
        }
    }
}
