//! Questions per second of an engine by the number that it takes at once, beside a plain pipeline.
//!
//! `cargo run --release --example throughput -- [QUESTIONS [ROUNDS]]`: the demo pair answers held-out questions in two ways: each
//! picture new, with early exits, as clients ask; and without exits, speaking for 48 tokens. Medians over rounds.

use sgl::engine::{Engine, EngineOptions, Job, JobEvent};
use sgl::media::{Limits, Picture};
use sgl::pair::DemoPair;
use sgl::pipeline::{Pipeline, Request};
use sgl::vlm::{VlmOptions, question};
use std::error::Error;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

/// Requests at once; 0: a pipeline without an engine.
const WAYS: [usize; 5] = [0, 1, 2, 4, 8];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|n| n.parse::<usize>());
    let n_questions = arguments.next().transpose()?.unwrap_or(24);
    let n_rounds = arguments.next().transpose()?.unwrap_or(5);
    let (mut exits, mut speeches) = (Vec::new(), Vec::new());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/held-out");
    let text = std::fs::read_to_string(folder.join("questions.jsonl"))?;
    let mut last = String::new();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let (Some(image), Some(text)) = (line["image"].as_str(), line["question"].as_str()) else { continue };
        let picture = Picture::open(folder.join(image), &Limits::default())?;
        let request = Request { n_predict: 16, ..Request::new(question(None, 1, text), vec![picture]) };
        if speeches.len() < n_questions {
            speeches.push(Request { exit: None, draft: false, ignore_end: true, n_predict: 48, ..request.clone() });
        }
        if image != last && exits.len() < n_questions {
            exits.push(request);
            image.clone_into(&mut last);
        }
    }
    for (name, requests) in [("new pictures, short answers, early exits", &exits), ("48 tokens each", &speeches)] {
        let mut times = vec![Vec::new(); WAYS.len()];
        for _ in 0..n_rounds {
            for (times, n_parallel) in times.iter_mut().zip(WAYS) {
                times.push(if n_parallel == 0 { plain(requests)? } else { engine(n_parallel, requests)? });
            }
        }
        println!("{name}:");
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        for (n, seconds) in WAYS.into_iter().zip(&medians) {
            let (per_second, ratio) = (requests.len() as f64 / seconds, medians[1] / seconds);
            println!("  {n} at once  {per_second:6.2} a second, {ratio:.2} times one at a time");
        }
    }
    Ok(())
}

fn models() -> Result<[VlmOptions; 2], Box<dyn Error>> {
    let pair = DemoPair::install()?;
    let of = |model, mmproj| VlmOptions {
        model,
        mmproj,
        encoder_cache_bytes: 1 << 28,
        warm_up: true,
        ..VlmOptions::default()
    };
    Ok([of(pair.guide, pair.guide_mmproj), of(pair.target, pair.target_mmproj)])
}

/// Seconds from the first question to the last answer, one after the other.
fn plain(requests: &[Request]) -> Result<f64, Box<dyn Error>> {
    // The threads that help this one would be in the way of the next engine.
    let seconds = thread::scope(|scope| scope.spawn(|| plainly(requests).map_err(|error| error.to_string())).join());
    Ok(seconds.expect("does not panic")?)
}

fn plainly(requests: &[Request]) -> Result<f64, Box<dyn Error>> {
    let [guide, target] = models()?;
    let mut pipeline = Pipeline::load(Some(guide), target, |_, _| {})?;
    let start = Instant::now();
    for request in requests {
        pipeline.run(request, &mut |_| {})?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Seconds from the first question to the last answer.
fn engine(n_parallel: usize, requests: &[Request]) -> Result<f64, Box<dyn Error>> {
    let [guide, target] = models()?;
    let options = EngineOptions { n_parallel, max_queued: requests.len() };
    let engine = Engine::load(Some(guide), target, options, |_, _| {})?;
    let (sender, ended) = mpsc::channel();
    let start = Instant::now();
    for request in requests {
        let sender = sender.clone();
        let on_event = Box::new(move |event| match event {
            JobEvent::Done(_) => drop(sender.send(Ok(()))),
            JobEvent::Failed(error) => drop(sender.send(Err(error))),
            _ => {}
        });
        engine.submit(Job { request: request.clone(), on_event })?.detach();
    }
    for _ in requests {
        ended.recv()??;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
