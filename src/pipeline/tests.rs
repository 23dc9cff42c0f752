use super::*;
use crate::geometry::Expectation;
use crate::guidance::Policy;
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
