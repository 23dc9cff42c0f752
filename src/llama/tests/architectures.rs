//! The attention export where attention is computed in other ways than in the demo pair.

use super::harness::*;
use crate::fixtures::Draft;
use crate::fixtures::variants::{self as fixtures, WINDOW};
use crate::llama::{Batch, CacheType, Context, ContextOptions, FlashAttention, LayerMass, Model, Position};
use std::sync::Arc;

/// What to read and what to expect of a model.
#[derive(Clone, Copy)]
struct Case {
    model: fn(bool) -> Draft,
    /// The layers that report, with their number of heads and whether they have a sliding window.
    layers: &'static [(u32, u32, bool)],
    /// Rows and columns of the picture.
    picture: (i32, i32),
    /// Whether visual tokens have positions in two dimensions.
    mrope: bool,
    /// Whether the picture is read without the causal mask.
    non_causal: bool,
    /// Whether part of the attention goes to no token.
    sinks: bool,
    /// Whether llama.cpp takes a quantized K cache without flash attention.
    quantized: bool,
}

const ORDINARY: Case = Case {
    model: fixtures::mpt,
    layers: &[(0, 4, false), (1, 4, false), (2, 4, false)],
    picture: (4, 6),
    mrope: false,
    non_causal: false,
    sinks: false,
    quantized: true,
};
const EVERY_OTHER: &[(u32, u32, bool)] = &[(0, 4, true), (1, 4, false), (2, 4, true)];

const GEMMA2: Case = Case { model: fixtures::gemma2, layers: EVERY_OTHER, picture: (15, 20), ..ORDINARY };
const GEMMA3: Case = Case {
    model: fixtures::gemma3,
    layers: &[(0, 4, true), (1, 4, true), (2, 4, false)],
    non_causal: true,
    ..ORDINARY
};
const GEMMA4: Case = Case {
    model: fixtures::gemma4,
    layers: &[(0, 4, true), (1, 4, false), (2, 4, true), (3, 4, false)],
    non_causal: true,
    ..ORDINARY
};
const GPT_OSS: Case =
    Case { model: fixtures::gpt_oss, layers: EVERY_OTHER, picture: (15, 20), sinks: true, ..ORDINARY };
const MPT: Case = Case { model: fixtures::mpt, ..ORDINARY };
const QWEN2VL: Case = Case { model: fixtures::qwen2vl, mrope: true, ..ORDINARY };
const QWEN3VL: Case = Case { model: fixtures::qwen3vl, mrope: true, ..ORDINARY };
const OPENELM: Case =
    Case { model: fixtures::openelm, layers: &[(0, 4, false), (1, 2, false), (2, 6, false)], ..ORDINARY };
const LFM2: Case = Case { model: |_| fixtures::lfm2(false), layers: &[(1, 4, false), (3, 4, false)], ..ORDINARY };
const LFM2_WINDOW: Case =
    Case { model: fixtures::lfm2, layers: &[(1, 4, true), (3, 4, true)], picture: (15, 20), ..ORDINARY };
const QWEN35: Case = Case { model: fixtures::qwen35, layers: &[(1, 4, false), (3, 4, false)], mrope: true, ..ORDINARY };
const DEEPSEEK2: Case = Case { model: fixtures::deepseek2, quantized: false, ..ORDINARY };

/// Tokens before the picture, tokens after it, tokens read one by one after these.
const BEFORE: i32 = 5;
const AFTER: i32 = 7;
const GENERATED: i32 = 3;

/// A prompt in the parts in which it is decoded: text, picture, text, single tokens.
struct Prompt {
    parts: Vec<Vec<(Input, Position)>>,
    /// The entry from which on all are queries: in the middle of the picture.
    query_from: usize,
}

