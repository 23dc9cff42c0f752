use super::walk::{Levels, fastest, walk};
use super::*;
use crate::eval::record::{GuideLook, Run};
use crate::eval::sample::{Gold, PictureSource};
use fastrand::Rng;

fn options(max_loss: f64, confidence: f64) -> Options {
    Options {
        metric: Metric::Exact,
        policy: "global".into(),
        retains: vec![0.1, 0.5, 0.25],
        max_loss,
        confidence,
        agreement: false,
        folds: 5,
        seed: 0,
    }
}

fn run(policy: &str, retain: f64, score: f64) -> Run {
    Run {
        policy: policy.into(),
        retain,
        draw: 0,
        tiles: 1,
        kept: 0,
        answer: score.to_string(),
        score: Some(score),
        select_ms: 0.0,
        encode_ms: 0.0,
        prefill_ms: 100.0 * retain,
        decode_ms: 10.0,
    }
}

/// The target's scores unpruned and at 50, 25 and 10 %, then the guide's and how certain it is.
fn record(index: usize, target: [f64; 4], guide: f64, certainty: f64) -> Record {
    let pruned = [0.5, 0.25, 0.1].into_iter().zip(&target[1..]).map(|(retain, &score)| run("global", retain, score));
    Record {
        index,
        sample: index.to_string(),
        group: index.to_string(),
        kind: String::new(),
        n_visual: 256,
        guide: Some(GuideLook {
            answer: guide.to_string(),
            score: Some(guide),
            confidence: certainty,
            consistency: certainty,
            encode_ms: 1.0,
            answer_ms: 2.0,
            consistency_ms: 1.0,
        }),
        own: None,
        runs: [run("none", 1.0, target[0])].into_iter().chain(pruned).collect(),
        overlap: Vec::new(),
    }
}

fn records(n: usize, of: impl Fn(usize) -> Record) -> (Vec<Record>, Vec<usize>) {
    ((0..n).map(of).collect(), (0..n).collect())
}

fn setting(candidate: &Candidate) -> (f64, Option<f64>) {
    (candidate.retain, candidate.exit_threshold)
}

#[test]
fn what_costs_nothing_goes_as_far_as_it_can() {
    let (records, pictures) = records(1000, |index| record(index, [1.0; 4], 1.0, 0.9));
    let calibration = calibrate(&records, &pictures, &options(0.02, 0.95)).unwrap();
    let choice = calibration.choice.unwrap();
    assert_eq!(setting(&choice), (0.1, Some(0.5)));
    assert_eq!((choice.loss, choice.exited, choice.established), (0.0, 1.0, true));
    assert!((choice.cost - 4.0 / 110.0).abs() < 1e-12);
    assert!(choice.bound > 0.0 && choice.bound <= 0.02);
    assert_eq!((calibration.n, calibration.n_questions), (1000, 1000));
    assert_eq!(calibration.cross_validated.loss, 0.0);
    assert_eq!(calibration.cross_validated.folds.iter().map(|fold| fold.n).sum::<usize>(), 1000);
}

#[test]
fn each_walk_ends_at_its_first_refusal() {
    // At 25 % one answer in ten is lost, at 10 % none; the guide is wrong where its certainty is below 0.85.
    let of = |index: usize| {
        let lost = f64::from(u8::from(!index.is_multiple_of(10)));
        let guide = if index.is_multiple_of(2) { (1.0, 0.92) } else { (0.0, 0.82) };
        record(index, [1.0, 1.0, lost, 1.0], guide.0, guide.1)
    };
    let (records, pictures) = records(1500, of);
    let calibration = calibrate(&records, &pictures, &options(0.02, 0.95)).unwrap();
    let tested: Vec<_> = calibration.candidates.iter().map(|tested| (setting(tested), tested.established)).collect();
    assert_eq!(tested[..2], [((0.5, None), true), ((0.25, None), false)]);
    assert!(!tested.iter().any(|((retain, threshold), _)| *retain == 0.1 || threshold.is_some_and(|at| at < 0.8)));
    assert!(tested.contains(&((1.0, Some(0.8)), false)) && tested.contains(&((0.5, Some(0.8)), false)));
    let choice = calibration.choice.unwrap();
    assert_eq!(setting(&choice), (0.5, Some(0.85)));
    assert_eq!((choice.exited, choice.loss), (0.5, 0.0));
}

