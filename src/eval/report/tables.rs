//! Which tables a summary has.

use super::grid::{GUIDE, Grid, SIGNIFICANT, UNPRUNED, groups};
use super::number::{bare_range, decimal, mean_count, milliseconds, p_value, percent, points, points_range, retention};
use super::table::{Cell, Mark, Table};
use crate::eval::summary::{ExitRow, Figure, Loss, OverlapRow, Row};

const NOT_RUN: &str = "cannot be run on this benchmark";
const NOT_ASKED: &str = "not measured";
const NOT_COMPARED: &str = "no answers of the unpruned target to compare with";
const COMPARED_WITH: &str = "what the others are compared with";
const NO_TARGET: &str = "the target does not run";
const NOT_TIMED: &str = "no times were taken";

/// Accuracy of each policy at each retention.
pub(super) fn accuracies(grid: &Grid) -> Option<Table> {
    if grid.policies.is_empty() && grid.unpruned.is_none() && grid.guide.is_none() {
        return None;
    }
    let n_more_columns = grid.retains.len().max(1) - 1;
    let reference = |row: &Row, name: &str| {
        let interval = row.ci95.map(bare_range).unwrap_or_default();
        let cell = accuracy_cell(Some(row)).with_detail(Some(format!("{interval} with all visual tokens")));
        vec![Cell::head(name), Cell { n_more_columns, ..cell }]
    };
    let references: Vec<_> = [(grid.unpruned, "unpruned target"), (grid.guide, "guide alone")]
        .into_iter()
        .filter_map(|(row, name)| Some(reference(row?, name)))
        .collect();
    let policy = |policy: &&str| {
        let cells = grid.retains.iter().map(|&retain| accuracy_cell(grid.row(policy, retain)));
        [Cell::head(*policy)].into_iter().chain(cells).collect()
    };
    let policies: Vec<Vec<Cell>> = grid.policies.iter().map(policy).collect();
    let columns = grid.retains.iter().map(|&retain| retention(retain));
    let columns: Vec<String> = ["policy".to_owned()].into_iter().chain(columns).collect();
    let columns = if columns.len() == 1 { vec!["policy".to_owned(), "accuracy".to_owned()] } else { columns };
    let groups: Vec<_> = [references, policies].into_iter().filter(|group| !group.is_empty()).collect();
    let mut notes = Vec::new();
    let is_marked = |mark| groups.iter().flatten().flatten().any(|cell: &Cell| cell.mark == Some(mark));
    if is_marked(Mark::Lost) {
        notes.push(format!("▼ significantly lower than the unpruned target (p < {SIGNIFICANT}, paired)."));
    }
    if is_marked(Mark::Gained) {
        notes.push(format!("▲ significantly higher than the unpruned target (p < {SIGNIFICANT}, paired)."));
    }
    notes.extend(missing_note(&groups));
    Some(Table {
        id: "accuracies".into(),
        caption: "Accuracy by share of the visual tokens, with 95\u{a0}% intervals".into(),
        columns,
        groups,
        notes,
    })
}

/// All numbers of all rows.
pub(super) fn details(grid: &Grid) -> Option<Table> {
    let references = [grid.unpruned, grid.guide].into_iter().flatten().map(detail_cells).collect();
    let of_policy =
        |policy: &&str| grid.retains.iter().filter_map(|&retain| grid.row(policy, retain)).map(detail_cells).collect();
    let groups = [references].into_iter().chain(grid.policies.iter().map(of_policy));
    let groups: Vec<Vec<Vec<Cell>>> = groups.filter(|group: &Vec<_>| !group.is_empty()).collect();
    if groups.is_empty() {
        return None;
    }
    let mut notes: Vec<String> = [
        "Loss: the unpruned target's accuracy less this one, on the same cases, in percentage points; negative is a gain.",
        "p: two-sided, of no difference; not corrected for the number of rows.",
        "Hurt, rescued: share of the cases that pruning made worse, better.",
        "Kept: mean share of the visual tokens that the target really read.",
        "Times are medians; the total has all that a policy needs before the target reads. Cost: the total over the unpruned target's.",
    ]
    .map(str::to_owned)
    .to_vec();
    notes.extend(missing_note(&groups));
    let columns = [
        "policy",
        "share",
        "cases",
        "accuracy",
        "loss",
        "p",
        "hurt",
        "rescued",
        "kept",
        "target, ms",
        "total, ms",
        "cost",
    ];
    Some(Table {
        id: "details".into(),
        caption: "Every policy at every share, with 95\u{a0}% intervals".into(),
        columns: columns.map(str::to_owned).to_vec(),
        groups,
        notes,
    })
}

