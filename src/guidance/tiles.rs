//! Kept tokens in fewer tiles: a tile that holds none of them need not be encoded at all.

use super::{Kept, serde_as_text};
use std::fmt;
use std::str::FromStr;

/// How far kept tokens are moved together into fewer tiles.
///
/// Text forms: `0%` (not at all), `5%` (loss), `3tiles` (number).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tiles {
    /// As long as this share of the importance that the best tokens hold is not lost, `0 <= share < 1`.
    Loss(f64),
    /// Into at most so many, if there is room in them; for measurements.
    Most(usize),
}

impl Tiles {
    /// The best tokens, wherever they are.
    pub const ANY: Self = Self::Loss(0.0);
}

/// Tokens that were moved together.
#[derive(Debug, Clone, PartialEq)]
pub struct Gathered {
    /// As many as before, of each picture too.
    pub kept: Kept,
    /// Share of the importance on the tokens kept before that is given up, `0..=1`.
    pub lost: f64,
}

/// Where visual tokens lie, as far as encoding goes.
#[derive(Debug, Clone, Copy)]
pub struct Layout<'a> {
    /// Tile of each visual token, `[n_visual]`.
    pub tile_of: &'a [usize],
    /// Picture of each tile, `[n_tiles]`.
    pub picture_of: &'a [usize],
    /// Tiles that are encoded in any case, `[n_tiles]`.
    pub fixed: &'a [bool],
}

/// Exchanges `kept` tokens for the best others of the same picture, by `scores` (`[n_visual]`), so that fewer tiles hold any.
/// The tile that costs least goes first; every picture keeps one.
pub fn gather(kept: Kept, scores: &[f64], layout: Layout<'_>, tiles: Tiles) -> Gathered {
    let score = |token: usize| scores.get(token).copied().filter(|score| *score > 0.0).unwrap_or(0.0);
    let mass = |tokens: &[usize]| tokens.iter().map(|&token| score(token)).sum::<f64>();
    let all = mass(kept.indices());
    let mut best = Gathered { kept, lost: 0.0 };
    let wanted = match tiles {
        Tiles::Loss(share) if share > 0.0 => Wanted { tiles: 0, loss: share },
        Tiles::Loss(_) => return best,
        Tiles::Most(n) => Wanted { tiles: n, loss: f64::INFINITY },
    };
    if all <= 0.0 {
        return best;
    }
    loop {
        let used = used(best.kept.indices(), layout);
        if used.iter().filter(|&&used| used).count() <= wanted.tiles {
            return best;
        }
        let without = |tile: usize| {
            let tokens = without(best.kept.indices(), &score, layout, &used, tile)?;
            Some((1.0 - mass(&tokens) / all, tokens))
        };
        let candidates = (0..used.len()).filter(|&tile| used[tile] && !layout.fixed[tile]).filter_map(without);
        let Some((lost, tokens)) = candidates.min_by(|(a, _), (b, _)| a.total_cmp(b)) else { return best };
        let moved = Kept::from_indices(best.kept.n_visual(), tokens);
        match moved {
            Some(kept) if lost <= wanted.loss => best = Gathered { kept, lost: lost.max(0.0) },
            _ => return best,
        }
    }
}

struct Wanted {
    tiles: usize,
    loss: f64,
}

/// Which tiles hold tokens.
fn used(tokens: &[usize], layout: Layout<'_>) -> Vec<bool> {
    let mut used = vec![false; layout.picture_of.len()];
    for &token in tokens {
        used[layout.tile_of[token]] = true;
    }
    used
}

/// The tokens with those of one tile exchanged for the best of the picture's other tiles in use, sorted; `None` if these have
/// no room.
fn without(
    tokens: &[usize],
    score: &impl Fn(usize) -> f64,
    layout: Layout<'_>,
    used: &[bool],
    tile: usize,
) -> Option<Vec<usize>> {
    let picture = layout.picture_of[tile];
    let mut is_kept = vec![false; layout.tile_of.len()];
    let mut n_missing = 0;
    for &token in tokens {
        let leaves = layout.tile_of[token] == tile;
        is_kept[token] = !leaves;
        n_missing += usize::from(leaves);
    }
    let is_free = |token: &usize| {
        let other = layout.tile_of[*token];
        !is_kept[*token] && other != tile && used[other] && layout.picture_of[other] == picture
    };
    let mut free: Vec<usize> = (0..layout.tile_of.len()).filter(is_free).collect();
    free.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
    if free.len() < n_missing {
        return None;
    }
    free[..n_missing].iter().for_each(|&token| is_kept[token] = true);
    Some((0..is_kept.len()).filter(|&token| is_kept[token]).collect())
}

impl FromStr for Tiles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let tiles = match text.strip_suffix("tiles") {
            Some(n) => n.parse().ok().filter(|&n| n > 0).map(Self::Most),
            None => match text.strip_suffix('%') {
                Some(percent) => super::retain::decimal(percent, "e-2"),
                None => super::retain::decimal(text, ""),
            }
            .filter(|share| (0.0..1.0).contains(share))
            .map(Self::Loss),
        };
        tiles.ok_or_else(|| format!("`{text}` is not a share of the importance from 0 to below 1 (0.05 or 5%)"))
    }
}

