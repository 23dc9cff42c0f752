//! The attention export (`patches/0001`).

use super::harness::*;
use crate::llama::{Batch, CacheType, Context, ContextOptions, FlashAttention, LayerMass, Position};

/// Export and `cb_eval` in one run without flash attention: the worst layer's relative distance.
fn export_against_softmax(name: &str, options: &ContextOptions) -> f64 {
    let vision = load_vision(name);
    let flat = flat(&vision);
    let question = flat.question();
    let first_row = flat.entries.iter().position(|(input, _)| matches!(input, Input::Row(_))).unwrap();
    let mut observer = Observer::new(question);
    let mut context = Observer::context(vision.model(), options, &mut observer, true);
    context.watch_attention(0, &flat.visual);
    read(&mut context, &flat, 0);
    decode(&mut context, &[(Input::Token(10), Position::sequential(flat.end))], 0, 0);
    let exported = context.take_attention(0);
    drop(context);
    assert_eq!(exported.len(), vision.model().n_layer() as usize);
    distance(&exported, &observer.at(first_row..question))
}

#[test]
fn equals_the_softmax_for_every_batch_split() {
    for (name, n_ubatch) in [("guide", 512), ("guide", 64), ("guide", 5), ("target", 512), ("target", 7)] {
        let distance = export_against_softmax(name, &ContextOptions { n_ubatch, ..options() });
        assert!(distance < tolerance(1e-6), "{name}, -ub {n_ubatch}: {distance:e}");
    }
}

#[test]
fn equals_the_softmax_with_every_k_cache() {
    for cache_k in [CacheType::F32, CacheType::F16, CacheType::Q8_0] {
        let distance = export_against_softmax("guide", &ContextOptions { cache_k, ..options() });
        assert!(distance < tolerance(1e-6), "{cache_k:?}: {distance:e}");
    }
}

fn exported(context: &mut Context, flat: &Flat, sequence: i32) -> Vec<LayerMass> {
    context.watch_attention(sequence, &flat.visual);
    read(context, flat, sequence);
    context.take_attention(sequence)
}

#[test]
fn flash_attention_changes_it_by_rounding_only() {
    let vision = load_vision("guide");
    let flat = flat(&vision);
    let run = |flash_attention, cache| {
        let options = ContextOptions { flash_attention, cache_k: cache, cache_v: cache, ..options() };
        exported(&mut Context::new(vision.model(), &options).unwrap(), &flat, 0)
    };
    let reference = run(FlashAttention::Off, CacheType::F16);
    let distance_f16 = distance(&run(FlashAttention::On, CacheType::F16), &reference);
    assert!(distance_f16 < tolerance(2e-3), "{distance_f16:e}");
    let distance_q8 = distance(&run(FlashAttention::On, CacheType::Q8_0), &reference);
    assert!(distance_q8 < 5e-2, "{distance_q8:e}");
}

#[test]
fn leaves_the_logits_as_they_are() {
    for flash_attention in [FlashAttention::Off, FlashAttention::On] {
        let vision = load_vision("guide");
        let flat = flat(&vision);
        let options = ContextOptions { flash_attention, ..options() };
        let mut context = Context::new(vision.model(), &options).unwrap();
        let stock = read(&mut context, &flat, 0);
        context.clear();
        context.watch_attention(0, &flat.visual);
        assert_eq!(read(&mut context, &flat, 0), stock);
        assert!(!context.take_attention(0).is_empty());
    }
}

#[test]
fn sums_grow_by_one_head_count_per_query() {
    let vision = load_vision("guide");
    let flat = flat(&vision);
    let everything: Vec<_> = flat.entries.iter().map(|&(_, position)| position).collect();
    let mut context = Context::new(vision.model(), &options()).unwrap();
    context.watch_attention(0, &everything);
    read(&mut context, &flat, 0);
    let n_query = flat.entries.len() - flat.question();
    for LayerMass { layer, mass } in context.take_attention(0) {
        let total: f32 = mass.iter().sum();
        let heads = total / n_query as f32;
        assert!(f64::from(heads - 3.0).abs() < tolerance(1e-3), "layer {layer}: {heads} heads"); // the guide has 3
    }
}

