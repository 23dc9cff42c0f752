//! Our path through a prompt against libmtmd's own, and pruning against masking.

use super::harness::*;
use crate::chat::Message;
use crate::guidance::Kept;
use crate::llama::{Batch, Context, ContextOptions, FlashAttention};
use crate::vlm::{GenerationOptions, Role, Vlm, VlmOptions};
use llama_cpp_sys_2 as sys;

/// Logits after libmtmd's `mtmd_helper_eval_chunks`.
fn libmtmd(name: &str, options: &ContextOptions) -> Vec<f32> {
    let vision = load_vision_with(name, options.flash_attention);
    let chunks = chunks(&vision);
    let context = Context::new(vision.model(), options).unwrap();
    let mut end = 0;
    // SAFETY: all three are valid; the helper decodes on the context that the test owns.
    let code = unsafe {
        sys::mtmd_helper_eval_chunks(
            vision.raw().as_ptr(),
            context.raw().as_ptr(),
            chunks.raw().as_ptr(),
            0,
            0,
            options.n_batch as i32,
            true,
            &raw mut end,
        )
    };
    assert_eq!(code, 0);
    // SAFETY: as above; -1 is the last output.
    let logits = unsafe { sys::llama_get_logits_ith(context.raw().as_ptr(), -1) };
    assert!(!logits.is_null());
    unsafe { std::slice::from_raw_parts(logits, vision.model().n_vocab()) }.to_vec()
}

fn vlm(name: &str, options: &ContextOptions) -> Vlm {
    let options = VlmOptions {
        model: models_dir().join(format!("{name}.gguf")),
        mmproj: models_dir().join(format!("mmproj-{name}.gguf")),
        n_gpu_layers: Some(gpu_layers()),
        n_ctx: Some(options.n_ctx),
        context: options.clone(),
        ..VlmOptions::default()
    };
    Vlm::load(Role::Target, options, |_| {}).unwrap()
}

#[test]
fn unpruned_logits_equal_libmtmds_bit_for_bit() {
    for name in ["guide", "target"] {
        for flash_attention in [FlashAttention::Off, FlashAttention::On] {
            for (n_batch, n_ubatch) in [(2048, 512), (100, 40)] {
                let options = ContextOptions { flash_attention, n_batch, n_ubatch, ..options() };
                let mut vlm = vlm(name, &options);
                let messages = [Message::user_with_pictures(1, QUESTION)];
                let prepared = vlm.prepare(&messages, &[picture()], |_, _| {}).unwrap();
                let all: Vec<usize> = (0..prepared.prompt.n_visual()).collect();
                let logits = vlm.prompt_logits(&prepared, &Kept::all(all.len())).unwrap();
                assert_eq!(logits, libmtmd(name, &options), "{name}, {flash_attention:?}, -b {n_batch}");
            }
        }
    }
}

#[test]
fn observing_the_guide_changes_no_probability() {
    let mut vlm = vlm("guide", &options());
    let messages = [Message::user_with_pictures(1, QUESTION)];
    let prepared = vlm.prepare(&messages, &[picture()], |_, _| {}).unwrap();
    let kept = Kept::all(prepared.prompt.n_visual());
    let answer = |vlm: &mut Vlm, observe| {
        let options = GenerationOptions { n_predict: 8, observe, ..GenerationOptions::default() };
        vlm.answer(&prepared, &kept, &options, &mut |_, _| {}, &mut |_| {}).unwrap()
    };
    let observed = answer(&mut vlm, true);
    assert_eq!(observed.tokens, answer(&mut vlm, false).tokens);
    // The same tokens, teacher-forced in one batch instead of one by one: rounding apart, the same probabilities.
    let scored = vlm.score(&prepared, &kept, &observed.tokens).unwrap();
    assert_eq!(scored.len(), observed.tokens.len());
    for (scored, seen) in scored.iter().zip(&observed.log_probabilities) {
        assert!((scored - seen).abs() < tolerance(1e-3), "{scored} {seen}");
    }
}

