//! One row for each policy and retention.

use super::cases::{Cases, runs};
use crate::eval::contender::Contender;
use crate::eval::figures::{Figures, Scored};
use crate::eval::record::{Record, Run};
use crate::eval::settings::Settings;
use crate::eval::stats;
use crate::eval::summary::{Figure, KindAccuracy, Loss, Row};

/// Name of the guide's row.
const GUIDE: &str = "guide";
/// Of the draws behind intervals.
const SEED: u64 = 0;

/// The unpruned target, the guide alone, then all policies, each from its highest retention down.
pub(super) fn rows(settings: &Settings, cases: &Cases<'_>) -> Vec<Row> {
    let unpruned = Contender::Unpruned.to_string();
    let global = Contender::GLOBAL.to_string();
    let baseline = cases.scores_of(&unpruned, 1.0);
    let mut rows = Vec::new();
    for (policy, retain) in keys(settings) {
        let scores = match policy.as_str() {
            GUIDE => cases.scores(|record| record.guide.as_ref()?.score),
            policy => cases.scores_of(policy, retain),
        };
        let known: Vec<f64> = scores.iter().flatten().copied().collect();
        let estimate = stats::accuracy(&known);
        let times = cases.records().filter_map(|record| {
            let unpruned = mean_of(record, &unpruned, 1.0, Run::target_ms);
            Some((total_ms(record, &policy, retain)?, unpruned))
        });
        let (totals, baselines): (Vec<f64>, Vec<Option<f64>>) = times.unzip();
        let (total_ms, baseline_ms) = (stats::median(&totals), median(baselines.into_iter().flatten()));
        let of = |value: fn(&Run) -> f64| {
            cases.records().filter_map(|record| mean_of(record, &policy, retain, value)).collect::<Vec<_>>()
        };
        let kept = cases.records().filter_map(|record| {
            let kept = mean_of(record, &policy, retain, |run| run.kept as f64)?;
            Some(kept / record.n_visual.max(1) as f64)
        });
        rows.push(Row {
            n: known.len(),
            accuracy: estimate.as_ref().map(|estimate| estimate.mean),
            ci95: estimate.map(|estimate| estimate.ci95),
            loss: if policy == unpruned { None } else { loss(&baseline, &scores) },
            behind_global: if policy == global || retain == 1.0 {
                None
            } else {
                loss(&cases.scores_of(&global, retain), &scores)
            },
            kinds: kinds(cases, &scores),
            kept: mean(kept),
            target_ms_median: stats::median(&of(Run::target_ms)),
            total_ms_median: total_ms,
            cost: total_ms.zip(baseline_ms).map(|(total, baseline)| total / baseline),
            policy,
            retain,
        });
    }
    rows
}

fn keys(settings: &Settings) -> Vec<(String, f64)> {
    let unpruned = Contender::Unpruned.to_string();
    let mut keys = vec![(unpruned.clone(), 1.0)];
    keys.extend(settings.guide.as_ref().map(|_| (GUIDE.to_owned(), 1.0)));
    for policy in settings.policies.iter().filter(|&policy| *policy != unpruned) {
        keys.extend(settings.retain.iter().map(|&retain| (policy.clone(), retain)));
    }
    keys
}

fn loss(unpruned: &[Option<f64>], pruned: &[Option<f64>]) -> Option<Loss> {
    let pairs: Vec<[f64; 2]> =
        unpruned.iter().zip(pruned).filter_map(|(unpruned, pruned)| Some([(*unpruned)?, (*pruned)?])).collect();
    let share = |is: fn(&[f64; 2]) -> bool| pairs.iter().filter(|pair| is(pair)).count() as f64 / pairs.len() as f64;
    let paired = stats::paired(&pairs, SEED)?;
    let (hurt, rescued) =
        (share(|[unpruned, pruned]| pruned < unpruned), share(|[unpruned, pruned]| pruned > unpruned));
    Some(Loss { mean: paired.difference, ci95: paired.ci95, p: paired.p, hurt, rescued })
}

fn kinds(cases: &Cases<'_>, scores: &[Option<f64>]) -> Vec<KindAccuracy> {
    let mut kinds: Vec<(&str, Vec<f64>)> = Vec::new();
    for (kind, score) in cases.kinds().zip(scores) {
        let Some(score) = score else { continue };
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, scores)) => scores.push(*score),
            None => kinds.push((kind, vec![*score])),
        }
    }
    let accuracy = |(kind, scores): (&str, Vec<f64>)| KindAccuracy {
        kind: kind.to_owned(),
        n: scores.len(),
        accuracy: scores.iter().sum::<f64>() / scores.len() as f64,
    };
    kinds.into_iter().map(accuracy).collect()
}