#[test]
fn time_decides_where_pruning_and_exits_compete() {
    // Reading 10 % loses one point, and so do exits: together two, which is too much.
    let choose = |exits: fn(usize) -> bool| {
        let of = |index: usize| {
            let score = |wrong: bool| if wrong { 0.0 } else { 1.0 };
            let target = [1.0, 1.0, 1.0, score(index % 100 == 1)];
            record(index, target, score(index.is_multiple_of(100)), if exits(index) { 0.9 } else { 0.1 })
        };
        let (records, pictures) = records(4000, of);
        setting(&calibrate(&records, &pictures, &options(0.016, 0.8)).unwrap().choice.unwrap())
    };
    assert_eq!(choose(|index| index.is_multiple_of(2)), (0.25, Some(0.5)), "half of the questions need no target");
    assert_eq!(choose(|index| index.is_multiple_of(10)), (0.1, None), "a tenth does not make up for reading more");
}

#[test]
fn too_few_pictures_are_refused() {
    let loss_free = |index| record(index, [1.0; 4], 1.0, 1.0);
    let (some, pictures) = records(100, loss_free);
    let error = calibrate(&some, &pictures, &options(0.01, 0.95)).unwrap_err();
    let CalibrateError::TooFew { n: 100, needed: Some(needed), .. } = error else { panic!("{error}") };
    assert!(error.to_string().contains(&format!("ask about {needed} pictures at least")), "{error}");

    let (enough, pictures) = records(needed, loss_free);
    let calibration = calibrate(&enough, &pictures, &options(0.01, 0.95)).unwrap();
    assert_eq!(calibration.needed, Some(needed));
    assert!(calibration.needed_for_exit.unwrap() > needed);
    let choice = calibration.choice.unwrap();
    assert!(choice.retain < 1.0 && choice.exit_threshold.is_none(), "{choice:?}");
    let (fewer, pictures) = records(needed - 1, loss_free);
    assert!(calibrate(&fewer, &pictures, &options(0.01, 0.95)).is_err());

    let error = calibrate(&enough, &pictures, &options(1e-9, 0.95)).unwrap_err().to_string();
    assert!(error.ends_with("; allow more loss"), "{error}");
}

#[test]
fn questions_about_one_picture_are_one_sample() {
    let (records, _) = records(1200, |index| record(index, [1.0; 4], 1.0, 1.0));
    let pictures: Vec<usize> = (0..1200).map(|index| index / 6).collect();
    let error = calibrate(&records, &pictures, &options(0.01, 0.95)).unwrap_err();
    assert!(matches!(error, CalibrateError::TooFew { n: 200, .. }), "{error}");
    let calibration = calibrate(&records, &pictures, &options(0.05, 0.95)).unwrap();
    assert_eq!((calibration.n, calibration.n_questions), (200, 1200));
}

#[test]
fn a_group_is_right_only_if_all_of_it_is() {
    // Two passes of each question; pruned, one in twenty second passes is lost.
    let pass = |index: usize| {
        let lost = if index % 40 == 1 { 0.0 } else { 1.0 };
        Record { group: (index / 2).to_string(), ..record(index, [1.0, lost, lost, lost], 0.0, 0.0) }
    };
    let (records, _) = records(2000, pass);
    let pictures: Vec<usize> = (0..2000).map(|index| index / 2).collect();
    let loss = |metric| {
        let options = Options { metric, ..options(0.1, 0.95) };
        calibrate(&records, &pictures, &options).unwrap().choice.unwrap().loss
    };
    assert!((loss(Metric::Choice) - 0.05).abs() < 1e-12);
    assert!((loss(Metric::Exact) - 0.025).abs() < 1e-12);
}

