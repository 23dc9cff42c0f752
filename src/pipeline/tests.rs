use super::*;
use crate::fixtures::{self, Family, FixturePair, TextShape};
use crate::geometry::Expectation;
use crate::gguf::WeightType;
use crate::guidance::{Policy, Tiles};
use crate::llama::ContextOptions;
use crate::media::{Limits, Picture};
use crate::vlm::question;
use std::path::Path;

fn pipeline() -> Pipeline {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let options = |name: &str| VlmOptions {
        model: models.join(format!("{name}.gguf")),
        mmproj: models.join(format!("mmproj-{name}.gguf")),
        n_gpu_layers: Some(0),
        context: ContextOptions { n_threads: Some(1), ..ContextOptions::default() },
        encoder_cache_bytes: 1 << 24,
        ..VlmOptions::default()
    };
    Pipeline::load(Some(options("guide")), options("target"), |_, _| {}).unwrap()
}

/// One question about two pictures of different kinds.
fn request(policy: Policy) -> Request {
    let pictures = ["flat", "noise"].map(|name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("models/pictures/{name}.png"));
        Picture::open(path, &Limits::default()).unwrap()
    });
    let asked = question(None, pictures.len(), "Read the label of the white circle.");
    Request { policy, exit: None, n_predict: 1, ..Request::new(asked, pictures.to_vec()) }
}

#[test]
fn an_expectation_changes_what_is_kept_where_it_is_not_even() {
    let mut pipeline = pipeline();
    let mut run = |request: &Request| pipeline.run(request, &mut |_| {}).unwrap();
    let global = run(&request(Policy::Global));
    let attention = global.attention.as_ref().unwrap();
    let kept = |outcome: &Outcome| outcome.selection.as_ref().unwrap().kept.clone();
    let mut with = |mass: &[f64]| {
        let expectation = Expectation::measure([(mass, attention.places.as_slice())]).map(Arc::new);
        kept(&run(&Request { expectation, ..request(Policy::GlobalDebias) }))
    };
    assert_eq!(with(&vec![1.0; 512]), kept(&global));
    // Where a quarter of both pictures always gets ten times as much, less of it is kept.
    let upper = |places: &[usize]| places.iter().filter(|&token| token % 256 < 64).count();
    let habit: Vec<f64> = (0..512).map(|token| if token % 256 < 64 { 10.0 } else { 1.0 }).collect();
    let (before, after) = (upper(kept(&global).indices()), upper(with(&habit).indices()));
    assert!(before > 0 && after < before, "{before} {after}");
}

#[test]
fn a_missing_expectation_is_told_before_anything_runs() {
    let mut pipeline = pipeline();
    let mut events = 0;
    let error = pipeline.run(&request(Policy::GlobalDebias), &mut |_| events += 1).unwrap_err();
    assert!(matches!(error, PipelineError::Guidance(GuidanceError::NoExpectation { .. })), "{error}");
    assert_eq!(events, 0);
    let all = Request { retain: None, ..request(Policy::GlobalDebias) };
    assert!(pipeline.run(&all, &mut |_| {}).is_ok());
}

#[test]
fn diversity_is_the_targets_and_every_picture_keeps_its_floor() {
    let mut pipeline = pipeline();
    for policy in [Policy::Diversity, Policy::GlobalDiversity(0.0), Policy::GlobalDiversity(0.5)] {
        let request = Request { picture_floor: 0.5, retain: Some(Retain::Count(40)), ..request(policy) };
        let report = pipeline.run(&request, &mut |_| {}).unwrap().report;
        assert_eq!(report.visual.kept, 40);
        assert!(report.visual.pictures.iter().all(|picture| picture.kept >= 10), "{:?}", report.visual.pictures);
        assert_eq!(report.guide.is_some(), policy == Policy::GlobalDiversity(0.5), "{policy}");
    }
}

#[test]
fn kept_tokens_are_gathered_and_other_tiles_are_not_encoded() {
    let mut pipeline = pipeline();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/held-out-large/images/0021.png");
    let pictures = vec![Picture::open(path, &Limits::default()).unwrap()];
    let asked = question(None, 1, "Which character is on the orange diamond?");
    let request = Request { exit: None, retain: Some(Retain::Share(0.1)), ..Request::new(asked, pictures) };
    let mut run = |tiles| {
        pipeline.target_mut().clear_encoder_cache();
        let request = Request { tiles, ..request.clone() };
        let outcome = pipeline.run(&request, &mut |_| {}).unwrap();
        let reused = outcome.report.visual.reused;
        (outcome.report.visual.tiles, outcome.report.visual.encoded, reused, outcome.selection.unwrap().kept)
    };
    let (any, _, _, free) = run(Tiles::ANY);
    assert_eq!((any.all, any.lost), (3, 0.0));
    let (most, encoded, reused, gathered) = run(Tiles::Most(1));
    assert_eq!((most.all, most.needed), (3, 1));
    assert_eq!((encoded, reused), (1, 3), "the guide's tiles are remembered");
    assert!(most.lost > 0.0 && most.lost < 1.0 && any.needed > 1, "{most:?}");
    assert_eq!(free.len(), gathered.len());
    let (some, ..) = run(Tiles::Loss(most.lost));
    assert!(some.lost <= most.lost && some.needed <= any.needed);
}

/// A tiny model for a text model of this width.
fn tiny(dir: &Path, family: Family, width: u64, seed: u64) -> VlmOptions {
    let dir = dir.join(format!("{width}-{seed}"));
    std::fs::create_dir_all(&dir).unwrap();
    let mut shape = family.tiny();
    shape.text = TextShape { width, ..shape.text };
    let FixturePair { model, mmproj } = fixtures::write(family, &shape, seed, WeightType::F16, &dir).unwrap();
    let context = ContextOptions { n_threads: Some(1), ..ContextOptions::default() };
    VlmOptions { model, mmproj, n_gpu_layers: Some(0), context, ..VlmOptions::default() }
}

#[test]
fn one_vision_tower_is_run_for_both_models() {
    for family in [Family::InternVlQwen2, Family::Gemma3, Family::Llava15, Family::SmolVlm] {
        let dir = tempfile::tempdir().unwrap();
        let ask = |guide_seed| {
            let (guide, target) = (tiny(dir.path(), family, 128, guide_seed), tiny(dir.path(), family, 256, 1));
            let mut pipeline = Pipeline::load(Some(guide), target, |_, _| {}).unwrap();
            let pixels = (0..224u32 * 112 * 3).map(|n| (u64::from(n) * u64::from(n) % 251) as u8).collect();
            let picture = Picture::from_rgb(224, 112, pixels).unwrap();
            let request = Request {
                exit: None,
                draft: false,
                n_predict: 3,
                retain: None,
                always_guide: true,
                ..Request::new(question(None, 1, "What is this?"), vec![picture])
            };
            let mut run = || pipeline.run(&request, &mut |_| {}).unwrap().report;
            let (first, second) = (run(), run());
            assert_eq!((&first.answer, first.visual.projected), (&second.answer, second.visual.projected));
            (first.answer, first.visual.tiles.all, first.visual.encoded, first.visual.projected)
        };
        let (answer, n_tiles, encoded, projected) = ask(1);
        assert_eq!((encoded, projected), (n_tiles, n_tiles), "{}", family.name());
        let (apart, n_tiles, encoded, projected) = ask(2);
        assert_eq!((encoded, projected), (2 * n_tiles, 0), "{}", family.name());
        assert_eq!(answer, apart, "{}", family.name());
    }
}
