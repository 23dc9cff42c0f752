//! Which visual tokens are kept, of whatever pictures, by whatever was recorded.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use sgl::guidance::{Evidence, Importance, Kept, Layout, Policy, Retain, Tiles, first_of_each, gather, ranking, top};

const MAX_TOKENS: usize = 48;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    /// Visual tokens of each picture.
    pictures: Vec<u8>,
    tokens: [[u8; 8]; MAX_TOKENS],
    policy: Which,
    retain: Amount,
    floor: u8,
    tiles: Vec<(bool, u8)>,
    loss: u8,
    text: &'a str,
}

#[derive(Debug, Arbitrary)]
enum Which {
    Global,
    GlobalDiversity(u8),
    GlobalDebias,
    Layer(bool),
    Diversity,
    Random(u64),
    Uniform,
}

#[derive(Debug, Arbitrary)]
enum Amount {
    Share(u16),
    Count(u8),
    Mass(u16),
}

/// 0 to 1.
fn unit(byte: u8) -> f64 {
    f64::from(byte) / 255.0
}

/// Above 0 and up to 1.
fn share(number: u16) -> f64 {
    (f64::from(number) + 1.0) / 65536.0
}

impl Which {
    fn policy(&self) -> Policy {
        match *self {
            Which::Global => Policy::Global,
            Which::GlobalDiversity(weight) => Policy::GlobalDiversity(unit(weight)),
            Which::GlobalDebias => Policy::GlobalDebias,
            Which::Layer(second) => Policy::Layer(second.into()),
            Which::Diversity => Policy::Diversity,
            Which::Random(seed) => Policy::Random(seed),
            Which::Uniform => Policy::Uniform,
        }
    }
}

impl Amount {
    fn retain(&self) -> Retain {
        match *self {
            Amount::Share(number) => Retain::Share(share(number)),
            Amount::Count(count) => Retain::Count(usize::from(count).max(1)),
            Amount::Mass(number) => Retain::Mass(share(number)),
        }
    }
}

fuzz_target!(|input: Input<'_>| {
    check_text(input.text);
    let mut left = MAX_TOKENS;
    let mut pictures = Vec::new();
    for &n in input.pictures.iter().take(6) {
        let n = usize::from(n).min(left);
        left -= n;
        pictures.push(n);
    }
    let n_visual = MAX_TOKENS - left;
    let tokens = &input.tokens[..n_visual];
    let (policy, retain, floor) = (input.policy.policy(), input.retain.retain(), unit(input.floor));
    assert_eq!(policy.to_string().parse(), Ok(policy));
    assert_eq!(retain.to_string().parse(), Ok(retain));

    let column = |index: usize| tokens.iter().map(|token| f32::from(token[index]) / 16.0).collect::<Vec<f32>>();
    let mut importance = Importance::new(n_visual);
    for layer in 0..2 {
        importance.add(layer, &column(layer as usize)).unwrap();
    }
    let embeddings: Vec<[f32; 4]> =
        tokens.iter().map(|token| std::array::from_fn(|axis| f32::from(token[2 + axis] as i8))).collect();
    let embeddings: Vec<&[f32]> = embeddings.iter().map(|row| &row[..]).collect();
    let expected: Vec<f64> = tokens.iter().map(|token| (f64::from(token[6]) + 1.0) / 64.0).collect();
    let evidence = Evidence { importance: Some(&importance), embeddings: Some(&embeddings), expected: Some(&expected) };

    let kept = match policy.select_of(&pictures, evidence, retain, floor) {
        Ok(kept) => kept,
        Err(_) => {
            let layer = usize::from(matches!(policy, Policy::Layer(1)));
            let is_zero =
                importance.global().iter().all(|&mass| mass == 0.0) || column(layer).iter().all(|&m| m == 0.0);
            return assert!(is_zero, "{policy} can rank {pictures:?}");
        }
    };
    check_kept(&kept, n_visual);
    let scores: Vec<f64> = match policy {
        Policy::Layer(layer) => importance.layer(layer).unwrap().to_vec(),
        Policy::GlobalDebias => {
            importance.global().iter().zip(&expected).map(|(mass, expected)| mass / expected).collect()
        }
        _ => importance.global(),
    };
    let budget = retain.budget(&scores);
    assert_eq!(kept.len(), if retain.keeps_all() { n_visual } else { budget });
    let counts = kept.counts(&pictures);
    assert_eq!(counts.iter().sum::<usize>(), kept.len());
    if !retain.keeps_all() {
        check_shares(&counts, &pictures, budget, if policy == Policy::Uniform { 0.0 } else { floor });
    }
    if policy == Policy::Global && floor == 0.0 {
        assert_eq!(kept.indices(), top(&scores, kept.len()));
        check_mass(&scores, retain);
    }
    let again = first_of_each(ranking(&scores), &pictures, budget, floor);
    assert!(Kept::from_indices(n_visual, again).is_some_and(|kept| kept.len() == budget.min(n_visual)));
    check_tiles(kept, &scores, &pictures, &input);
});