impl fmt::Display for Tiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss(share) => write!(formatter, "{share}"),
            Self::Most(n) => write!(formatter, "{n}tiles"),
        }
    }
}

serde_as_text!(Tiles);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Three tiles of four tokens, all of one picture.
    const TILE_OF: [usize; 12] = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
    const ONE_PICTURE: Layout<'_> = Layout { tile_of: &TILE_OF, picture_of: &[0, 0, 0], fixed: &[false; 3] };
    const SCORES: [f64; 12] = [9.0, 8.0, 3.0, 1.0, 7.0, 1.0, 0.5, 0.0, 4.0, 0.0, 0.0, 0.0];

    fn kept(indices: &[usize]) -> Kept {
        Kept::from_indices(12, indices.to_vec()).unwrap()
    }

    /// Kept tokens, and what is lost of a mass of 28.
    fn gathered(tiles: Tiles, layout: Layout<'_>) -> (Vec<usize>, f64) {
        let gathered = gather(kept(&[0, 1, 4, 8]), &SCORES, layout, tiles);
        (gathered.kept.indices().to_vec(), (28.0 * gathered.lost).round())
    }

    #[test]
    fn the_cheapest_tile_goes_first_and_its_tokens_are_replaced() {
        // Of 28: token 8 (4) for token 2 (3) loses 1, tokens 4 and 8 (11) for 2 and 3 (4) lose 7.
        assert_eq!(gathered(Tiles::Loss(0.01), ONE_PICTURE), (vec![0, 1, 4, 8], 0.0));
        assert_eq!(gathered(Tiles::Loss(0.05), ONE_PICTURE), (vec![0, 1, 2, 4], 1.0));
        assert_eq!(gathered(Tiles::Loss(0.5), ONE_PICTURE), (vec![0, 1, 2, 3], 7.0));
        assert_eq!(gathered(Tiles::ANY, ONE_PICTURE), (vec![0, 1, 4, 8], 0.0));
    }

    #[test]
    fn a_number_of_tiles_is_reached_whatever_is_lost() {
        assert_eq!(gathered(Tiles::Most(1), ONE_PICTURE).0, [0, 1, 2, 3]);
        assert_eq!(gathered(Tiles::Most(2), ONE_PICTURE).0, [0, 1, 2, 4]);
        assert_eq!(gathered(Tiles::Most(9), ONE_PICTURE).0, [0, 1, 4, 8]);
    }

    #[test]
    fn pictures_keep_their_tokens_and_tiles_that_are_needed_anyway_stay() {
        let two = Layout { picture_of: &[0, 0, 1], ..ONE_PICTURE };
        assert_eq!(gathered(Tiles::Most(1), two).0, [0, 1, 2, 8]);
        let fixed = Layout { fixed: &[false, false, true], ..ONE_PICTURE };
        assert_eq!(gathered(Tiles::Loss(0.05), fixed).0, [0, 1, 4, 8]);
    }

    #[test]
    fn full_tiles_take_no_more() {
        let full = gather(kept(&[0, 1, 2, 3, 4]), &SCORES, ONE_PICTURE, Tiles::Most(1));
        assert_eq!(full.kept.indices(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn text_forms() {
        for (text, tiles) in
            [("0", Tiles::ANY), ("5%", Tiles::Loss(0.05)), ("0.5", Tiles::Loss(0.5)), ("3tiles", Tiles::Most(3))]
        {
            assert_eq!(text.parse(), Ok(tiles));
            assert_eq!(tiles.to_string().parse(), Ok(tiles));
        }
        for text in ["", "1", "100%", "-1%", "0tiles", "tiles", "NaN", "inf"] {
            assert!(text.parse::<Tiles>().unwrap_err().contains("5%"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_size_stays_and_the_loss_is_bounded(
            scores in proptest::collection::vec(0.0..1.0f64, 24),
            n in 1usize..24,
            share in 0.0..0.9f64,
        ) {
            let tile_of: Vec<usize> = (0..24).map(|token| token / 4).collect();
            let layout = Layout { tile_of: &tile_of, picture_of: &[0, 0, 0, 0, 1, 1], fixed: &[false; 6] };
            let before = Kept::from_indices(24, super::super::top(&scores, n)).unwrap();
            let after = gather(before.clone(), &scores, layout, Tiles::Loss(share));
            prop_assert_eq!(before.counts(&[16, 8]), after.kept.counts(&[16, 8]));
            prop_assert!(after.lost <= share);
            let mass = |kept: &Kept| kept.indices().iter().map(|&token| scores[token]).sum::<f64>();
            prop_assert!((mass(&after.kept) - (1.0 - after.lost) * mass(&before)).abs() < 1e-9);
            let tiles = |kept: &Kept| used(kept.indices(), layout).iter().filter(|&&used| used).count();
            prop_assert!(tiles(&after.kept) <= tiles(&before));
        }
    }
}
