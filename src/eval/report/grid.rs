//! The rows of a summary by policy and retention.

use crate::eval::summary::{Row, Summary};

/// Name of the row of the unpruned target.
pub(super) const UNPRUNED: &str = "none";
/// Name of the row of the guide alone.
pub(super) const GUIDE: &str = "guide";

/// Two-sided p values below this are called significant.
pub(super) const SIGNIFICANT: f64 = 0.05;

#[derive(Debug)]
pub(super) struct Grid<'a> {
    rows: &'a [Row],
    pub(super) unpruned: Option<&'a Row>,
    pub(super) guide: Option<&'a Row>,
    /// All others in the order of their first rows.
    pub(super) policies: Vec<&'a str>,
    /// The retentions of those, from the greatest on.
    pub(super) retains: Vec<f64>,
}

impl<'a> Grid<'a> {
    pub(super) fn of(summary: &'a Summary) -> Self {
        let rows = &summary.rows[..];
        let reference = |name: &str| rows.iter().find(|row| row.policy == name);
        let (mut policies, mut retains) = (Vec::new(), Vec::new());
        for row in rows.iter().filter(|row| ![UNPRUNED, GUIDE].contains(&row.policy.as_str())) {
            if !policies.contains(&row.policy.as_str()) {
                policies.push(row.policy.as_str());
            }
            if !retains.iter().any(|&retain| is_same(retain, row.retain)) {
                retains.push(row.retain);
            }
        }
        retains.sort_by(|one, other| other.total_cmp(one));
        Self { rows, unpruned: reference(UNPRUNED), guide: reference(GUIDE), policies, retains }
    }

    pub(super) fn row(&self, policy: &str, retain: f64) -> Option<&'a Row> {
        self.rows.iter().find(|row| row.policy == policy && is_same(row.retain, retain))
    }

    /// The row and its accuracy, if it could be run.
    pub(super) fn accuracy(&self, policy: &str, retain: f64) -> Option<(&'a Row, f64)> {
        let row = self.row(policy, retain)?;
        Some((row, row.accuracy.filter(|_| row.n > 0)?))
    }

    /// The policy that the others are there to be compared with: `global`, or the first that could be run.
    pub(super) fn lead(&self) -> Option<&'a str> {
        let was_run = |policy: &&str| self.retains.iter().any(|&retain| self.accuracy(policy, retain).is_some());
        let mut run = self.policies.iter().copied().filter(was_run);
        let first = run.next()?;
        if first == "global" { Some(first) } else { run.find(|&policy| policy == "global").or(Some(first)) }
    }

    /// The retention that sentences and open tables are about: of those of the lead, the nearest to a tenth, which the
    /// paper is about, in octaves.
    pub(super) fn focus(&self) -> Option<f64> {
        let lead = self.lead()?;
        let distance = |retain: &f64| (retain / 0.1).ln().abs();
        let measured = self.retains.iter().copied().filter(|&retain| self.accuracy(lead, retain).is_some());
        measured.min_by(|one, other| distance(one).total_cmp(&distance(other)))
    }

    /// Policies that cannot be run on this benchmark at any retention that was asked for.
    pub(super) fn impossible(&self) -> Vec<&'a str> {
        let asked = |policy: &str| self.rows.iter().filter(|row| row.policy == policy).all(|row| row.n == 0);
        self.policies.iter().copied().filter(|&policy| asked(policy)).collect()
    }
}

/// Whether two retentions are one.
pub(super) fn is_same(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

/// Rows by a name that they have, both in the order of their first appearance.
pub(super) fn groups<T>(rows: &[T], name: impl Fn(&T) -> &str) -> Vec<(&str, Vec<&T>)> {
    let mut groups: Vec<(&str, Vec<&T>)> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|(known, _)| *known == name(row)) {
            Some((_, members)) => members.push(row),
            None => groups.push((name(row), vec![row])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn a_summary_is_a_grid() {
        let summary = fixture::summary();
        let grid = Grid::of(&summary);
        assert_eq!(grid.policies.len(), 11);
        assert_eq!(grid.retains, [0.5, 0.25, 0.1, 0.09, 0.05]);
        assert_eq!((grid.lead(), grid.focus()), (Some("global"), Some(0.1)));
        assert_eq!(grid.impossible(), ["lowres"]);
        assert!(grid.row("lowres", 0.1).is_some() && grid.accuracy("lowres", 0.1).is_none());
        assert_eq!(grid.unpruned.map(|row| row.policy.as_str()), Some(UNPRUNED));
    }

    #[test]
    fn groups_need_no_order() {
        let rows = ["a1", "b1", "a2"];
        assert_eq!(groups(&rows, |row| &row[..1]), [("a", vec![&"a1", &"a2"]), ("b", vec![&"b1"])]);
    }

    #[test]
    fn without_global_the_first_policy_leads() {
        let mut summary = fixture::summary();
        summary.rows.retain(|row| !row.policy.starts_with("global") && row.retain != 0.1);
        let grid = Grid::of(&summary);
        assert_eq!((grid.lead(), grid.focus()), (Some("layer:1"), Some(0.09)));
        summary.rows.clear();
        let grid = Grid::of(&summary);
        assert_eq!((grid.lead(), grid.focus()), (None, None));
    }
}