fn check_kept(kept: &Kept, n_visual: usize) {
    assert_eq!(kept.n_visual(), n_visual);
    assert!(kept.indices().is_sorted_by(|left, right| left < right), "sorted and unique: {:?}", kept.indices());
    assert!(kept.indices().last().is_none_or(|last| *last < n_visual));
    assert!(n_visual == 0 || !kept.is_empty());
}

/// No picture falls below the floor of its share.
fn check_shares(counts: &[usize], pictures: &[usize], budget: usize, floor: f64) {
    let n_visual: usize = pictures.iter().sum();
    for (count, &n) in counts.iter().zip(pictures) {
        let share = budget as f64 * n as f64 / n_visual.max(1) as f64;
        let least = ((floor * share) as usize).min(n);
        // One token for the smallest pictures may come from the largest.
        assert!(count + pictures.len() >= least && *count <= n, "{counts:?} of {pictures:?}, {budget} at {floor}");
        assert!(floor == 0.0 || n == 0 || budget < pictures.len() || *count > 0, "{counts:?} of {pictures:?}");
    }
}

/// The smallest set that holds the share.
fn check_mass(scores: &[f64], retain: Retain) {
    let Retain::Mass(share) = retain else { return };
    let total: f64 = scores.iter().sum();
    let held = |n: usize| top(scores, n).into_iter().map(|index| scores[index]).sum::<f64>();
    let n = retain.budget(scores);
    assert!(n == 0 || held(n) >= share * total * (1.0 - 1e-9));
    assert!(n <= 1 || held(n - 1) <= share * total * (1.0 + 1e-9));
}

/// Tokens are exchanged within pictures, tiles become fewer, and what is lost is what may be.
fn check_tiles(kept: Kept, scores: &[f64], pictures: &[usize], input: &Input<'_>) {
    // Each picture is cut into runs of tokens; odd ends go to the last tile.
    let (mut tile_of, mut picture_of, mut fixed) = (Vec::new(), Vec::new(), Vec::new());
    let mut cuts = input.tiles.iter().copied().cycle();
    for (picture, &n) in pictures.iter().enumerate() {
        let mut open = n;
        while open > 0 {
            let (is_fixed, length) = cuts.next().unwrap_or_default();
            let length = usize::from(length).clamp(1, open);
            tile_of.extend(vec![picture_of.len(); length]);
            picture_of.push(picture);
            fixed.push(is_fixed);
            open -= length;
        }
    }
    let layout = Layout { tile_of: &tile_of, picture_of: &picture_of, fixed: &fixed };
    let n_used = |kept: &Kept| {
        let mut tiles: Vec<usize> = kept.indices().iter().map(|&token| tile_of[token]).collect();
        tiles.dedup();
        tiles.len()
    };
    for tiles in [Tiles::ANY, Tiles::Loss(unit(input.loss) * 0.99), Tiles::Most(usize::from(input.loss % 8))] {
        let gathered = gather(kept.clone(), scores, layout, tiles);
        check_kept(&gathered.kept, kept.n_visual());
        assert_eq!(gathered.kept.counts(pictures), kept.counts(pictures), "{tiles:?}");
        assert!(n_used(&gathered.kept) <= n_used(&kept), "{tiles:?}");
        assert!((0.0..=1.0).contains(&gathered.lost), "{tiles:?}: {}", gathered.lost);
        match tiles {
            Tiles::Loss(share) => assert!(gathered.lost <= share, "{} of {share}", gathered.lost),
            Tiles::Most(_) => {}
        }
        if tiles == Tiles::ANY {
            assert_eq!(gathered.kept, kept);
        }
    }
}

/// What is understood is written the same way.
fn check_text(text: &str) {
    if let Ok(retain) = text.parse::<Retain>() {
        assert_eq!(retain.to_string().parse(), Ok(retain), "{text:?}");
        assert!((1..=7).contains(&retain.budget(&[1.0; 7])), "{text:?}");
    }
    if let Ok(policy) = text.parse::<Policy>() {
        assert_eq!(policy.to_string().parse(), Ok(policy), "{text:?}");
    }
    if let Ok(tiles) = text.parse::<Tiles>() {
        assert_eq!(tiles.to_string().parse(), Ok(tiles), "{text:?}");
    }
}
