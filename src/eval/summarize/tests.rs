use super::*;
use crate::eval::journal::tests::header;
use crate::eval::record::{GuideLook, Overlap, OwnLook, Run};
use crate::eval::settings::Shard;

fn run(policy: &str, retain: f64, draw: u32, score: f64, ms: f64) -> Run {
    let answer = if score > 0.0 { "right" } else { "wrong" }.to_owned();
    let kept = (100.0 * retain) as usize;
    let (policy, score) = (policy.to_owned(), Some(score));
    Run {
        policy,
        retain,
        draw,
        kept,
        tiles: 1,
        answer,
        score,
        select_ms: 1.0,
        encode_ms: 10.0,
        prefill_ms: ms,
        decode_ms: 5.0,
    }
}

/// A question that the guide gets right if `guide` is 1, and so on.
fn record(index: usize, guide: f64, confidence: f64, [unpruned, global, random, other]: [f64; 4]) -> Record {
    Record {
        index,
        sample: index.to_string(),
        group: index.to_string(),
        kind: if index.is_multiple_of(2) { "label" } else { "count" }.to_owned(),
        n_visual: 100,
        guide: Some(GuideLook {
            answer: String::new(),
            score: Some(guide),
            confidence,
            consistency: confidence,
            encode_ms: 3.0,
            answer_ms: 4.0,
            consistency_ms: 2.0,
        }),
        own: Some(OwnLook { prefill_ms: 90.0, decode_ms: 10.0 }),
        runs: vec![
            run("none", 1.0, 0, unpruned, 85.0),
            run("global", 0.25, 0, global, 25.0),
            run("random:2", 0.25, 0, random, 25.0),
            run("random:2", 0.25, 1, other, 25.0),
            run("oracle", 0.25, 0, global, 25.0),
            run("target-layer:2", 0.25, 0, global, 25.0),
        ],
        overlap: vec![Overlap {
            policy: "global".to_owned(),
            retain: 0.25,
            k: 25,
            overlap: 0.6,
            rank_correlation: Some(0.5),
        }],
    }
}

fn settings() -> Header {
    let mut header = header(1, Shard::WHOLE);
    header.settings.guide = Some(header.settings.target.clone());
    header.settings.policies = ["global", "random:2", "oracle", "target-layer:2", "lowres"].map(str::to_owned).to_vec();
    header.settings.retain = vec![0.25];
    header
}

fn summary() -> Summary {
    let records = [
        record(0, 1.0, 0.95, [1.0, 1.0, 0.0, 1.0]),
        record(1, 0.0, 0.55, [1.0, 0.0, 0.0, 0.0]),
        record(2, 1.0, 0.75, [0.0, 1.0, 0.0, 0.0]),
        record(3, 0.0, 0.15, [1.0, 1.0, 1.0, 0.0]),
    ];
    summarize(&settings(), &records, &Options { exit_retain: 0.25, figures: |_| Vec::new() })
}

fn row<'a>(summary: &'a Summary, policy: &str) -> &'a crate::eval::summary::Row {
    summary.rows.iter().find(|row| row.policy == policy).unwrap()
}

#[test]
fn rows_hold_accuracy_loss_and_cost() {
    let summary = summary();
    let policies: Vec<&str> = summary.rows.iter().map(|row| row.policy.as_str()).collect();
    assert_eq!(policies, ["none", "guide", "global", "random:2", "oracle", "target-layer:2", "lowres"]);
    let accuracies = ["none", "guide", "global", "random:2"].map(|policy| row(&summary, policy).accuracy);
    assert_eq!(accuracies, [Some(0.75), Some(0.5), Some(0.75), Some(0.25)]);
    let loss = row(&summary, "global").loss.clone().unwrap();
    assert_eq!((loss.mean, loss.hurt, loss.rescued), (0.0, 0.25, 0.25));
    assert_eq!(row(&summary, "none").loss, None);
    let behind = row(&summary, "random:2").behind_global.clone().unwrap();
    assert_eq!((behind.mean, behind.hurt, behind.rescued), (0.5, 0.75, 0.0));
    assert_eq!((&row(&summary, "global").behind_global, &row(&summary, "guide").behind_global), (&None, &None));
    // target: 10 encode + 25 prefill + 5 decode; before it the guide's 7, or the target's own 100 or 90; 1 to select
    let times = |policy: &str| (row(&summary, policy).target_ms_median, row(&summary, policy).total_ms_median);
    assert_eq!(times("none"), (Some(100.0), Some(101.0)));
    assert_eq!(times("global"), (Some(40.0), Some(48.0)));
    assert_eq!(times("oracle"), (Some(40.0), Some(141.0)));
    assert_eq!(times("target-layer:2"), (Some(40.0), Some(131.0)));
    assert_eq!(row(&summary, "oracle").cost, Some(1.41));
    assert_eq!(row(&summary, "guide").total_ms_median, Some(7.0));
    assert_eq!(row(&summary, "global").kept, Some(0.25));
}