/// Accuracy by kind of question at one retention, the references beside the policies.
pub(super) fn kinds(grid: &Grid, retain: f64) -> Option<Table> {
    let references = [(UNPRUNED, grid.unpruned), (GUIDE, grid.guide)];
    let policies = grid.policies.iter().map(|&policy| (policy, grid.row(policy, retain)));
    let rows: Vec<(&str, &Row)> = references
        .into_iter()
        .chain(policies)
        .filter_map(|(name, row)| Some((name, row.filter(|row| !row.kinds.is_empty())?)))
        .collect();
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for kind in rows.iter().flat_map(|(_, row)| &row.kinds) {
        if !kinds.iter().any(|(name, _)| *name == kind.kind) {
            kinds.push((&kind.kind, kind.n));
        }
    }
    if kinds.len() < 2 || !rows.iter().any(|(name, _)| ![UNPRUNED, GUIDE].contains(name)) {
        return None;
    }
    let cells = |&(kind, n): &(&str, usize)| {
        let of_row = |(_, row): &(&str, &Row)| {
            row.kinds.iter().find(|found| found.kind == kind).map(|found| percent(found.accuracy))
        };
        let accuracies = rows.iter().map(|row| Cell::value_or(of_row(row), NOT_ASKED));
        [Cell::head(kind), Cell::value(n.to_string())].into_iter().chain(accuracies).collect()
    };
    let groups = vec![kinds.iter().map(cells).collect()];
    let names = rows.iter().map(|(name, _)| if *name == UNPRUNED { "unpruned" } else { name });
    Some(Table {
        id: format!("kinds-{}", (retain * 10_000.0).round()),
        caption: format!("Accuracy by kind of question at {} of the visual tokens", retention(retain)),
        columns: ["kind", "cases"].into_iter().chain(names).map(str::to_owned).collect(),
        notes: missing_note(&groups).into_iter().collect(),
        groups,
    })
}

/// Early exit by signal and threshold.
pub(super) fn exits(curve: &[ExitRow]) -> Option<Table> {
    let cells = |row: &&ExitRow| {
        vec![
            Cell::head(&row.signal),
            Cell::value(decimal(row.threshold)),
            Cell::value(percent(row.exited)),
            Cell::value_or(row.exited_accuracy.map(percent), "no question ends early"),
            Cell::value(percent(row.accuracy)).with_detail(Some(bare_range(row.ci95))),
            Cell::value(decimal(row.cost)),
        ]
    };
    let groups: Vec<Vec<_>> =
        groups(curve, |row| &row.signal).iter().map(|(_, rows)| rows.iter().map(cells).collect()).collect();
    let columns = ["signal", "threshold", "end early", "their accuracy", "accuracy in all", "cost"];
    (!groups.is_empty()).then(|| Table {
        id: "exits".into(),
        caption: "Early exit by threshold, with 95\u{a0}% intervals".into(),
        columns: columns.map(str::to_owned).to_vec(),
        notes: ["Cost: mean time over that of the unpruned target.".to_owned()]
            .into_iter()
            .chain(missing_note(&groups))
            .collect(),
        groups,
    })
}

/// Early exit by SEE's score, by kind of question.
pub(super) fn exit_kinds(curve: &[ExitRow]) -> Option<Table> {
    let rows: Vec<&ExitRow> = curve.iter().filter(|row| row.signal == "mean").collect();
    let kinds: Vec<&str> = rows.first()?.kinds.iter().map(|kind| kind.kind.as_str()).collect();
    if kinds.len() < 2 {
        return None;
    }
    let cells = |row: &&ExitRow| {
        let of = |name: &&str| {
            let kind = row.kinds.iter().find(|kind| kind.kind == *name);
            let exited = kind.map(|kind| format!("{} end early", percent(kind.exited)));
            Cell::value_or(kind.map(|kind| percent(kind.accuracy)), "no question of this kind").with_detail(exited)
        };
        std::iter::once(Cell::head(decimal(row.threshold))).chain(kinds.iter().map(of)).collect()
    };
    let groups = vec![rows.iter().map(cells).collect()];
    Some(Table {
        id: "exit-kinds".into(),
        caption: "Accuracy in all by threshold of the mean, by kind of question".into(),
        columns: ["threshold"].into_iter().chain(kinds.iter().copied()).map(str::to_owned).collect(),
        notes: missing_note(&groups).into_iter().collect(),
        groups,
    })
}

