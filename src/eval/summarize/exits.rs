//! Early exit by threshold: the guide's answers above it, the target's below.

use super::cases::Cases;
use super::rows::{mean, mean_of, total_ms};
use crate::eval::contender::Contender;
use crate::eval::record::{GuideLook, Record, Run};
use crate::eval::stats;
use crate::eval::summary::{ExitKind, ExitRow, Figure};

const THRESHOLDS: [f64; 11] = [0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.01];

/// What is compared with the threshold, and its name.
type Signal = (&'static str, fn(&GuideLook) -> f64);

const SIGNALS: [Signal; 3] = [
    ("confidence", |guide| guide.confidence),
    ("consistency", |guide| guide.consistency),
    ("mean", |guide| (guide.confidence + guide.consistency) / 2.0),
];

/// All curves; empty unless every sample has a guide's answer.
pub(super) fn curve(cases: &Cases<'_>, retain: f64) -> Vec<ExitRow> {
    if cases.records().next().is_none() || !cases.records().all(|record| record.guide.is_some()) {
        return Vec::new();
    }
    let (policy, retain) = behind(cases, retain);
    let unpruned = Contender::Unpruned.to_string();
    let alone =
        mean(cases.records().filter_map(|record| mean_of(record, &unpruned, 1.0, Run::target_ms))).unwrap_or(1.0);
    let mut rows = Vec::new();
    for (signal, value) in SIGNALS {
        for threshold in THRESHOLDS {
            let exits = |record: &Record| record.guide.as_ref().is_some_and(|guide| value(guide) >= threshold);
            let guide_score = |record: &Record| record.guide.as_ref()?.score;
            let target_score = |record: &Record| {
                mean_of(record, &policy, retain, |run| run.score.unwrap_or(f64::NAN)).filter(|score| !score.is_nan())
            };
            let in_all = cases.scores(|record| if exits(record) { guide_score(record) } else { target_score(record) });
            let scores: Vec<f64> = in_all.iter().flatten().copied().collect();
            let Some(estimate) = stats::accuracy(&scores) else { continue };
            let exited: Vec<bool> = cases.records().map(exits).collect();
            let ms = |record: &Record| {
                let guide = record.guide.as_ref()?;
                let needs_pass = match signal {
                    "confidence" => false,
                    "mean" => !crate::guidance::cannot_exit(guide.confidence, threshold),
                    _ => true,
                };
                let decided = guide.ms() + if needs_pass { guide.consistency_ms } else { 0.0 };
                let target = mean_of(record, &policy, retain, |run| run.target_ms() + run.select_ms)?;
                Some(decided + if exits(record) { 0.0 } else { target })
            };
            rows.push(ExitRow {
                signal: signal.to_owned(),
                threshold,
                exited: share(&exited),
                exited_accuracy: mean(cases.records().filter(|record| exits(record)).filter_map(guide_score)),
                accuracy: estimate.mean,
                ci95: estimate.ci95,
                cost: mean(cases.records().filter_map(ms)).unwrap_or(f64::NAN) / alone,
                kinds: kinds(cases, &exits, &in_all),
            });
        }
    }
    rows
}

/// How well each signal tells the guide's right answers from its wrong ones.
pub(super) fn figures(cases: &Cases<'_>) -> Vec<Figure> {
    let auroc = |(signal, value): Signal| {
        let of = |record: &Record| {
            let guide = record.guide.as_ref()?;
            Some((value(guide), guide.score? >= 0.5))
        };
        let answers: Vec<(f64, bool)> = cases.records().filter_map(of).collect();
        let name = format!("AUROC of {signal}");
        Some(Figure { policy: "guide".to_owned(), retain: 1.0, name, value: stats::auroc(&answers)? })
    };
    SIGNALS.into_iter().filter_map(auroc).collect()
}

/// What runs when nothing exits: `global` at this retention, or the unpruned target where it was not run.
fn behind(cases: &Cases<'_>, retain: f64) -> (String, f64) {
    let global = Contender::GLOBAL.to_string();
    let has = cases.records().all(|record| total_ms(record, &global, retain).is_some());
    if has { (global, retain) } else { (Contender::Unpruned.to_string(), 1.0) }
}

pub(super) fn note(cases: &Cases<'_>, retain: f64) -> String {
    match behind(cases, retain) {
        (_, 1.0) => "behind an early exit stands the unpruned target".to_owned(),
        (policy, retain) => format!("behind an early exit stands the target with {policy} at {retain}"),
    }
}

/// By kind of question, in order of appearance.
fn kinds(cases: &Cases<'_>, exits: &dyn Fn(&Record) -> bool, in_all: &[Option<f64>]) -> Vec<ExitKind> {
    let mut names: Vec<&str> = Vec::new();
    for kind in cases.kinds() {
        if !names.contains(&kind) {
            names.push(kind);
        }
    }
    let of = |kind: &str| {
        let exited: Vec<bool> = cases.records().filter(|record| record.kind == kind).map(exits).collect();
        let scores = cases.kinds().zip(in_all).filter(|(of, _)| *of == kind).filter_map(|(_, score)| *score);
        Some(ExitKind { kind: kind.to_owned(), n: exited.len(), exited: share(&exited), accuracy: mean(scores)? })
    };
    names.into_iter().filter_map(of).collect()
}

fn share(of: &[bool]) -> f64 {
    of.iter().filter(|&&is| is).count() as f64 / of.len().max(1) as f64
}
