//! What changed between two measurements of equal settings, and what is noise.

use super::measurement::{Measurement, Medians, Ratios};
use crate::eval::stats::median;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Two measurements side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// One for each time and ratio that both have.
    pub rows: Vec<Row>,
}

/// One time, `VARIANT.PHASE` in milliseconds, or one ratio, `ratios.NAME`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Median of the old measurement.
    pub old: f64,
    /// Median of the new one.
    pub new: f64,
    /// How many times the old one the new one is: the median over all pairs of a new and an old round (Hodges and Lehmann).
    pub ratio: f64,
    /// Its 95 % interval, from ranks (Mann and Whitney), whatever the distribution of times; `None`: there are too few rounds
    /// for any.
    pub ci95: Option<[f64; 2]>,
    /// What follows from it.
    pub verdict: Verdict,
}

/// Whether the interval leaves out 1. One in twenty does by chance where nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// The new one takes less.
    #[serde(rename = "faster")]
    Faster,
    /// The new one takes more.
    #[serde(rename = "slower")]
    Slower,
    /// Noise could be all there is.
    #[serde(rename = "no difference shown")]
    NoDifferenceShown,
}

/// Why two measurements are not compared.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// They measured different things.
    #[error("the two files measured different things: {}; measure both with the same flags", .differences.join(", "))]
    Settings { differences: Vec<String> },
}

/// Compares the raw rounds. At least 4 rounds in each are needed to show anything.
///
/// # Errors
/// [`CompareError::Settings`].
pub fn compare(old: &Measurement, new: &Measurement) -> Result<Comparison, CompareError> {
    let differences = differences(old, new);
    if !differences.is_empty() {
        return Err(CompareError::Settings { differences });
    }
    let (old, new) = (samples(old), samples(new));
    let row = |(name, old): (&String, &Vec<f64>)| {
        let new = new.get(name)?;
        let pairs = pairwise(old, new);
        let ci95 = interval(&pairs, old.len(), new.len());
        let verdict = match ci95 {
            Some([_, high]) if high < 1.0 => Verdict::Faster,
            Some([low, _]) if low > 1.0 => Verdict::Slower,
            _ => Verdict::NoDifferenceShown,
        };
        Some(Row { name: name.clone(), old: median(old)?, new: median(new)?, ratio: median(&pairs)?, ci95, verdict })
    };
    Ok(Comparison { rows: old.iter().filter_map(row).collect() })
}

/// Settings that differ, as `path: old, new`.
pub fn differences(old: &Measurement, new: &Measurement) -> Vec<String> {
    let leaves = |measurement: &Measurement| {
        let mut leaves = BTreeMap::new();
        flatten("", &serde_json::to_value(&measurement.settings).unwrap_or_default(), &mut leaves);
        leaves
    };
    let (old, new) = (leaves(old), leaves(new));
    let nothing = "nothing".to_owned();
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let pair = |name: &&String| [&old, &new].map(|leaves| leaves.get(*name).unwrap_or(&nothing).clone());
    let differs = names.iter().map(|name| (name, pair(name))).filter(|(_, [old, new])| old != new);
    differs.map(|(name, [old, new])| format!("{name} is {old} and {new}")).collect()
}

fn flatten(path: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| flatten(&below(name), value, leaves)),
        Value::Null => {}
        Value::String(text) => drop(leaves.insert(path.to_owned(), text.clone())),
        value => drop(leaves.insert(path.to_owned(), value.to_string())),
    }
}

/// All rounds of every time and ratio.
fn samples(measurement: &Measurement) -> BTreeMap<String, Vec<f64>> {
    let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in &measurement.rounds {
        let times = round
            .variants()
            .flat_map(|(variant, times)| times.iter().map(move |(name, ms)| (format!("{variant}.{name}"), ms)));
        let ratios = Ratios::of(&Medians::from(round), measurement.settings.baseline);
        let ratios = ratios.iter().filter_map(|(name, ratio)| Some((format!("ratios.{name}"), ratio?)));
        for (name, value) in times.chain(ratios).filter(|(_, value)| *value > 0.0) {
            samples.entry(name).or_default().push(value);
        }
    }
    samples
}

/// Ratios of every new value and every old one, rising.
fn pairwise(old: &[f64], new: &[f64]) -> Vec<f64> {
    let mut pairs: Vec<f64> = new.iter().flat_map(|new| old.iter().map(move |old| new / old)).collect();
    pairs.sort_by(f64::total_cmp);
    pairs
}

