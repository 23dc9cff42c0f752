//! Many requests at once answer as each does alone.

use super::*;
use crate::guidance::{Importance, Policy, Retain};
use crate::llama::SamplingOptions;

/// Questions about several pictures, in many ways.
fn mixed() -> Vec<Request> {
    let held_out = |n: usize| format!("models/held-out/images/{n:04}.png");
    let ask = |n: usize, text: &str| about(&held_out(n), text);
    let exit = |threshold| Some(ExitOptions { threshold, ..ExitOptions::default() });
    let large = about("models/held-out-large/images/0021.png", "Which character is on the orange diamond?");
    let sampling = SamplingOptions { temperature: 0.8, seed: 3, ..SamplingOptions::default() };
    let mut two = ask(2, "What do both show?");
    two.pictures.extend(ask(3, "").pictures);
    two.messages = question(None, 2, "Read the label of the white circle.");
    vec![
        Request { exit: exit(0.0), ..ask(0, "Read the label of the yellow circle.") },
        Request { exit: None, ..ask(0, "Which character is on the black circle?") },
        Request { exit: None, draft: false, ..ask(1, "How many objects are there?") },
        Request { exit: None, retain: Some(Retain::Share(0.1)), n_predict: 40, ..large },
        Request { exit: exit(2.0), retain: None, ..ask(1, "List every object.") },
        ask(2, "What colour is the square?"),
        Request { exit: None, policy: Policy::GlobalDiversity(0.5), ..two },
        Request { exit: None, sampling, ..ask(0, "List every object.") },
        Request { messages: question(None, 0, "What is a circle?"), pictures: Vec::new(), ..ask(0, "") },
        Request { exit: None, n_alternatives: Some(2), ..ask(3, "Read the label of the white circle.") },
        Request { exit: None, n_predict: 1, ..ask(0, "Read the label of the yellow circle.") },
    ]
}

/// Submits all at once and waits for all.
fn run(engine: &Engine, requests: &[Request]) -> Vec<Result<Outcome, PipelineError>> {
    let jobs: Vec<_> = requests.iter().map(|request| submit(engine, request.clone()).unwrap()).collect();
    jobs.iter().map(|(_ticket, events)| outcome(events)).collect()
}

fn all(engine: &Engine, requests: &[Request]) -> Vec<Outcome> {
    run(engine, requests).into_iter().map(Result::unwrap).collect()
}

/// Sum of differences as a share of the whole.
fn distance(a: &Importance, b: &Importance) -> f64 {
    let (a, b) = (a.global(), b.global());
    assert_eq!(a.len(), b.len());
    let total: f64 = a.iter().sum();
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f64>() / total
}

/// Batches of other sizes round otherwise, and the cache holds 16-bit numbers: importance moves a little, of tokens as good as each
/// other the one may be kept or the other, and an answer between two words may fall on either side. Another request's numbers
/// would move all of it by far.
#[track_caller]
fn check_same(together: &[Outcome], alone: &[Outcome]) {
    assert_eq!(together.len(), alone.len());
    let mut others = Vec::new();
    for (index, (together, alone)) in together.iter().zip(alone).enumerate() {
        assert_eq!(together.attention.is_some(), alone.attention.is_some());
        if let (Some(together), Some(alone)) = (&together.attention, &alone.attention) {
            let distance = distance(&together.importance, &alone.importance);
            assert!(distance < 5e-3, "request {index}: {distance}");
        }
        let kept = |outcome: &Outcome| outcome.report.visual.kept_indices.clone();
        let (kept, expected) = (kept(together), kept(alone));
        let n_common = kept.iter().filter(|token| expected.contains(token)).count();
        assert_eq!(kept.len(), expected.len(), "request {index}");
        assert!(kept.len() - n_common <= (kept.len() / 50).max(1), "request {index}: {kept:?} {expected:?}");
        let said = |outcome: &Outcome| {
            let report = &outcome.report;
            (report.answer.clone(), report.source, report.finish)
        };
        if said(together) != said(alone) {
            others.push((index, said(together), said(alone)));
            continue;
        }
        let probabilities = |outcome: &Outcome| -> Vec<f64> {
            outcome.probabilities.iter().map(|token| token.log_probability).collect()
        };
        let (together, alone) = (probabilities(together), probabilities(alone));
        assert_eq!(together.len(), alone.len());
        assert!(together.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 2e-2), "request {index}");
    }
    assert!(others.len() <= 1, "{others:?}");
}

