use super::*;
use crate::guidance::Kept;
use crate::media::{Limits, Picture};
use crate::vlm::{GenerationOptions, Role, Vlm, VlmOptions, question};
use std::path::Path;

/// A reader of the demo pair's guide for `n` turns at once, and prompts for it.
fn reader(n: usize, texts: &[&str]) -> (Reader, Vec<Turn>) {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let context = ContextOptions { n_threads: Some(1), ..ContextOptions::default() };
    let options = VlmOptions {
        model: models.join("guide.gguf"),
        mmproj: models.join("mmproj-guide.gguf"),
        n_gpu_layers: Some(0),
        context: context.clone(),
        encoder_cache_bytes: 1 << 24,
        ..VlmOptions::default()
    };
    let mut vlm = Vlm::load(Role::Guide, options, |_| {}).unwrap();
    let picture = Picture::open(models.join("pictures/flat.png"), &Limits::default()).unwrap();
    let turns = texts.iter().map(|text| {
        let prepared = vlm.prepare(&question(None, 1, text), std::slice::from_ref(&picture), |_, _| {}).unwrap();
        let kept = Kept::all(prepared.prompt.n_visual());
        let options =
            GenerationOptions { n_predict: 8, observe: true, ignore_end: true, ..GenerationOptions::default() };
        Turn::new(vlm.model(), &prepared, &kept, Task::Answer(Box::new(options)), Arc::default()).unwrap()
    });
    let turns = turns.collect();
    let options = ReaderOptions { context, n_ctx: None, is_conversation: true, n_parallel: 1, scores: true };
    let mut reader = Reader::new(vlm.model(), options);
    reader.set_parallel(n);
    (reader, turns)
}

fn submit_all(reader: &mut Reader, turns: Vec<Turn>) -> Vec<TurnId> {
    turns.into_iter().map(|turn| reader.submit(turn)).collect()
}

const TEXTS: [&str; 4] = ["What is this?", "Read the label of the white circle.", "How many?", "What is this?"];

#[test]
fn turns_share_batches_and_their_attention_stays_apart() {
    let tokens = |turn: Turn| (turn.mass.clone(), turn.speech.unwrap().finish().tokens);
    let alone: Vec<_> = TEXTS
        .iter()
        .map(|text| {
            let (mut reader, turns) = reader(1, &[text]);
            let mut n_steps = 0;
            submit_all(&mut reader, turns);
            let ended = loop {
                n_steps += 1;
                if let Some(ended) = reader.step().pop() {
                    break ended;
                }
            };
            let (mass, tokens) = tokens(ended.result.unwrap());
            (mass, tokens, n_steps)
        })
        .collect();

    let (mut reader, turns) = reader(4, &TEXTS);
    let ids = submit_all(&mut reader, turns);
    let (mut ended, mut n_steps) = (Vec::new(), 0);
    while !reader.is_idle() {
        ended.extend(reader.step());
        n_steps += 1;
        assert!(ended.len() + reader.active.len() == 4, "nobody waits");
    }
    let each: usize = alone.iter().map(|(.., n_steps)| n_steps).sum();
    assert!(2 * n_steps < each, "{n_steps} steps together, {each} alone");
    ended.sort_by_key(|ended| ended.id);
    assert_eq!(ended.iter().map(|ended| ended.id).collect::<Vec<_>>(), ids);
    for (ended, (mass, said, _)) in ended.into_iter().zip(alone) {
        let (together, tokens) = tokens(ended.result.unwrap());
        assert_eq!(tokens, said);
        assert_eq!(together.len(), mass.len());
        for (together, alone) in together.iter().zip(&mass) {
            let total: f32 = alone.mass.iter().sum();
            let distance: f32 = together.mass.iter().zip(&alone.mass).map(|(a, b)| (a - b).abs()).sum();
            assert!(total > 0.0 && distance < 5e-3 * total, "layer {}: {distance} of {total}", alone.layer);
        }
    }
}

#[test]
fn what_somebody_else_is_at_is_begun_with_without_a_copy() {
    let (mut reader, mut turns) = reader(2, &[TEXTS[0], TEXTS[2]]);
    let late = turns.pop().unwrap();
    reader.submit(turns.pop().unwrap());
    while reader.active.first().is_none_or(|active| !matches!(active.turn.demand(), schedule::Demand::Speak { .. })) {
        assert!(reader.step().is_empty());
    }
    reader.submit(late);
    let mut ended = Vec::new();
    while !reader.is_idle() {
        ended.extend(reader.step());
    }
    let held: Vec<usize> = ended.into_iter().map(|ended| ended.result.unwrap().n_held).collect();
    assert!(held[0] == 0 && held[1] > 256, "{held:?}");
}

#[test]
fn a_turn_that_is_stopped_leaves_the_others_and_its_sequence() {
    let (mut reader, turns) = reader(2, &TEXTS);
    let flags: Vec<_> = turns.iter().map(|turn| turn.cancel.clone()).collect();
    submit_all(&mut reader, turns);
    assert!(reader.step().is_empty());
    flags[0].store(true, std::sync::atomic::Ordering::Relaxed);
    flags[3].store(true, std::sync::atomic::Ordering::Relaxed);
    let stopped: Vec<_> = reader.step().into_iter().map(|ended| (ended.id, ended.result.is_err())).collect();
    assert_eq!(stopped, [(0, true), (3, true)], "also the one that waits");
    let mut done = Vec::new();
    while !reader.is_idle() {
        done.extend(reader.step().into_iter().map(|ended| (ended.id, ended.result.is_ok())));
    }
    done.sort_unstable();
    assert_eq!(done, [(1, true), (2, true)]);
    assert!(reader.sequences.iter().all(|sequence| !sequence.is_busy));
}

#[test]
fn a_reader_that_starts_over_ends_all_turns_and_goes_on() {
    let (mut reader, mut turns) = reader(2, &TEXTS);
    let last = turns.pop().unwrap();
    submit_all(&mut reader, turns);
    assert!(reader.step().is_empty());
    let ended: Vec<_> = reader.start_over().into_iter().map(|ended| (ended.id, ended.result.is_err())).collect();
    assert_eq!(ended, [(0, true), (1, true), (2, true)]);
    reader.submit(last);
    while !reader.is_idle() {
        assert!(reader.step().into_iter().all(|ended| ended.result.is_ok()));
    }
}