/// The 95 % interval of the ratio of two samples: as many of the sorted pairs are cut off at either end as Mann and
/// Whitney's statistic stays below with a probability of at most 2.5 % if nothing differs.
fn interval(pairs: &[f64], n_old: usize, n_new: usize) -> Option<[f64; 2]> {
    const TAIL: f64 = 0.025;
    let ways = orders(n_old, n_new);
    let all: f64 = ways.iter().sum();
    let cumulated = ways.iter().scan(0.0, |below, ways| {
        *below += ways;
        Some(*below)
    });
    let n_cut = cumulated.take_while(|below| below / all <= TAIL).count();
    if n_cut == 0 {
        return None;
    }
    // The interval begins with the last of those that are as rare.
    Some([*pairs.get(n_cut - 1)?, *pairs.get(pairs.len().checked_sub(n_cut)?)?])
}

/// In how many orders of `n` and `m` values exactly `u` pairs have the value of the first sample above that of the second,
/// for each `u` from 0 to `n m`: the coefficients of the Gaussian binomial, product of `(1 - q^(m + i)) / (1 - q^i)`.
fn orders(n: usize, m: usize) -> Vec<f64> {
    let mut ways = vec![0.0; n * m + 1];
    ways[0] = 1.0;
    for i in 1..=n {
        for u in (m + i..ways.len()).rev() {
            ways[u] -= ways[u - m - i];
        }
        for u in i..ways.len() {
            ways[u] += ways[u - i];
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::super::measurement::tests::{measurement, round};
    use super::*;

    #[test]
    fn orders_are_counted() {
        assert_eq!(orders(2, 2), [1.0, 1.0, 2.0, 1.0, 1.0]);
        assert_eq!(orders(1, 3), [1.0; 4]);
        assert_eq!(orders(5, 5).iter().sum::<f64>(), 252.0);
        assert_eq!(orders(5, 5)[..4], [1.0, 1.0, 2.0, 3.0]);
        assert_eq!(orders(0, 3), [1.0]);
    }

    #[test]
    fn intervals_need_four_rounds() {
        let of = |old: &[f64], new: &[f64]| interval(&pairwise(old, new), old.len(), new.len());
        // 1 order of 20 is more than 2.5 %, 1 of 70 is not.
        assert_eq!(of(&[1.0; 3], &[2.0; 3]), None);
        assert_eq!(of(&[1.0, 1.0, 1.0, 4.0], &[2.0; 4]), Some([0.5, 2.0]));
        // 1, 1 and 2 orders of 252: the two least and the two largest ratios are cut off.
        let five = [1.0, 2.0, 4.0, 8.0, 16.0];
        assert_eq!(of(&five, &five), Some([0.125, 8.0]));
        assert_eq!(of(&[], &[1.0]), None);
    }

    #[test]
    fn intervals_cover() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut sample = |n: usize| (0..n).map(|_| 1.0 + random.f64() + random.f64().powi(8)).collect::<Vec<_>>();
        let covered = (0..2000).filter(|_| {
            let (old, new) = (sample(5), sample(7));
            let [low, high] = interval(&pairwise(&old, &new), 5, 7).unwrap();
            (low..=high).contains(&1.0)
        });
        let covered = covered.count() as f64 / 2000.0;
        assert!((0.94..0.98).contains(&covered), "{covered}");
    }

    #[test]
    fn what_differs_by_more_than_noise_is_said() {
        let noisy = |slow: f64| measurement([1.0, 1.02, 0.98, 1.01, 0.99].map(|noise| round(slow * noise)).to_vec());
        let verdicts = |old: &Measurement, new: &Measurement| {
            let rows = compare(old, new).unwrap().rows;
            let ratios = rows.iter().filter(|row| row.name.starts_with("ratios."));
            assert!(ratios.clone().count() == 5 && ratios.clone().all(|row| row.verdict == Verdict::NoDifferenceShown));
            let total = rows.iter().find(|row| row.name == "guided.total").unwrap();
            (total.verdict, total.ratio)
        };
        assert_eq!(verdicts(&noisy(1.0), &noisy(1.001)).0, Verdict::NoDifferenceShown);
        let (verdict, ratio) = verdicts(&noisy(1.0), &noisy(1.2));
        assert!(verdict == Verdict::Slower && (ratio - 1.2).abs() < 0.01, "{ratio}");
        assert_eq!(verdicts(&noisy(1.2), &noisy(1.0)).0, Verdict::Faster);
        let few = measurement(vec![round(1.0)]);
        assert_eq!(verdicts(&few, &measurement(vec![round(3.0)])).0, Verdict::NoDifferenceShown);
    }

    #[test]
    fn other_settings_are_named() {
        let old = measurement(vec![round(1.0)]);
        let mut new = old.clone();
        new.build.version = "9".to_owned();
        assert_eq!(differences(&old, &new), [""; 0], "builds may differ");
        new.settings.threads = 4;
        new.settings.kept_tiles = Some(2);
        new.settings.target.model.hash = "1".to_owned();
        let expected = ["kept_tiles is nothing and 2", "target.model.hash is 0 and 1", "threads is 1 and 4"];
        assert_eq!(differences(&old, &new), expected);
        assert!(compare(&old, &new).unwrap_err().to_string().contains("threads is 1 and 4"));
    }
}
