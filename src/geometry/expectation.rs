//! What a place of a picture attracts whatever the picture shows and whatever is asked.

use super::{Carry, Level, Place, Rect};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How much attention a model expects to give each place of a picture, relative to the mean over its visual tokens, by level.
///
/// Attention favours positions (the end of the prompt, corners, the first rows), which says nothing about the question at
/// hand. An expectation is the mean over many pictures and questions, on a grid of [`Expectation::SIDE`] squared cells for
/// each level, whatever the pictures' shapes and tilings were. As text: an object from level to cells, row by row, of three
/// digits each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<Level, Vec<f64>>")]
pub struct Expectation(BTreeMap<Level, Vec<f64>>);

/// Why cells are no expectation.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExpectationError {
    /// No level at all.
    #[error("the expected attention has no level; make the profile anew")]
    Empty,
    /// Another grid.
    #[error("the expected attention has {found} cells on one level, not {wanted}; make the profile anew", wanted = N_CELLS)]
    Cells { found: usize },
    /// No ratio of attention.
    #[error("the expected attention is {value} in cell {cell}, and it cannot be below 0; make the profile anew")]
    Value { cell: usize, value: f64 },
}

const N_CELLS: usize = Expectation::SIDE * Expectation::SIDE;

impl Expectation {
    /// Cells along each side of a picture: encoders with 16 or 24 tokens a side divide it, so that nothing of theirs is
    /// smoothed.
    pub const SIDE: usize = 48;
    /// No place is expected to get less than this part of the mean: attention is divided by it.
    pub const FLOOR: f64 = 0.1;

    /// The mean over prompts, of each of which there is the importance of its visual tokens, of all layers together, and
    /// where they lie, both `[n_visual]`. Every picture of a prompt counts as one, however much attention it got; those that
    /// got none do not count, and without any other there is no expectation.
    pub fn measure<'a>(prompts: impl IntoIterator<Item = (&'a [f64], &'a [Place])>) -> Option<Self> {
        let mut sums: BTreeMap<Level, (f64, Vec<f64>)> = BTreeMap::new();
        for (importance, places) in prompts {
            for tokens in pictures(places) {
                let mass = |token: &usize| importance.get(*token).copied().unwrap_or(0.0);
                let mean = tokens.iter().map(mass).sum::<f64>() / tokens.len() as f64;
                if !(mean > 0.0 && mean.is_finite()) {
                    continue;
                }
                let relative: Vec<f64> = tokens.iter().map(|token| mass(token) / mean).collect();
                let from: Vec<Place> = tokens.iter().map(|&token| in_one_picture(&places[token])).collect();
                let levels = levels(&from);
                let to: Vec<Place> = levels.iter().flat_map(|&level| grid(level)).collect();
                let averages = Carry::new(&from, &to).average(&relative);
                for (level, cells) in levels.into_iter().zip(averages.chunks(N_CELLS)) {
                    let (n, sums) = sums.entry(level).or_insert_with(|| (0.0, vec![0.0; N_CELLS]));
                    *n += 1.0;
                    sums.iter_mut().zip(cells).for_each(|(sum, cell)| *sum += cell);
                }
            }
        }
        let means = |(level, (n, sums)): (Level, (f64, Vec<f64>))| {
            (level, sums.into_iter().map(|sum| three_digits(sum / n)).collect())
        };
        Some(Self(sums.into_iter().map(means).collect())).filter(|expectation| !expectation.0.is_empty())
    }

    /// What the visual tokens of a prompt are expected to get, relative to the mean over those of the same picture and at
    /// least [`Expectation::FLOOR`], `[n_visual]`.
    ///
    /// The levels of a picture have their own values where all of them were measured; else every level has the mean of those
    /// that were.
    pub fn at(&self, places: &[Place]) -> Vec<f64> {
        let mut expected = vec![1.0; places.len()];
        for tokens in pictures(places) {
            let to: Vec<Place> = tokens.iter().map(|&token| in_one_picture(&places[token])).collect();
            let levels = levels(&to);
            let are_known = levels.iter().all(|level| self.0.contains_key(level));
            let used = self.0.iter().filter(|(level, _)| !are_known || levels.contains(level));
            let (mut from, mut values) = (Vec::new(), Vec::new());
            for (&level, cells) in used {
                from.extend(grid(level));
                values.extend(cells);
            }
            let averages = Carry::new(&from, &to).average(&values);
            let mean = averages.iter().sum::<f64>() / averages.len() as f64;
            if mean > 0.0 {
                for (token, average) in tokens.into_iter().zip(averages) {
                    expected[token] = (average / mean).max(Self::FLOOR);
                }
            }
        }
        expected
    }
}

impl TryFrom<BTreeMap<Level, Vec<f64>>> for Expectation {
    type Error = ExpectationError;