impl Prompt {
    /// Prompts of another `seed` differ in everything, also in length. Only pictures without causal mask are of one
    /// size: they must not be split, but with a cache for each sequence llama.cpp splits a batch where its shortest
    /// sequence ends.
    fn new(case: &Case, model: &Model, seed: i32) -> Self {
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let (height, width) = case.picture;
        let height = if case.non_causal { height } else { height - seed };
        let place = |t, y, x| {
            if case.mrope { Position { t, y, x, z: 0 } } else { Position::sequential(t) }
        };

        let width_in_time = if case.mrope { height.max(width) } else { height * width };
        let text = BEFORE + width_in_time..BEFORE + width_in_time + AFTER + seed + GENERATED;
        let mut token = |t| (Input::Token(random.i32(0..64)), place(t, t, t));
        let before = (0..BEFORE).map(&mut token).collect();
        let mut after: Vec<_> = text.map(&mut token).collect();
        let generated: Vec<_> = after.split_off((AFTER + seed) as usize).into_iter().map(|entry| vec![entry]).collect();

        let row = |index| {
            let row = (0..model.n_embd_inp()).map(|_| 2.0 * random.f32() - 1.0).collect();
            let (y, x) = (BEFORE + index / width, BEFORE + index % width);
            (Input::Row(row), place(if case.mrope { BEFORE } else { BEFORE + index }, y, x))
        };
        let picture: Vec<_> = (0..height * width).map(row).collect();
        let query_from = BEFORE as usize + picture.len() / 2;
        Self { parts: [vec![before, picture, after], generated].concat(), query_from }
    }

    fn positions(&self) -> Vec<Position> {
        self.parts.iter().flatten().map(|&(_, position)| position).collect()
    }
}

/// Decodes prompts side by side, one part after the other; the mass on all entries of each.
fn read(case: &Case, context: &mut Context, prompts: &[(i32, &Prompt)]) -> Vec<Vec<LayerMass>> {
    for (sequence, prompt) in prompts {
        context.watch_attention(*sequence, &prompt.positions());
    }
    let mut first = vec![0; prompts.len()];
    for part in 0..prompts[0].1.parts.len() {
        context.set_causal(part != 1 || !case.non_causal);
        let mut batch = Batch::new(context);
        for ((sequence, prompt), first) in prompts.iter().zip(&mut first) {
            let entries = &prompt.parts[part];
            let last = add(&mut batch, entries, *sequence, prompt.query_from.saturating_sub(*first)).pop().unwrap();
            batch.want_logits(last);
            *first += entries.len();
        }
        context.decode(&mut batch).unwrap();
    }
    prompts.iter().map(|(sequence, _)| context.take_attention(*sequence)).collect()
}

fn exact(n_ubatch: u32) -> ContextOptions {
    ContextOptions { n_ubatch, cache_k: CacheType::F32, cache_v: CacheType::F32, ..options() }
}

/// A context whose caches for sliding windows are small and reuse their cells, unlike the library's default.
fn context(model: &Arc<Model>, options: &ContextOptions) -> Context {
    Context::with_params(model, options, |params| params.swa_full = false).unwrap()
}

fn alone(case: &Case, model: &Arc<Model>, prompt: &Prompt, options: &ContextOptions) -> Vec<LayerMass> {
    read(case, &mut context(model, options), &[(0, prompt)]).remove(0)
}

/// Which layers report, how much in all, and on which entries: all but those that no query sees any more.
fn check_sums(case: &Case, prompt: &Prompt, exported: &[LayerMass]) {
    assert_eq!(exported.len(), case.layers.len());
    let n_queries = prompt.positions().len() - prompt.query_from;
    for (LayerMass { layer, mass }, &(expected, heads, window)) in exported.iter().zip(case.layers) {
        assert_eq!(*layer, expected);
        let sum = mass.iter().map(|&mass| f64::from(mass)).sum::<f64>() / n_queries as f64;
        let heads = f64::from(heads);
        let is_right = if case.sinks { sum < 0.9 * heads } else { (sum / heads - 1.0).abs() < tolerance(1e-4) };
        assert!(is_right, "layer {layer}: {sum} heads");
        let first_seen = if window { (prompt.query_from + 1).saturating_sub(WINDOW as usize) } else { 0 };
        for (entry, &mass) in mass.iter().enumerate() {
            assert_eq!(mass > 0.0, entry >= first_seen, "layer {layer}, entry {entry}: {mass:e}");
        }
    }
}