#[test]
fn many_queries_and_threads_change_it_by_rounding_only() {
    // 500 queries of 3 heads on 2000 cells are more than the CPU's operation takes at once.
    let vision = load_vision("guide");
    let entries: Vec<_> = (0..2000).map(|t| (Input::Token(5 + t % 90), Position::sequential(t))).collect();
    let watched: Vec<_> = entries[..1500].iter().map(|&(_, position)| position).collect();
    let run = |n_ubatch, n_threads| {
        let options = ContextOptions { n_ctx: 2048, n_ubatch, n_threads: Some(n_threads), ..options() };
        let mut context = Context::new(vision.model(), &options).unwrap();
        context.watch_attention(0, &watched);
        for text in entries[..1500].chunks(500) {
            decode(&mut context, text, 0, usize::MAX);
        }
        decode(&mut context, &entries[1500..], 0, 0);
        context.take_attention(0)
    };
    let distance = distance(&run(512, 2), &run(32, 1));
    assert!(distance < tolerance(5e-4), "{distance:e}");
}

/// Two sequences in every batch, each with its own prompt, against each of them alone.
fn two_sequences(kv_unified: bool) {
    let vision = load_vision("guide");
    let first = flat(&vision);
    let mut second = flat(&vision);
    for (input, _) in &mut second.entries {
        if let Input::Row(row) = input {
            row.reverse(); // another picture
        }
    }
    let options = ContextOptions { n_seq_max: 2, kv_unified, n_ctx: 2048, ..options() };
    let alone = |flat: &Flat| exported(&mut Context::new(vision.model(), &options).unwrap(), flat, 0);
    let (alone_first, alone_second) = (alone(&first), alone(&second));

    let mut context = Context::new(vision.model(), &options).unwrap();
    context.watch_attention(0, &first.visual);
    context.watch_attention(1, &second.visual);
    let question = first.question();
    let rows = first.visual.len();
    for range in [0..question - rows, question - rows..question, question..first.entries.len()] {
        let query_from = if range.start == question { 0 } else { usize::MAX };
        let mut batch = Batch::new(&context);
        add(&mut batch, &first.entries[range.clone()], 0, query_from);
        let last = add(&mut batch, &second.entries[range], 1, query_from).pop().unwrap();
        batch.want_logits(last);
        context.decode(&mut batch).unwrap();
    }
    for (sequence, alone) in [(0, alone_first), (1, alone_second)] {
        let distance = distance(&context.take_attention(sequence), &alone);
        // Weights are f16: another order of summation may flip the rounding of an activation.
        assert!(distance < tolerance(5e-4), "unified {kv_unified}, sequence {sequence}: {distance:e}");
    }
}

#[test]
fn queries_of_one_sequence_never_count_for_another() {
    two_sequences(true);
    two_sequences(false);
}

#[test]
fn one_sequence_may_ask_while_another_reads() {
    // The question of sequence 0 in the same batch as text of sequence 1 that does not ask, of another length.
    let vision = load_vision("guide");
    let flat = flat(&vision);
    let question = flat.question();
    let options = ContextOptions { n_seq_max: 2, kv_unified: true, n_ctx: 2048, ..options() };
    let alone = exported(&mut Context::new(vision.model(), &options).unwrap(), &flat, 0);

    let mut context = Context::new(vision.model(), &options).unwrap();
    context.watch_attention(0, &flat.visual);
    decode(&mut context, &flat.entries[..question - flat.visual.len()], 0, usize::MAX);
    decode(&mut context, &flat.entries[question - flat.visual.len()..question], 0, usize::MAX);
    let mut batch = Batch::new(&context);
    for t in 0..40 {
        batch.add_token(5 + t, t, 1).unwrap();
    }
    add(&mut batch, &flat.entries[question..], 0, 0);
    context.decode(&mut batch).unwrap();
    let distance = distance(&context.take_attention(0), &alone);
    assert!(distance < tolerance(5e-4), "{distance:e}");
}

#[test]
fn cells_are_found_again_after_the_cache_was_cut() {
    let vision = load_vision("guide");
    let flat = flat(&vision);
    let mut context = Context::new(vision.model(), &options()).unwrap();
    let fresh = exported(&mut context, &flat, 0);

    // Read it once more behind what is left of the first time: the cells are now elsewhere.
    let question = flat.question();
    let rows = question - flat.visual.len();
    assert!(context.truncate(0, rows as i32 + 100));
    decode(&mut context, &flat.entries[question..], 0, usize::MAX);
    assert!(context.truncate(0, rows as i32 + 50));
    context.watch_attention(0, &flat.visual);
    decode(&mut context, &flat.entries[rows + 50..question], 0, usize::MAX);
    decode(&mut context, &flat.entries[question..], 0, 0);
    let distance = distance(&context.take_attention(0), &fresh);
    assert!(distance < tolerance(5e-4), "{distance:e}");
}