    fn try_from(levels: BTreeMap<Level, Vec<f64>>) -> Result<Self, ExpectationError> {
        if levels.is_empty() {
            return Err(ExpectationError::Empty);
        }
        for cells in levels.values() {
            if cells.len() != N_CELLS {
                return Err(ExpectationError::Cells { found: cells.len() });
            }
            let mut cells = cells.iter().enumerate();
            if let Some((cell, &value)) = cells.find(|(_, value)| !(value.is_finite() && **value >= 0.0)) {
                return Err(ExpectationError::Value { cell, value });
            }
        }
        Ok(Self(levels))
    }
}

/// Tokens of each picture.
fn pictures(places: &[Place]) -> Vec<Vec<usize>> {
    let mut pictures: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (token, place) in places.iter().enumerate() {
        pictures.entry(place.picture).or_default().push(token);
    }
    pictures.into_values().collect()
}

fn levels(places: &[Place]) -> BTreeSet<Level> {
    places.iter().map(|place| place.level).collect()
}

fn in_one_picture(place: &Place) -> Place {
    Place { picture: 0, ..*place }
}

/// The cells of one level, row by row.
fn grid(level: Level) -> impl Iterator<Item = Place> {
    let edge = |index: usize| index as f64 / Expectation::SIDE as f64;
    (0..N_CELLS).map(move |cell| {
        let (x, y) = (cell % Expectation::SIDE, cell / Expectation::SIDE);
        let rect = Rect { x0: edge(x), y0: edge(y), x1: edge(x + 1), y1: edge(y + 1) };
        Place { picture: 0, level, rect }
    })
}