#[test]
fn kinds_are_counted_apart() {
    let summary = summary();
    let kinds: Vec<(&str, usize, f64)> =
        row(&summary, "global").kinds.iter().map(|kind| (kind.kind.as_str(), kind.n, kind.accuracy)).collect();
    assert_eq!(kinds, [("label", 2, 1.0), ("count", 2, 0.5)]);
}

#[test]
fn what_could_not_be_run_is_an_empty_row_and_a_note() {
    let summary = summary();
    let lowres = row(&summary, "lowres");
    assert_eq!((lowres.n, lowres.accuracy, lowres.cost, &lowres.loss), (0, None, None, &None));
    assert!(summary.notes.iter().any(|note| note.starts_with("lowres at 0.25: ")), "{:?}", summary.notes);
    assert!(summary.notes.iter().any(|note| note.contains("FastV")), "{:?}", summary.notes);
}

#[test]
fn exits_mix_both_models() {
    let summary = summary();
    let at = |signal: &str, threshold: f64| {
        summary.exit_curve.iter().find(|row| row.signal == signal && row.threshold == threshold).unwrap()
    };
    // 0 and 2 end early, and are right; 1 is wrong and 3 is right behind them
    let row = at("mean", 0.7);
    assert_eq!((row.exited, row.exited_accuracy, row.accuracy), (0.5, Some(1.0), 0.75));
    // 7 for the guide, 2 for the pass where it could matter (0.15 cannot reach 0.7), 41 for the target
    assert!((row.cost - (9.0 + 9.0 + 50.0 + 48.0) / 400.0).abs() < 1e-12, "{}", row.cost);
    assert_eq!(at("mean", 0.0).accuracy, 0.5);
    assert_eq!(
        (at("mean", 1.01).exited, at("mean", 1.01).exited_accuracy, at("mean", 1.01).accuracy),
        (0.0, None, 0.75)
    );
    // confidence alone needs no pass
    assert!((at("confidence", 0.7).cost - (7.0 + 7.0 + 48.0 + 48.0) / 400.0).abs() < 1e-12);
    let kinds: Vec<(&str, f64, f64)> =
        row.kinds.iter().map(|kind| (kind.kind.as_str(), kind.exited, kind.accuracy)).collect();
    assert_eq!(kinds, [("label", 1.0, 1.0), ("count", 0.0, 0.5)]);
    let auroc = summary.figures.iter().find(|figure| figure.name.starts_with("AUROC of mean")).unwrap();
    assert_eq!(auroc.value, 1.0);
}

#[test]
fn overlaps_are_means() {
    let summary = summary();
    assert_eq!(summary.overlap.len(), 1);
    let overlap = &summary.overlap[0];
    assert_eq!(
        (overlap.k, overlap.top_k_overlap, overlap.chance, overlap.rank_correlation),
        (25.0, 0.6, 0.25, Some(0.5))
    );
}

#[test]
fn a_group_with_a_missing_answer_is_left_out() {
    let mut records = vec![record(0, 1.0, 0.9, [1.0; 4]), record(1, 1.0, 0.9, [1.0; 4])];
    records[1].group = "0".to_owned();
    records[1].runs.retain(|run| run.policy != "global");
    let mut header = settings();
    header.settings.metric = "choice".to_owned();
    let summary = summarize(&header, &records, &Options { exit_retain: 0.25, figures: |_| Vec::new() });
    assert_eq!((row(&summary, "none").n, row(&summary, "global").n), (1, 0));
}

#[test]
fn figures_of_draws_are_the_mean_of_what_each_would_be() {
    let right = [[1.0, 0.0], [1.0, 1.0]]; // of the two draws
    let mut records = [0, 1].map(|index| record(index, 1.0, 0.9, [1.0, 1.0, right[index][0], right[index][1]]));
    records.iter_mut().for_each(|record| (record.kind, record.group) = ("color".into(), "a".into()));
    let options = Options { exit_retain: 0.25, figures: crate::eval::figures::of("mme") };
    let summary = summarize(&settings(), &records, &options);
    let of = |policy: &str| summary.figures.iter().find(|figure| figure.policy == policy).unwrap().value;
    // Both right: 200; one of two: 50 + 0.
    assert_eq!((of("none"), of("random:2")), (200.0, 125.0));
}

#[test]
fn costs_compare_equal_questions() {
    let mut records: Vec<Record> = (0..5).map(|index| record(index, 1.0, 0.9, [1.0; 4])).collect();
    // Three are quick, and `global` was not run for them.
    for record in &mut records[2..] {
        record.runs.retain(|run| run.policy != "global");
        record.runs[0].prefill_ms = 5.0;
    }
    let options = Options { exit_retain: 0.25, figures: crate::eval::figures::of("scenes") };
    let summary = summarize(&settings(), &records, &options);
    // 10 + 25 + 5 + 1 of the target and 7 of the guide, over 10 + 85 + 5.
    assert_eq!(row(&summary, "global").cost, Some(0.48));
}