/// Export and `cb_eval` in one run for physical batches that do and do not split the parts and for a quantized K cache;
/// flash attention on and off; two sequences at once and each alone.
fn check(name: &str, case: &Case) {
    let model = load_draft((case.model)(true));
    let (first, second) = (Prompt::new(case, &model, 0), Prompt::new(case, &model, 1));

    let small = exact(if case.non_causal { 50 } else { 11 });
    let mut runs = vec![exact(512), small.clone()];
    if case.quantized {
        runs.push(ContextOptions { cache_k: CacheType::Q8_0, ..small.clone() });
    }
    for options in runs {
        let run = format!("{name}, -ub {}, -ctk {:?}", options.n_ubatch, options.cache_k);
        let mut observer = Observer::new(first.query_from);
        let mut context = Observer::context(&model, &options, &mut observer, false);
        let exported = read(case, &mut context, &[(0, &first)]).remove(0);
        drop(context);
        check_sums(case, &first, &exported);
        let n_entries = first.positions().len();
        let distance = distance(&exported, &observer.at(0..n_entries));
        assert!(distance < tolerance(1e-6), "{run}: {distance:e}");
        // The cache of a sliding window is window and physical batch, padded to 256 cells.
        let window = case.layers.iter().any(|(_, _, window)| *window);
        assert_eq!(observer.saw_a_cell_written_again(), window && n_entries > 256 && options.n_ubatch < 200, "{run}");
    }

    let reference = alone(case, &model, &first, &small);
    let flash = alone(case, &model, &first, &ContextOptions { flash_attention: FlashAttention::On, ..small.clone() });
    // What the first reporting layer reads does not depend on flash attention, which rounds K and V to f16.
    let distances = [distance(&flash[..1], &reference[..1]), distance(&flash, &reference)];
    assert!(distances[0] < tolerance(1e-6) && distances[1] < tolerance(2e-3), "{name}, flash attention: {distances:?}");

    let references = [reference, alone(case, &model, &second, &small)];
    for kv_unified in [true, false] {
        let options = ContextOptions { n_seq_max: 2, kv_unified, ..small.clone() };
        let mut context = context(&model, &options);
        let exported = read(case, &mut context, &[(0, &first), (1, &second)]);
        for (sequence, (exported, reference)) in exported.iter().zip(&references).enumerate() {
            let distance = distance(exported, reference);
            assert!(distance < tolerance(5e-5), "{name}, unified {kv_unified}, sequence {sequence}: {distance:e}");
        }
    }
}

/// Two cases with equal weights and prompts must differ, or equality with `cb_eval` would show nothing about what
/// separates them.
fn check_that_it_matters(name: &str, case: &Case, otherwise: &Case) {
    let masses = [case, otherwise].map(|case| {
        let model = load_draft((case.model)(true));
        alone(case, &model, &Prompt::new(case, &model, 0), &exact(512))
    });
    let change = distance(&masses[0], &masses[1]);
    assert!(change > 0.02, "{name}: {change}");
}

#[test]
fn attention_with_soft_cap_and_sliding_window() {
    check("gemma2", &GEMMA2);
    check_that_it_matters("soft cap", &GEMMA2, &Case { model: |_| fixtures::gemma2(false), ..GEMMA2 });
}

#[test]
fn pictures_without_causal_mask() {
    check("gemma3", &GEMMA3);
    check_that_it_matters("no causal mask", &GEMMA3, &Case { non_causal: false, ..GEMMA3 });
}

#[test]
fn layers_that_share_a_cache() {
    check("gemma4", &GEMMA4);
    check_that_it_matters("no causal mask", &GEMMA4, &Case { non_causal: false, ..GEMMA4 });
}

#[test]
fn attention_sinks() {
    check("gpt-oss", &GPT_OSS);
    check_that_it_matters("sinks", &GPT_OSS, &Case { model: |_| fixtures::gpt_oss(false), ..GPT_OSS });
}

#[test]
fn alibi() {
    check("mpt", &MPT);
    check_that_it_matters("alibi", &MPT, &Case { model: |_| fixtures::mpt(false), ..MPT });
}

#[test]
fn positions_in_two_dimensions() {
    check("qwen3vl", &QWEN3VL);
    check("qwen2vl", &QWEN2VL);
    check_that_it_matters("m-rope", &QWEN2VL, &Case { model: |_| fixtures::qwen2vl(false), ..QWEN2VL });
}

#[test]
fn another_number_of_heads_in_every_layer() {
    check("openelm", &OPENELM);
}

#[test]
fn models_with_recurrent_layers() {
    check("qwen35", &QWEN35);
    check("lfm2", &LFM2);
    check("lfm2 with a sliding window", &LFM2_WINDOW);
}

#[test]
fn latent_attention() {
    check("deepseek2", &DEEPSEEK2);
}