/// Visual tokens that stay, of 256.
fn kept() -> Vec<usize> {
    (0..256).filter(|index| index % 7 == 3 || (90..110).contains(index)).collect()
}

#[test]
fn dropping_a_token_equals_masking_it() {
    for name in ["guide", "target"] {
        let vision = load_vision(name);
        let flat = flat(&vision);
        let question = flat.question();
        let rows = question - flat.visual.len();
        let is_kept = |index: usize| kept().contains(&index);

        // Pruned: the dropped rows are never decoded.
        let mut context = Context::new(vision.model(), &options()).unwrap();
        decode(&mut context, &flat.entries[..rows], 0, usize::MAX);
        let pruned: Vec<_> = kept().iter().map(|&index| flat.entries[rows + index].clone()).collect();
        decode(&mut context, &pruned, 0, usize::MAX);
        let pruned = decode(&mut context, &flat.entries[question..], 0, usize::MAX);

        // Masked: they are decoded as another sequence in the same cache, which the mask hides.
        let two = ContextOptions { n_seq_max: 2, kv_unified: true, ..options() };
        let mut context = Context::new(vision.model(), &two).unwrap();
        decode(&mut context, &flat.entries[..rows], 0, usize::MAX);
        let mut batch = Batch::new(&context);
        batch.allow_position_gaps();
        for (index, entry) in flat.entries[rows..question].iter().enumerate() {
            add(&mut batch, std::slice::from_ref(entry), i32::from(!is_kept(index)), usize::MAX);
        }
        context.decode(&mut batch).unwrap();
        let masked = decode(&mut context, &flat.entries[question..], 0, usize::MAX);

        let worst = pruned.iter().zip(&masked).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Weights are f16: another order of summation may flip the rounding of an activation.
        assert!(f64::from(worst) < tolerance(5e-3), "{name}: {worst}");
        // And dropping them matters, or the comparison would show nothing.
        let mut context = Context::new(vision.model(), &options()).unwrap();
        let full = read(&mut context, &flat, 0);
        let change = pruned.iter().zip(&full).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(change > 0.1, "{name}: {change}");
    }
}

#[test]
fn a_pruned_run_reads_exactly_the_selected_rows_at_their_positions() {
    let vision = load_vision("target");
    let flat = flat(&vision);
    let question = flat.question();
    let rows = question - flat.visual.len();
    let mut context = Context::new(vision.model(), &options()).unwrap();
    let pruned = kept().into_iter().map(|index| &flat.entries[rows + index]);
    let entries = flat.entries[..rows].iter().chain(pruned).chain(&flat.entries[question..]);
    let by_hand = decode(&mut context, &entries.cloned().collect::<Vec<_>>(), 0, usize::MAX);

    let mut vlm = vlm("target", &options());
    let messages = [Message::user_with_pictures(1, QUESTION)];
    let prepared = vlm.prepare(&messages, &[picture()], |_, _| {}).unwrap();
    let selected = Kept::from_indices(256, kept()).unwrap();
    assert_eq!(vlm.prompt_logits(&prepared, &selected).unwrap(), by_hand);
}

#[test]
fn positions_may_jump_only_when_allowed() {
    let vision = load_vision("guide");
    let mut context = Context::new(vision.model(), &options()).unwrap();
    let mut batch = Batch::new(&context);
    batch.add_token(5, 0, 0).unwrap();
    batch.add_token(6, 3, 0).unwrap();
    assert!(matches!(context.decode(&mut batch), Err(crate::llama::LlamaError::InvalidBatch { .. })));
    batch.allow_position_gaps();
    context.decode(&mut batch).unwrap();
    batch.clear(); // forgets the permission
    batch.add_token(7, 9, 0).unwrap();
    assert!(context.decode(&mut batch).is_err());
    batch.allow_position_gaps();
    context.decode(&mut batch).unwrap();
    batch.clear();
    batch.allow_position_gaps();
    batch.add_token(7, 9, 0).unwrap(); // backwards is never allowed
    assert!(context.decode(&mut batch).is_err());
}