#[test]
fn agreement_counts_changed_answers_right_or_wrong() {
    // Pruning repairs as many answers as it breaks, and only at 10 %.
    let of = |index: usize| match index % 10 {
        0 => record(index, [0.0, 0.0, 0.0, 1.0], 0.0, 0.0),
        1 => record(index, [1.0, 1.0, 1.0, 0.0], 0.0, 0.0),
        _ => record(index, [1.0; 4], 0.0, 0.0),
    };
    let (records, pictures) = records(1500, of);
    let choose = |agreement| {
        let options = Options { agreement, ..options(0.05, 0.95) };
        calibrate(&records, &pictures, &options).unwrap().choice.unwrap()
    };
    assert_eq!(setting(&choose(false)).0, 0.1);
    assert_eq!(setting(&choose(true)).0, 0.25);

    let unscored: Vec<Record> = records
        .iter()
        .map(|record| Record {
            runs: record.runs.iter().map(|run| Run { score: None, ..run.clone() }).collect(),
            ..record.clone()
        })
        .collect();
    assert_eq!(
        calibrate(&unscored, &pictures, &options(0.05, 0.95)),
        Err(CalibrateError::Unscored { sample: "0".into() })
    );
    let by_agreement = Options { agreement: true, ..options(0.05, 0.95) };
    assert_eq!(calibrate(&unscored, &pictures, &by_agreement), calibrate(&records, &pictures, &by_agreement));
}

#[test]
fn what_was_not_run_is_named() {
    let (mut records, pictures) = records(500, |index| record(index, [1.0; 4], 1.0, 1.0));
    records[7].runs.pop();
    let error = calibrate(&records, &pictures, &options(0.05, 0.95)).unwrap_err().to_string();
    assert!(error.contains("sample 7 was not answered with policy global at a retention of 0.1"), "{error}");
}

#[test]
fn without_a_guide_no_exit_takes_of_the_confidence() {
    let alone = |index| Record { guide: None, ..record(index, [1.0; 4], 1.0, 1.0) };
    let (records, pictures) = records(500, alone);
    let calibration = calibrate(&records, &pictures, &options(0.01, 0.95)).unwrap();
    assert_eq!(calibration.needed, samples_needed(0.01, 0.95));
    assert_eq!(calibration.needed_for_exit, None);
    assert!(calibration.candidates.iter().all(|candidate| candidate.exit_threshold.is_none()));
}

#[test]
fn nothing_may_be_established() {
    let (records, pictures) = records(1000, |index| record(index, [1.0, 0.0, 0.0, 0.0], 0.0, 1.0));
    let calibration = calibrate(&records, &pictures, &options(0.02, 0.95)).unwrap();
    assert_eq!(calibration.choice, None);
    assert_eq!(calibration.candidates.len(), 2, "the mildest pruning and the highest threshold");
    assert_eq!(calibration.cross_validated.loss, 0.0);
    assert!(calibration.cross_validated.folds.iter().all(|fold| (fold.retain, fold.exit_threshold) == (1.0, None)));
}

#[test]
fn pictures_have_numbers() {
    let sample = |group: &str, pictures: Vec<PictureSource>| Sample {
        id: String::new(),
        group: group.into(),
        kind: String::new(),
        pictures,
        question: String::new(),
        hint: None,
        choices: Vec::new(),
        gold: Gold::Unknown,
    };
    let file = |name: &str| PictureSource::File(name.into());
    let samples = [
        sample("a", vec![file("x")]),
        sample("b", vec![file("y")]),
        sample("c", vec![file("x")]),
        sample("d", vec![file("x"), file("y")]),
        sample("e", vec![]),
        sample("f", vec![]),
        sample("e", vec![]),
    ];
    assert_eq!(by_picture(&samples), [0, 1, 0, 2, 3, 4, 3]);
}

/// A world with known losses: each row is a kind of question, with its probability and how it goes.
struct World(Vec<(f64, [f64; 4], f64, f64)>);