/// Agreement of rankings.
pub(super) fn overlaps(overlap: &[OverlapRow]) -> Option<Table> {
    let cells = |row: &&OverlapRow| {
        vec![
            Cell::head(&row.policy),
            Cell::value(retention(row.retain)),
            Cell::value(mean_count(row.k)),
            Cell::value(percent(row.top_k_overlap)),
            Cell::value(percent(row.chance)),
            Cell::value_or(row.rank_correlation.map(decimal), "one of the rankings is constant"),
        ]
    };
    let groups: Vec<Vec<_>> =
        groups(overlap, |row| &row.policy).iter().map(|(_, rows)| rows.iter().map(cells).collect()).collect();
    let columns = ["ranking", "share", "k", "overlap", "chance", "rank correlation"];
    (!groups.is_empty()).then(|| Table {
        id: "overlaps".into(),
        caption: "The guide's ranking against the target's own, means over questions".into(),
        columns: columns.map(str::to_owned).to_vec(),
        groups,
        notes: vec!["Rank correlation: Spearman's, over all visual tokens.".to_owned()],
    })
}

/// What the benchmark's authors report.
pub(super) fn figures(figures: &[Figure]) -> Option<Table> {
    let mut names: Vec<&str> = Vec::new();
    let mut rows: Vec<(&str, f64)> = Vec::new();
    for figure in figures {
        if !names.contains(&figure.name.as_str()) {
            names.push(&figure.name);
        }
        if !rows.contains(&(&figure.policy, figure.retain)) {
            rows.push((&figure.policy, figure.retain));
        }
    }
    let cells = |&(policy, retain): &(&str, f64)| {
        let value = |name: &&str| {
            let is_it = |figure: &&Figure| figure.policy == policy && figure.retain == retain && figure.name == *name;
            Cell::value_or(figures.iter().find(is_it).map(|figure| decimal(figure.value)), NOT_ASKED)
        };
        let heads = [Cell::head(policy), Cell::value(retention(retain))];
        heads.into_iter().chain(names.iter().map(value)).collect::<Vec<_>>()
    };
    let groups: Vec<Vec<_>> =
        rows.chunk_by(|one, other| one.0 == other.0).map(|rows| rows.iter().map(cells).collect()).collect();
    (!groups.is_empty()).then(|| Table {
        id: "figures".into(),
        caption: "Figures beside accuracy, in their own units".into(),
        columns: ["policy", "share"].into_iter().chain(names).map(str::to_owned).collect(),
        notes: missing_note(&groups).into_iter().collect(),
        groups,
    })
}

fn accuracy_cell(row: Option<&Row>) -> Cell {
    let Some(row) = row else { return Cell::missing(NOT_ASKED) };
    let cell = Cell::value_or(row.accuracy.filter(|_| row.n > 0).map(percent), NOT_RUN);
    Cell { mark: mark_of(row), ..cell.with_detail(row.ci95.map(bare_range)) }
}

fn detail_cells(row: &Row) -> Vec<Cell> {
    let why = |other: &'static str| if row.n == 0 { NOT_RUN } else { other };
    let target = |other: &'static str| if row.policy == GUIDE { NO_TARGET } else { other };
    let not_compared = if row.policy == UNPRUNED { COMPARED_WITH } else { why(NOT_COMPARED) };
    let loss = |number: fn(&Loss) -> String| Cell::value_or(row.loss.as_ref().map(number), not_compared);
    vec![
        Cell::head(&row.policy),
        Cell::value(retention(row.retain)),
        Cell::value(row.n.to_string()),
        Cell { mark: None, ..accuracy_cell(Some(row)) },
        Cell {
            mark: mark_of(row),
            ..loss(|loss| points(loss.mean)).with_detail(row.loss.as_ref().map(|loss| points_range(loss.ci95)))
        },
        loss(|loss| p_value(loss.p)),
        loss(|loss| percent(loss.hurt)),
        loss(|loss| percent(loss.rescued)),
        Cell::value_or(row.kept.map(percent), why(target(NOT_ASKED))),
        Cell::value_or(row.target_ms_median.map(milliseconds), why(target(NOT_TIMED))),
        Cell::value_or(row.total_ms_median.map(milliseconds), why(NOT_TIMED)),
        Cell::value_or(row.cost.map(decimal), why(NOT_TIMED)),
    ]
}

fn mark_of(row: &Row) -> Option<Mark> {
    let loss = row.loss.as_ref().filter(|loss| loss.p < SIGNIFICANT && loss.mean != 0.0)?;
    Some(if loss.mean > 0.0 { Mark::Lost } else { Mark::Gained })
}

/// What the dashes of a table mean.
fn missing_note(groups: &[Vec<Vec<Cell>>]) -> Option<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in groups.iter().flatten() {
        let name = row.first().map_or("", |head| head.text.as_str());
        for why in row.iter().filter_map(|cell| cell.missing) {
            match reasons.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, names)) if names.contains(&name) => {}
                Some((_, names)) => names.push(name),
                None => reasons.push((why, vec![name])),
            }
        }
    }
    let reasons: Vec<String> = reasons.iter().map(|(why, names)| format!("{why} ({})", names.join(", "))).collect();
    (!reasons.is_empty()).then(|| format!("– {}.", reasons.join("; ")))
}
