//! Models that need more than attention over one causal sequence: pictures that are read whole, positions in space, states.

use super::*;
use crate::fixtures::{self, Family, FixturePair};
use crate::gguf::WeightType;

fn tiny(dir: &Path, family: Family, seed: u64) -> VlmOptions {
    let dir = dir.join(seed.to_string());
    std::fs::create_dir_all(&dir).unwrap();
    let FixturePair { model, mmproj } = fixtures::write(family, &family.tiny(), seed, WeightType::F32, &dir).unwrap();
    let context = ContextOptions { n_threads: Some(1), ..ContextOptions::default() };
    VlmOptions { model, mmproj, n_gpu_layers: Some(0), context, encoder_cache_bytes: 1 << 24, ..VlmOptions::default() }
}

fn requests() -> Vec<Request> {
    let picture = |seed: u64| {
        let pixels = (0..224u64 * 168 * 3).map(|n| ((n + seed) * (n + 7 * seed) % 251) as u8).collect();
        Picture::from_rgb(224, 168, pixels).unwrap()
    };
    let exit = Some(ExitOptions { threshold: 0.0, ..ExitOptions::default() });
    let ask = |seed: u64, text: &str| Request {
        exit: None,
        ignore_end: true,
        n_predict: 4,
        ..Request::new(question(None, 1, text), vec![picture(seed)])
    };
    let two =
        Request { messages: question(None, 2, "And these?"), pictures: vec![picture(1), picture(3)], ..ask(1, "") };
    vec![
        ask(1, "What is this?"),
        Request { exit, ..ask(2, "What else is there?") },
        Request { retain: None, ..ask(3, "Tell me more.") },
        two,
        Request { messages: question(None, 0, "Nothing to see."), pictures: Vec::new(), ..ask(1, "") },
        ask(2, "What is this?"),
    ]
}

#[test]
fn all_kinds_of_models_take_many_requests_at_once() {
    for family in [Family::Gemma3, Family::Qwen2Vl, Family::Lfm2Vl, Family::Qwen35, Family::SmolVlm] {
        let dir = tempfile::tempdir().unwrap();
        let (guide, target) = (tiny(dir.path(), family, 1), tiny(dir.path(), family, 2));
        let answers = |n_parallel| -> Vec<(String, Vec<usize>)> {
            let options = EngineOptions { n_parallel, max_queued: 16 };
            let engine = Engine::load(Some(guide.clone()), target.clone(), options, |_, _| {}).unwrap();
            let jobs: Vec<_> = requests().into_iter().map(|request| submit(&engine, request).unwrap()).collect();
            let outcomes = jobs.iter().map(|(_ticket, events)| outcome(events).unwrap().report);
            outcomes.map(|report| (report.answer, report.visual.kept_indices)).collect()
        };
        assert_eq!(answers(4), answers(1), "{}", family.name());
    }
}
