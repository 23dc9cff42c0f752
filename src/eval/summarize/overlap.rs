//! Agreement of rankings, as means over questions.

use super::rows::mean;
use crate::eval::record::{Overlap, Record};
use crate::eval::settings::Settings;
use crate::eval::summary::OverlapRow;

pub(super) fn rows(settings: &Settings, records: &[Record]) -> Vec<OverlapRow> {
    let mut rows = Vec::new();
    for policy in &settings.policies {
        for &retain in &settings.retain {
            let of = |value: fn(&Record, &Overlap) -> Option<f64>| {
                let found = records.iter().filter_map(|record| {
                    let overlap =
                        record.overlap.iter().find(|found| found.policy == *policy && found.retain == retain)?;
                    value(record, overlap)
                });
                mean(found)
            };
            let Some(top_k_overlap) = of(|_, overlap| Some(overlap.overlap)) else { continue };
            rows.push(OverlapRow {
                policy: policy.clone(),
                retain,
                k: of(|_, overlap| Some(overlap.k as f64)).unwrap_or(0.0),
                top_k_overlap,
                chance: of(|record, overlap| Some(overlap.k as f64 / record.n_visual.max(1) as f64)).unwrap_or(0.0),
                rank_correlation: of(|_, overlap| overlap.rank_correlation),
            });
        }
    }
    rows
}
