//! Our path against Hugging Face `transformers` on equal random weights; `fidelity/README.md` says what was computed there.

use super::harness::{gpu_layers, options, tolerance};
use crate::chat::ChatTemplate;
use crate::guidance::{Consistency, Kept, Policy, Retain, confidence};
use crate::llama::{CacheType, Chunk, ContextOptions, FlashAttention, Model, ModelOptions, Vision, VisionOptions};
use crate::media::{Limits, Picture};
use crate::vlm::{Finish, GenerationOptions, Prepared, Role, Vlm, VlmOptions, question};
use std::collections::BTreeMap;
use std::path::PathBuf;

const FAMILIES: [&str; 3] = ["llava", "internvl", "qwen2_vl"];

#[derive(serde::Deserialize)]
struct Goldens {
    cases: Vec<Case>,
}

/// One prompt, as `fidelity/make_goldens.py` writes it.
#[derive(serde::Deserialize)]
struct Case {
    pictures: Vec<String>,
    question: String,
    n_predict: usize,
    /// Token ids; `None` for a visual token.
    prompt: Vec<Option<i32>>,
    /// `[V][t, y, x]`
    positions: Vec<[i32; 3]>,
    /// `[V, n_embd]`
    embeddings: Vec<Vec<f64>>,
    answer: Vec<i32>,
    text: String,
    log_probabilities: Vec<f64>,
    confidence: f64,
    consistency: Forced,
    /// `[n_layer, V]`
    importance: Vec<Vec<f64>>,
    /// Retention -> kept visual tokens.
    kept: BTreeMap<String, Vec<usize>>,
    /// Retention -> the target's logits after the prompt, `[n_vocab]`.
    target: BTreeMap<String, Vec<f64>>,
}

/// The answer, teacher-forced behind the pruned prompt.
#[derive(serde::Deserialize)]
struct Forced {
    share: f64,
    log_probabilities: Vec<f64>,
    product: f64,
}

impl Case {
    fn kept(&self, share: &str) -> Kept {
        let n_visual = self.positions.len();
        match share {
            "1" => Kept::all(n_visual),
            share => Kept::from_indices(n_visual, self.kept[share].clone()).unwrap(),
        }
    }

    fn pictures(&self, family: &str) -> Vec<Picture> {
        self.pictures.iter().map(|name| Picture::open(path(family, name), &Limits::default()).unwrap()).collect()
    }
}

fn path(family: &str, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fidelity").join(family).join(name)
}

/// `internvl` uses the text models of `llava`.
fn text_path(family: &str, name: &str) -> PathBuf {
    path(if family == "internvl" { "llava" } else { family }, name)
}

/// One picture and two pictures; some answers end themselves, others are cut.
fn cases(family: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(path(family, "goldens.json")).unwrap();
    let cases = serde_json::from_str::<Goldens>(&text).unwrap().cases;
    assert_eq!(cases.iter().map(|case| case.pictures.len()).collect::<Vec<_>>(), [1, 2]);
    cases
}

/// A case under one setting.
struct Run {
    name: String,
    case: Case,
    tolerance: f64,
}

impl Run {
    /// Fails unless every value is within the tolerance, relative to values above 1.
    fn assert_close(&self, what: &str, found: &[f64], expected: &[f64]) {
        self.assert_within(self.tolerance, what, found, expected);
    }

    fn assert_within(&self, tolerance: f64, what: &str, found: &[f64], expected: &[f64]) {
        let name = &self.name;
        assert_eq!(found.len(), expected.len(), "{name}, {what}");
        let difference = |(a, b): (&f64, &f64)| (a - b).abs() / b.abs().max(1.0);
        let worst = found.iter().zip(expected).map(difference).fold(0.0, f64::max);
        assert!(worst <= tolerance, "{name}, {what}: {worst}");
    }
}

