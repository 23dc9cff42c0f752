//! Which plots a summary has.

use super::grid::{Grid, groups};
use super::look::{Look, Marker, SOFT, TEXT};
use super::number::{decimal, retention};
use super::plot::{Axis, Names, Plot, Series};
use crate::eval::summary::{ExitRow, OverlapRow, Row};

const UNPRUNED_DASH: Option<(u32, u32)> = Some((10, 4));
const GUIDE_DASH: Option<(u32, u32)> = Some((3, 3));

/// Accuracy over retention, which grows to the left, so that names stand where the lines are furthest apart.
pub(super) fn accuracy_by_retention(grid: &Grid) -> Option<Plot> {
    if grid.retains.len() < 2 {
        return None;
    }
    let right = (grid.retains.len() - 1) as f64;
    let policies: Vec<Series> = some(policies(grid, |place, _| Some(place as f64)).collect())?;
    let level = |(row, name, look): (Option<&Row>, &str, Look)| {
        let accuracy = row?.accuracy?;
        Some(Series { name: name.into(), points: vec![(0.0, accuracy), (right, accuracy)], look })
    };
    let references = references(grid).into_iter().filter_map(level);
    let series: Vec<Series> = references.chain(policies).collect();
    let band = grid.unpruned.and_then(|row| row.ci95);
    Some(Plot {
        id: "accuracy",
        title: "Accuracy of each policy by share of the visual tokens".into(),
        x: retention_axis(&grid.retains, "share of the visual tokens that the target reads"),
        y: share_axis("accuracy", ordinates(&series).chain(band.into_iter().flatten())),
        band,
        series,
        names: Names::AtEnd,
    })
}

/// Accuracy over cost, one point for each retention.
pub(super) fn accuracy_by_cost(grid: &Grid) -> Option<Plot> {
    let policies: Vec<Series> = some(policies(grid, |_, row| row.cost.filter(|cost| cost.is_finite())).collect())?;
    let point = |((row, name, look), marker): ((Option<&Row>, &str, Look), Marker)| {
        let look = Look { marker: Some(marker), ..look };
        Some(Series { name: name.into(), points: vec![(row?.cost?, row?.accuracy?)], look })
    };
    let references = references(grid).into_iter().zip([Marker::Circle, Marker::Square]).filter_map(point);
    let series: Vec<Series> = references.chain(policies).collect();
    let greatest = series.iter().flat_map(|series| &series.points).map(|point| point.0).fold(1.0, f64::max);
    Some(Plot {
        id: "cost",
        title: "Accuracy of each policy by cost".into(),
        x: Axis {
            name: "median time over that of the unpruned target",
            ..steps([0.0, greatest], &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0], decimal)
        },
        y: share_axis("accuracy", ordinates(&series)),
        band: None,
        series,
        names: Names::Listed,
    })
}

/// Accuracy over the share of questions that end early, a line for each signal.
pub(super) fn early_exit(curve: &[ExitRow], grid: &Grid) -> Option<Plot> {
    let lines = groups(curve, |row| &row.signal).into_iter().enumerate().map(|(index, (signal, rows))| {
        let mut points = ascending(rows.iter().map(|row| (row.exited, row.accuracy)));
        points.dedup();
        Series { name: signal.into(), points, look: Look::of(index) }
    });
    let lines: Vec<Series> = some(lines.filter(|series| !series.points.is_empty()).collect())?;
    let level = |(row, name, look): (Option<&Row>, &str, Look)| {
        let accuracy = row?.accuracy?;
        Some(Series { name: name.into(), points: vec![(0.0, accuracy), (1.0, accuracy)], look })
    };
    let series: Vec<Series> = references(grid).into_iter().filter_map(level).chain(lines).collect();
    Some(Plot {
        id: "exit",
        title: "Accuracy by share of questions that end early with the guide's answer".into(),
        x: Axis { name: "share of questions that end early", ..steps([0.0, 1.0], &[0.2], retention) },
        y: share_axis("accuracy", ordinates(&series)),
        band: None,
        series,
        names: Names::AtEnd,
    })
}

/// Overlap of the best k over k, with chance.
pub(super) fn overlap(overlap: &[OverlapRow], grid: &Grid) -> Option<Plot> {
    let mut retains: Vec<f64> = overlap.iter().map(|row| row.retain).collect();
    retains.sort_by(|one, other| other.total_cmp(one));
    retains.dedup();
    if retains.len() < 2 {
        return None;
    }
    let place = |row: &OverlapRow| retains.iter().position(|&retain| retain == row.retain).unwrap_or(0) as f64;
    let line = |rows: &[&OverlapRow], value: fn(&OverlapRow) -> f64| {
        ascending(rows.iter().map(|row| (place(row), value(row))))
    };
    let rankings = groups(overlap, |row| &row.policy);
    let chance = Series {
        name: "chance".into(),
        points: line(&rankings.first()?.1, |row| row.chance),
        look: Look::reference(SOFT, GUIDE_DASH),
    };
    let rankings = rankings.into_iter().enumerate().map(|(index, (policy, rows))| {
        let known = grid.policies.iter().position(|&name| name == policy);
        let look = Look::of(known.unwrap_or(grid.policies.len() + index));
        Series { name: policy.into(), points: line(&rows, |row| row.top_k_overlap), look }
    });
    let series: Vec<Series> = [chance].into_iter().chain(rankings).collect();
    Some(Plot {
        id: "overlap",
        title: "Share of the target's own best visual tokens that the guide names".into(),
        x: retention_axis(&retains, "share of the visual tokens that the best are"),
        y: share_axis("overlap", ordinates(&series)),
        band: None,
        series: some(series)?,
        names: Names::AtEnd,
    })
}