impl World {
    fn records(&self, n: usize, random: &mut Rng) -> (Vec<Record>, Vec<usize>) {
        let mut draw = |index| {
            let mut place = random.f64();
            let row = self.0.iter().find(|row| {
                place -= row.0;
                place < 0.0
            });
            let &(_, target, guide, certainty) = row.unwrap_or(&self.0[0]);
            record(index, target, guide, certainty)
        };
        ((0..n).map(&mut draw).collect(), (0..n).collect())
    }

    fn loss(&self, retain: f64, threshold: Option<f64>) -> f64 {
        let level = [1.0, 0.5, 0.25, 0.1].iter().position(|&of| of == retain).unwrap();
        let loss = |(probability, target, guide, certainty): &(f64, [f64; 4], f64, f64)| {
            let exits = threshold.is_some_and(|threshold| *certainty >= threshold);
            probability * (target[0] - if exits { *guide } else { target[level] })
        };
        self.0.iter().map(loss).sum()
    }
}

/// The share of data sets from which a setting is chosen that loses more than 5 %, and of those from which any is chosen.
fn broken_promises(world: &World, n: usize, confidence: f64, rounds: usize) -> (f64, f64) {
    let mut random = Rng::with_seed(5);
    let mut counts = (0, 0);
    for _ in 0..rounds {
        let (records, pictures) = world.records(n, &mut random);
        let options = options(0.05, confidence);
        let outcomes = Outcomes::read(&records, &pictures, &options).unwrap();
        let tested = walk(&outcomes, &pictures, 0.05, &Levels::new(&options, true));
        let Some(choice) = fastest(&outcomes, &pictures, &tested) else { continue };
        counts.1 += 1;
        let retain = outcomes.retains[choice.setting.level];
        counts.0 += usize::from(world.loss(retain, choice.setting.threshold) > 0.05);
    }
    (counts.0 as f64 / rounds as f64, counts.1 as f64 / rounds as f64)
}

#[test]
fn broken_promises_are_as_rare_as_promised() {
    const ROUNDS: usize = 400;
    let just_above = 0.05 + 1e-6;
    let right = ([1.0; 4], 1.0);
    // All that can be chosen loses too much: pruning at any retention, exits at any threshold.
    let all_wrong = World(vec![
        (1.0 - 2.0 * just_above, right.0, right.1, 0.995),
        (just_above, [1.0, 0.0, 0.0, 0.0], 1.0, 0.1),
        (just_above, [1.0; 4], 0.0, 0.995),
    ]);
    // Mild pruning is free, and so are high thresholds; both go wrong in a step, alone or together.
    let cliff = World(vec![
        (0.5, right.0, right.1, 0.995),
        (0.5 - 2.0 * just_above, right.0, right.1, 0.2),
        (just_above, [1.0, 1.0, 1.0, 0.0], 1.0, 0.2),
        (just_above, [1.0; 4], 0.0, 0.87),
    ]);
    // Losses that only add up: half of what is allowed by pruning, half by exits, a little too much by both.
    let sum = World(vec![
        (0.95 - 1e-6, right.0, right.1, 0.9),
        (0.025, [1.0, 1.0, 0.0, 0.0], 1.0, 0.2),
        (0.025 + 1e-6, [1.0; 4], 0.0, 0.9),
    ]);
    for (name, world) in [("all wrong", all_wrong), ("cliff", cliff), ("sum", sum)] {
        let (broken, _) = broken_promises(&world, 120, 0.8, ROUNDS);
        assert!(broken <= 0.2 + 0.06, "{name}: {broken}"); // 3 standard deviations are 0.06
    }
}

#[test]
fn promises_are_made_where_they_hold() {
    let good = World(vec![
        (0.6, [1.0; 4], 1.0, 0.97),
        (0.35, [1.0; 4], 0.0, 0.3),
        (0.04, [1.0, 1.0, 1.0, 0.0], 1.0, 0.97),
        (0.01, [1.0; 4], 0.0, 0.97),
    ]);
    let (broken, made) = broken_promises(&good, 1000, 0.95, 50);
    assert_eq!((broken, made), (0.0, 1.0));
}