/// The target's time and all that the policy needs before it.
pub(super) fn total_ms(record: &Record, policy: &str, retain: f64) -> Option<f64> {
    if policy == GUIDE {
        return record.guide.as_ref().map(|guide| guide.ms());
    }
    let run = mean_of(record, policy, retain, |run| run.target_ms() + run.select_ms)?;
    let contender: Contender = policy.parse().ok()?;
    let before = match contender {
        Contender::Oracle => record.own.as_ref()?.prefill_ms + record.own.as_ref()?.decode_ms,
        Contender::TargetLayer(_) => record.own.as_ref()?.prefill_ms,
        contender if contender.needs_guide() => record.guide.as_ref()?.ms(),
        _ => 0.0,
    };
    Some(run + before)
}

/// Mean over the draws of one record.
pub(super) fn mean_of(record: &Record, policy: &str, retain: f64, value: impl Fn(&Run) -> f64) -> Option<f64> {
    mean(runs(record, policy, retain).map(value))
}

pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    stats::median(&values.collect::<Vec<_>>())
}

/// What the benchmark's authors report, row by row; of several draws the mean of what each would be.
pub(super) fn figures(settings: &Settings, records: &[Record], of: Figures) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (policy, retain) in keys(settings) {
        let score = |record: &Record, draw: usize| match policy.as_str() {
            GUIDE => record.guide.as_ref()?.score,
            policy => runs(record, policy, retain).nth(draw)?.score,
        };
        let of_draw = |draw: usize| -> Vec<Scored<'_>> {
            let scored = records.iter().map(|record| (record, score(record, draw)));
            scored.filter_map(|(record, score)| Some((record.kind.as_str(), record.group.as_str(), score?))).collect()
        };
        let n_draws = records.iter().map(|record| runs(record, &policy, retain).count()).max().unwrap_or(0).max(1);
        let mut values: Vec<(String, Vec<f64>)> = Vec::new();
        for scores in (0..n_draws).map(of_draw).filter(|scores| !scores.is_empty()) {
            for (name, value) in of(&scores) {
                match values.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, values)) => values.push(value),
                    None => values.push((name, vec![value])),
                }
            }
        }
        let named = |(name, values): (String, Vec<f64>)| {
            Some(Figure { policy: policy.clone(), retain, name, value: mean(values.into_iter())? })
        };
        figures.extend(values.into_iter().filter_map(named));
    }
    figures
}

/// Rows that are not what they seem.
pub(super) fn notes(settings: &Settings, records: &[Record]) -> Vec<String> {
    let independent = "intervals and p values take the questions as independent of each other, also where several are about one picture";
    let mut notes = vec![independent.to_owned()];
    let contenders = settings.policies.iter().filter_map(|policy| policy.parse().ok());
    for contender in contenders {
        match contender {
            Contender::LowResolution => notes.extend(low_resolution(&settings.retain, records)),
            contender if contender.needs_expectation() => notes.push(format!(
                "{contender}: what attention is expected where was measured on {} of these questions",
                settings.n_expected
            )),
            Contender::TargetLayer(layer) => notes.push(format!(
                "target-layer:{layer} reads everything once to rank and again pruned from the first layer on; its cost counts both. FastV prunes behind that layer instead and pays for the layers up to it only"
            )),
            Contender::Oracle => notes.push(
                "oracle answers unpruned first to rank by its own attention; its cost counts both answers".to_owned(),
            ),
            Contender::Random(draws) if draws > 1 => {
                notes.push(format!("random is the mean of {draws} draws a question"));
            }
            _ => {}
        }
    }
    notes
}

/// Where pictures cannot be made small enough: retentions with equally many such questions share a line.
fn low_resolution(retains: &[f64], records: &[Record]) -> Vec<String> {
    let policy = Contender::LowResolution.to_string();
    let missing = |retain: f64| records.iter().filter(|record| runs(record, &policy, retain).next().is_none()).count();
    let counted: Vec<(f64, usize)> = retains.iter().map(|&retain| (retain, missing(retain))).collect();
    let note = |group: &[(f64, usize)]| {
        let retains: Vec<String> = group.iter().map(|(retain, _)| retain.to_string()).collect();
        format!(
            "lowres at {}: no size of the picture has so few visual tokens for {} of {} questions, which are left out of these rows",
            retains.join(", "),
            group[0].1,
            records.len()
        )
    };
    counted.chunk_by(|one, next| one.1 == next.1).filter(|group| group[0].1 > 0).map(note).collect()
}