fn references<'a>(grid: &Grid<'a>) -> [(Option<&'a Row>, &'static str, Look); 2] {
    [
        (grid.unpruned, "unpruned", Look::reference(TEXT, UNPRUNED_DASH)),
        (grid.guide, "guide alone", Look::reference(SOFT, GUIDE_DASH)),
    ]
}

/// A line for each policy through the rows that were run, `x` giving the place of one from the index of its retention.
fn policies<'a>(grid: &'a Grid, x: impl Fn(usize, &Row) -> Option<f64> + 'a) -> impl Iterator<Item = Series> + 'a {
    let line = move |(index, policy): (usize, &&str)| {
        let point = |(place, &retain): (usize, &f64)| {
            let (row, accuracy) = grid.accuracy(policy, retain)?;
            Some((x(place, row)?, accuracy))
        };
        let points: Vec<_> = grid.retains.iter().enumerate().filter_map(point).filter(is_finite).collect();
        Series { name: (*policy).to_owned(), points, look: Look::of(index) }
    };
    grid.policies.iter().enumerate().map(line).filter(|series| !series.points.is_empty())
}

/// Retentions side by side, evenly: a tenth and nine hundredths would be one on any scale that has a half.
fn retention_axis(retains: &[f64], name: &'static str) -> Axis {
    let ticks = retains.iter().enumerate().map(|(place, &retain)| (place as f64, retention(retain)));
    Axis { name, range: [0.0, (retains.len() - 1) as f64], ticks: ticks.collect() }
}

fn share_axis(name: &'static str, values: impl Iterator<Item = f64>) -> Axis {
    let [low, high] = values.fold([1.0, 0.0], |[low, high]: [f64; 2], value| [low.min(value), high.max(value)]);
    Axis { name, ..steps([low.min(high), high.max(low)], &[0.02, 0.05, 0.1, 0.2], retention) }
}

/// An axis around a range whose ticks are the smallest of `steps` apart that needs no more than seven of them, or a
/// multiple of the last.
fn steps([low, high]: [f64; 2], steps: &[f64], label: impl Fn(f64) -> String) -> Axis {
    const MAX_STEPS: f64 = 7.0;
    let ends = |step: f64| {
        let first = (low / step + 1e-9).floor();
        (first, (high / step - 1e-9).ceil().max(first + 1.0))
    };
    let fits = |step: &f64| ends(*step).1 - ends(*step).0 <= MAX_STEPS;
    let last = steps.last().copied().unwrap_or(1.0);
    let multiple = last * ((high - low) / last / MAX_STEPS).ceil();
    let step = steps.iter().copied().find(fits).unwrap_or(multiple);
    let (first, last) = ends(step);
    let ticks = (first as i64..=last as i64).map(|index| (index as f64 * step, label(index as f64 * step)));
    Axis { name: "", range: [first * step, last * step], ticks: ticks.collect() }
}

fn ordinates(series: &[Series]) -> impl Iterator<Item = f64> {
    series.iter().flat_map(|series| &series.points).map(|point| point.1)
}

fn ascending(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut points: Vec<_> = points.filter(is_finite).collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    points
}

fn is_finite(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

fn some(series: Vec<Series>) -> Option<Vec<Series>> {
    (!series.is_empty()).then_some(series)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|(_, label)| label.replace('\u{a0}', " ")).collect()
    }

    #[test]
    fn lines_are_the_rows_that_were_run() {
        let summary = fixture::summary();
        let plot = accuracy_by_retention(&Grid::of(&summary)).unwrap();
        let names: Vec<&str> = plot.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names[..4], ["unpruned", "guide alone", "global", "layer:1"]);
        assert_eq!(names.len(), 12, "lowres was not run");
        assert_eq!(plot.series[2].points.len(), 5);
        assert_eq!(labels(&plot.x), ["50 %", "25 %", "10 %", "9 %", "5 %"]);
        assert_eq!((plot.y.range[1], labels(&plot.y).pop().unwrap().as_str()), (1.0, "100 %"));
    }

    #[test]
    fn a_policy_looks_alike_in_all_plots() {
        let summary = fixture::summary();
        let grid = Grid::of(&summary);
        let looks = |plot: Plot| plot.series.into_iter().find(|series| series.name == "layer:2").unwrap().look;
        let look = looks(accuracy_by_retention(&grid).unwrap());
        assert_eq!(looks(accuracy_by_cost(&grid).unwrap()), look);
        assert_eq!(looks(overlap(&summary.overlap, &grid).unwrap()), look);
    }

    #[test]
    fn ticks_are_few_and_around_the_values() {
        let axis = steps([0.31, 0.94], &[0.02, 0.05, 0.1, 0.2], retention);
        assert_eq!(labels(&axis), ["30 %", "40 %", "50 %", "60 %", "70 %", "80 %", "90 %", "100 %"]);
        let flat = steps([0.5, 0.5], &[0.02, 0.05], retention);
        assert_eq!(labels(&flat), ["50 %", "52 %"]);
        assert_eq!(steps([0.0, 1.04], &[0.1, 0.25], decimal).range, [0.0, 1.25]);
        assert_eq!(steps([0.0, 1e9], &[0.1, 10.0], decimal).ticks.len(), 8);
    }

    #[test]
    fn without_numbers_there_is_no_plot() {
        let mut summary = fixture::summary();
        summary.rows.retain(|row| row.n == 0);
        let grid = Grid::of(&summary);
        assert!(accuracy_by_retention(&grid).is_none());
        assert!(accuracy_by_cost(&grid).is_none());
        assert!(early_exit(&[], &grid).is_none());
        assert!(overlap(&[], &grid).is_none());
    }
}