/// Runs a check on every case, without and with flash attention, always with an F32 cache.
fn for_each_run(role: Role, check: impl Fn(&Run, &mut Vlm, &Prepared)) {
    // Flash attention rounds K and V to F16, whatever the cache holds (`llm_graph_context::build_attn_mha`).
    for (flash_attention, tolerance) in [(FlashAttention::Off, tolerance(1e-4)), (FlashAttention::On, 5e-2)] {
        for family in FAMILIES {
            let context =
                ContextOptions { flash_attention, cache_k: CacheType::F32, cache_v: CacheType::F32, ..options() };
            let options = VlmOptions {
                model: text_path(family, if role == Role::Guide { "guide.gguf" } else { "target.gguf" }),
                mmproj: path(family, "mmproj.gguf"),
                n_gpu_layers: Some(gpu_layers()),
                context,
                ..VlmOptions::default()
            };
            let mut vlm = Vlm::load(role, options, |_| {}).unwrap();
            for case in cases(family) {
                let messages = question(None, case.pictures.len(), &case.question);
                let prepared = vlm.prepare(&messages, &case.pictures(family), |_, _| {}).unwrap();
                let name = format!("{family}, {} pictures, flash attention {flash_attention:?}", case.pictures.len());
                check(&Run { name, case, tolerance }, &mut vlm, &prepared);
            }
        }
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

#[test]
fn prompts_have_the_same_tokens_and_positions() {
    for family in FAMILIES {
        let model_options = ModelOptions { n_gpu_layers: Some(gpu_layers()), ..ModelOptions::default() };
        let model = Model::load(&text_path(family, "guide.gguf"), model_options).unwrap();
        let vision_options = VisionOptions { cpu_only: gpu_layers() == 0, ..VisionOptions::default() };
        let vision = Vision::load(&path(family, "mmproj.gguf"), &model, &vision_options).unwrap();
        let template = ChatTemplate::new(&model.chat_template().unwrap(), "", "").unwrap();
        for case in cases(family) {
            let parts = template.render(&question(None, case.pictures.len(), &case.question), true).unwrap();
            let chunks = vision.tokenize(&parts, &case.pictures(family), true).unwrap();
            let (mut prompt, mut positions, mut end) = (Vec::new(), Vec::new(), 0);
            for chunk in chunks.iter(&vision).unwrap() {
                match chunk {
                    Chunk::Text(tokens) => {
                        prompt.extend(tokens.iter().copied().map(Some));
                        end += tokens.len() as i32;
                    }
                    Chunk::Image(image) => {
                        prompt.extend(vec![None; image.n_tokens()]);
                        positions.extend(image.positions(end).iter().map(|at| [at.t, at.y, at.x]));
                        end += image.n_positions();
                    }
                }
            }
            assert_eq!(prompt, case.prompt, "{family}");
            assert_eq!(positions, case.positions, "{family}");
        }
    }
}

#[test]
fn visual_embeddings_agree() {
    for_each_run(Role::Guide, |run, _, prepared| {
        let rows: Vec<f64> = (0..).map_while(|row| prepared.row(row)).flat_map(wide).collect();
        run.assert_within(tolerance(1e-4), "embeddings", &rows, &run.case.embeddings.concat());
    });
}

#[test]
fn answers_and_confidence_agree() {
    for_each_run(Role::Guide, |run, guide, prepared| {
        let Run { name, case, .. } = run;
        let options = GenerationOptions { n_predict: case.n_predict, observe: true, ..GenerationOptions::default() };
        let all = Kept::all(case.positions.len());
        let generation = guide.answer(prepared, &all, &options, &mut |_, _| {}, &mut |_| {}).unwrap();
        assert_eq!(generation.tokens, case.answer, "{name}");
        assert_eq!(generation.text, case.text, "{name}");
        let expected = if case.answer.len() < case.n_predict { Finish::Stop } else { Finish::Length };
        assert_eq!(generation.finish, expected, "{name}");
        run.assert_close("ln p", &generation.log_probabilities, &case.log_probabilities);
        run.assert_close("confidence", &[confidence(&generation.log_probabilities)], &[case.confidence]);
    });
}

#[test]
fn importance_and_kept_sets_agree() {
    for_each_run(Role::Guide, |run, guide, prepared| {
        let Run { name, case, .. } = run;
        let n_visual = case.positions.len();
        let options = GenerationOptions { n_predict: case.n_predict, observe: true, ..GenerationOptions::default() };
        let generation = guide.answer(prepared, &Kept::all(n_visual), &options, &mut |_, _| {}, &mut |_| {}).unwrap();
        let importance = generation.importance.unwrap();
        assert_eq!(importance.layers().map(|(layer, _)| layer).collect::<Vec<_>>(), [0, 1, 2]);
        for ((layer, mass), expected) in importance.layers().zip(&case.importance) {
            let ratios: Vec<f64> = mass.iter().zip(expected).map(|(mass, expected)| mass / expected).collect();
            run.assert_close(&format!("layer {layer}"), &ratios, &vec![1.0; expected.len()]);
        }
        for (share, expected) in &case.kept {
            let retain = Retain::Share(share.parse().unwrap());
            let kept = Policy::Global.select(n_visual, (&importance).into(), retain).unwrap();
            assert_eq!(kept.indices(), expected, "{name}, {share}");
        }
    });
}

#[test]
fn consistency_agrees() {
    for_each_run(Role::Guide, |run, guide, prepared| {
        let Forced { share, log_probabilities, product } = &run.case.consistency;
        let scored = guide.score(prepared, &run.case.kept(&share.to_string()), &run.case.answer).unwrap();
        run.assert_close("forced ln p", &scored, log_probabilities);
        let ratio = Consistency::Product.of(&scored) / product;
        run.assert_close("product, per token", &[ratio.ln() / scored.len() as f64], &[0.0]);
    });
}

#[test]
fn the_pruned_target_agrees() {
    for_each_run(Role::Target, |run, target, prepared| {
        assert_eq!(run.case.target.len(), 5);
        for (share, expected) in &run.case.target {
            let logits = target.prompt_logits(prepared, &run.case.kept(share)).unwrap();
            run.assert_close(&format!("logits at {share}"), &wide(&logits), expected);
        }
        let worst = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(
            worst(&run.case.target["0.5"], &run.case.target["1"]) > 0.5,
            "pruning must matter, or this shows nothing"
        );
    });
}