#[test]
fn many_at_once_answer_as_one_after_the_other() {
    let requests = mixed();
    let alone = {
        let engine = engine(1, 64);
        all(&engine, &requests)
    };
    let by_guide = alone.iter().filter(|outcome| outcome.report.source == Source::Guide).count();
    assert!(by_guide > 0 && by_guide < alone.len());
    for n_parallel in [2, 5, 11] {
        let engine = engine(n_parallel, 64);
        check_same(&all(&engine, &requests), &alone);
        // What is held by now changes the way to the answers, not the answers.
        let mut again: Vec<Request> = requests.clone();
        again.reverse();
        let mut outcomes = all(&engine, &again);
        assert!(outcomes.iter().any(|outcome| outcome.report.held_tokens > 16));
        outcomes.reverse();
        check_same(&outcomes, &alone);
    }
}

#[test]
fn small_batches_change_nothing() {
    let small = |name: &str| {
        let mut options = options(name);
        (options.context.n_batch, options.context.n_ubatch) = (48, 16);
        options
    };
    let load = |n_parallel| {
        let options = EngineOptions { n_parallel, max_queued: 64 };
        Engine::load(Some(small("guide")), small("target"), options, |_, _| {}).unwrap()
    };
    let requests = mixed();
    check_same(&all(&load(6), &requests), &all(&load(1), &requests));
}

#[test]
fn cells_are_waited_for_and_what_never_fits_is_refused() {
    let load = |n_ctx| {
        let of = |name| VlmOptions { n_ctx: Some(n_ctx), ..options(name) };
        let options = EngineOptions { n_parallel: 6, max_queued: 64 };
        Engine::load(Some(of("guide")), of("target"), options, |_, _| {}).unwrap()
    };
    let mut requests: Vec<Request> = mixed().into_iter().filter(|request| request.pictures.len() == 1).collect();
    requests.retain(|request| request.n_predict <= 16);
    let alone = all(&engine(1, 64), &requests);
    check_same(&all(&load(512), &requests), &alone);

    let long = Request { messages: question(None, 1, &"again and ".repeat(600)), ..requests[0].clone() };
    requests.insert(2, long);
    let engine = load(512);
    let mut results = run(&engine, &requests);
    let error = results.remove(2).unwrap_err();
    assert!(error.to_string().contains("use -c"), "{error}");
    check_same(&results.into_iter().map(Result::unwrap).collect::<Vec<_>>(), &alone);
}

#[test]
fn who_is_cancelled_harms_nobody() {
    let requests: Vec<Request> = mixed().into_iter().take(6).collect();
    let alone = all(&engine(1, 64), &requests);
    let mut small = options("target");
    (small.context.n_batch, small.context.n_ubatch) = (32, 16);
    let engine =
        Engine::load(Some(options("guide")), small, EngineOptions { n_parallel: 4, max_queued: 64 }, |_, _| {})
            .unwrap();
    // One is dropped while it speaks, others while they are read, others in the queue.
    let (speaking, heard) = submit(&engine, endless()).unwrap();
    wait_for_text(&heard);
    let reading: Vec<_> = (0..2)
        .map(|_| {
            let unpruned = Request { retain: None, exit: None, ..about("models/held-out-large/images/0021.png", "?") };
            submit(&engine, unpruned).unwrap()
        })
        .collect();
    let jobs: Vec<_> = requests.iter().map(|request| submit(&engine, request.clone()).unwrap()).collect();
    let queued: Vec<_> = (0..2).map(|_| submit(&engine, endless()).unwrap()).collect();
    for (ticket, events) in reading {
        let is_read = |event: &JobEvent| matches!(event, JobEvent::Progress { phase: Phase::TargetPrefill, done, all } if *done > 0 && done < all);
        assert!(events.iter().any(|event| is_read(&event)), "it was read at once");
        drop(ticket);
        assert!(outcome(&events).unwrap_err().is_cancelled());
    }
    drop(speaking);
    assert!(outcome(&heard).unwrap_err().is_cancelled());
    for (ticket, events) in queued {
        drop(ticket);
        assert!(outcome(&events).unwrap_err().is_cancelled());
    }
    let outcomes: Vec<Outcome> = jobs.iter().map(|(_ticket, events)| outcome(events).unwrap()).collect();
    check_same(&outcomes, &alone);
    assert_eq!((engine.stats().running, engine.stats().queued), (0, 0));
}

#[test]
fn an_early_exit_does_not_wait_for_a_target_that_speaks() {
    let engine = engine(2, 8);
    let (speaking, heard) = submit(&engine, endless()).unwrap();
    wait_for_text(&heard);
    let quick = Request {
        exit: Some(ExitOptions { threshold: 0.0, ..ExitOptions::default() }),
        ..request("Read the label of the white circle.")
    };
    let (_ticket, events) = submit(&engine, quick).unwrap();
    assert_eq!(outcome(&events).unwrap().report.source, Source::Guide);
    assert_eq!(engine.stats().running, 1, "the other one is still at it");
    assert!(heard.try_iter().all(|event| !matches!(event, JobEvent::Done(_) | JobEvent::Failed(_))));
    drop(speaking);
    assert!(outcome(&heard).unwrap_err().is_cancelled());
}