/// Through decimals, so that the text is as short as the value.
fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `side * side` equal tokens of one picture.
    fn tokens(picture: usize, level: Level, side: usize) -> Vec<Place> {
        let edge = |index: usize| index as f64 / side as f64;
        let place = |token: usize| {
            let (x, y) = (token % side, token / side);
            Place { picture, level, rect: Rect { x0: edge(x), y0: edge(y), x1: edge(x + 1), y1: edge(y + 1) } }
        };
        (0..side * side).map(place).collect()
    }

    /// An overview and four times as many detail tokens.
    fn both(picture: usize, side: usize) -> Vec<Place> {
        [tokens(picture, Level::Overview, side), tokens(picture, Level::Detail, 2 * side)].concat()
    }

    /// Some favoured places; mean about 1.
    fn habit(n: usize) -> Vec<f64> {
        (0..n).map(|token| 0.5 + (token * token % 7) as f64 / 6.0).collect()
    }

    fn measure(prompts: &[(Vec<f64>, Vec<Place>)]) -> Expectation {
        Expectation::measure(prompts.iter().map(|(mass, places)| (mass.as_slice(), places.as_slice()))).unwrap()
    }

    fn relative(mass: &[f64]) -> Vec<f64> {
        let mean = mass.iter().sum::<f64>() / mass.len() as f64;
        mass.iter().map(|mass| mass / mean).collect()
    }

    #[track_caller]
    fn close(found: &[f64], wanted: &[f64], tolerance: f64) {
        assert_eq!(found.len(), wanted.len());
        for (token, (a, b)) in found.iter().zip(wanted).enumerate() {
            assert!((a - b).abs() <= tolerance * b, "token {token}: {a} and not {b}");
        }
    }

    #[test]
    fn grids_that_divide_the_cells_come_back_as_they_were() {
        for side in [1, 8, 12, 16, 24, 48] {
            let (places, mass) = (tokens(0, Level::Detail, side), habit(side * side));
            close(&measure(&[(mass.clone(), places.clone())]).at(&places), &relative(&mass), 0.011);
        }
        let (places, mass) = (both(0, 8), habit(5 * 64));
        close(&measure(&[(mass.clone(), places.clone())]).at(&places), &relative(&mass), 0.011);
    }

    #[test]
    fn pictures_count_alike_whatever_attention_they_got() {
        let places = tokens(0, Level::Detail, 2);
        let one = vec![4.0, 0.0, 2.0, 2.0];
        let other = vec![100.0, 200.0, 0.0, 100.0];
        let nothing = vec![0.0; 4];
        let wanted = [1.5, 1.0, 0.5, 1.0];
        let apart = [one.clone(), other.clone(), nothing].map(|mass| (mass, places.clone()));
        close(&measure(&apart).at(&places), &wanted, 0.0);
        // In one prompt too.
        let together = ([one, other].concat(), [tokens(0, Level::Detail, 2), tokens(1, Level::Detail, 2)].concat());
        close(&measure(&[together]).at(&places), &wanted, 0.0);
    }

    #[test]
    fn every_picture_of_a_prompt_has_a_mean_of_one() {
        let measured = measure(&[(habit(64), tokens(0, Level::Overview, 8)), (habit(80), both(0, 4))]);
        for second in [tokens(1, Level::Overview, 3), both(1, 5), tokens(1, Level::Overview, 1)] {
            let (first, n) = (both(0, 4), second.len());
            let expected = measured.at(&[first.clone(), second.clone()].concat());
            assert_eq!(expected[..80], measured.at(&first));
            let mean = expected[80..].iter().sum::<f64>() / n as f64;
            assert!((mean - 1.0).abs() < 1e-9, "{mean}");
        }
    }

    #[test]
    fn levels_keep_their_own_where_all_were_measured() {
        let overview_is_favoured: Vec<f64> = (0..80).map(|token| if token < 16 { 3.0 } else { 0.5 }).collect();
        let measured = measure(&[(overview_is_favoured, both(0, 4))]);
        // Relative to the mean: the tokens of a level count as many as they are.
        let expected = measured.at(&both(0, 6));
        close(&expected, &[vec![3.0; 36], vec![0.5; 144]].concat(), 1e-9);
        assert_eq!(measured.at(&tokens(0, Level::Overview, 6)), [1.0; 36]);

        let half = |_| (0..16).map(|token| if token % 4 < 2 { 1.5 } else { 0.5 }).collect::<Vec<f64>>();
        let of_overviews = measure(&[(half(()), tokens(0, Level::Overview, 4))]);
        let (overview, detail) =
            of_overviews.at(&both(0, 2)).into_iter().enumerate().partition::<Vec<_>, _>(|(token, _)| *token < 4);
        let values = |part: Vec<(usize, f64)>| part.into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        close(&values(overview), &[1.5, 0.5, 1.5, 0.5], 1e-9);
        close(&values(detail), &half(()), 1e-9);
    }

    #[test]
    fn nothing_is_expected_to_get_nothing() {
        let places = tokens(0, Level::Detail, 2);
        let measured = measure(&[(vec![1.0, 1.0, 0.0, 0.0], places.clone())]);
        assert_eq!(measured.at(&places), [2.0, 2.0, 0.1, 0.1]);
        // A picture of which only that is seen, and one of which nothing is known.
        assert_eq!(measured.at(&places[2..]), [1.0, 1.0]);
        let outside = Place { rect: Rect { x0: 0.0, y0: 1.0, x1: 1.0, y1: 2.0 }, ..places[0] };
        assert_eq!(measured.at(&[outside]), [1.0]);
        assert!(measured.at(&[]).is_empty());
    }

    #[test]
    fn without_attention_there_is_no_expectation() {
        let places = tokens(0, Level::Detail, 2);
        assert_eq!(Expectation::measure([]), None);
        for mass in [&[][..], &[0.0; 4], &[f64::NAN; 4], &[f64::INFINITY; 4]] {
            assert_eq!(Expectation::measure([(mass, places.as_slice())]), None);
        }
    }

    #[test]
    fn text_is_short_and_checked() {
        let measured = measure(&[(habit(320), both(0, 8))]);
        let text = serde_json::to_string(&measured).unwrap();
        assert!(text.starts_with(r#"{"overview":["#) && text.contains(r#"],"detail":["#), "{}", &text[..40]);
        assert!(text.len() < 2 * 7 * N_CELLS, "{}", text.len());
        assert_eq!(serde_json::from_str::<Expectation>(&text).unwrap(), measured);

        let error = |cells: &str| serde_json::from_str::<Expectation>(cells).unwrap_err().to_string();
        let one_level = |first: &str| format!(r#"{{"detail":[{first}{}]}}"#, ",1".repeat(N_CELLS - 1));
        assert!(serde_json::from_str::<Expectation>(&one_level("0")).is_ok());
        assert!(error(&one_level("-1")).contains("is -1 in cell 0"));
        assert!(error(&one_level("1,1")).contains("2305 cells on one level, not 2304"));
        assert!(error("{}").contains("no level"));
        assert!(error(r#"{"whole":[]}"#).contains("whole"));
        let not_finite = BTreeMap::from([(Level::Detail, vec![f64::NAN; N_CELLS])]);
        assert!(matches!(Expectation::try_from(not_finite), Err(ExpectationError::Value { cell: 0, .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn even_attention_expects_the_same_everywhere(side in 1usize..8, other in 1usize..8, mass in 0.001..1000.0f64) {
            let measured = measure(&[(vec![mass; 5 * side * side], both(0, side))]);
            prop_assert_eq!(measured.at(&both(0, other)), vec![1.0; 5 * other * other]);
        }

        #[test]
        fn other_grids_see_values_between_those_measured(side in 1usize..9, other in 1usize..9) {
            let mass = relative(&habit(side * side));
            let expected = measure(&[(mass.clone(), tokens(0, Level::Detail, side))]).at(&tokens(0, Level::Detail, other));
            let least = mass.iter().copied().fold(f64::INFINITY, f64::min).max(Expectation::FLOOR);
            let most = mass.iter().copied().fold(0.0, f64::max);
            prop_assert!(expected.iter().all(|value| (0.98 * least..=1.02 * most).contains(value)), "{:?}", expected);
        }
    }
}
