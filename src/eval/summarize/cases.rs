//! Records as cases: groups of samples, each with one score for every way to answer.

use crate::eval::metrics::Metric;
use crate::eval::record::{Record, Run};
use crate::eval::score::of_group;

pub(super) struct Cases<'a> {
    metric: Metric,
    groups: Vec<&'a [Record]>,
}

impl<'a> Cases<'a> {
    pub fn new(metric: Metric, records: &'a [Record]) -> Self {
        Self { metric, groups: records.chunk_by(|one, next| one.group == next.group).collect() }
    }

    pub fn records(&self) -> impl Iterator<Item = &'a Record> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// The kind of every case.
    pub fn kinds(&self) -> impl Iterator<Item = &'a str> {
        self.groups.iter().filter_map(|group| Some(group.first()?.kind.as_str()))
    }

    /// A score for every case, from one of every sample; `None` where a sample has none.
    pub fn scores(&self, of: impl Fn(&Record) -> Option<f64>) -> Vec<Option<f64>> {
        let score = |group: &&[Record]| -> Option<f64> {
            let scores: Vec<f64> = group.iter().map(&of).collect::<Option<_>>()?;
            Some(of_group(self.metric, &scores))
        };
        self.groups.iter().map(score).collect()
    }

    /// The same of a policy at a retention, the mean over its draws.
    pub fn scores_of(&self, policy: &str, retain: f64) -> Vec<Option<f64>> {
        let n_draws = self.records().map(|record| runs(record, policy, retain).count()).max().unwrap_or(0);
        let draws: Vec<Vec<Option<f64>>> =
            (0..n_draws).map(|draw| self.scores(|record| runs(record, policy, retain).nth(draw)?.score)).collect();
        (0..self.groups.len())
            .map(|case| {
                let scores: Vec<f64> = draws.iter().map(|draw| draw[case]).collect::<Option<_>>()?;
                (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
            })
            .collect()
    }
}

/// The answers of a policy at a retention, one for each draw.
pub(super) fn runs<'a>(record: &'a Record, policy: &'a str, retain: f64) -> impl Iterator<Item = &'a Run> {
    record.runs.iter().filter(move |run| run.policy == policy && run.retain == retain)
}
