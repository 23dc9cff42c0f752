use super::*;
use crate::grammar::Grammar;
use crate::llama::ContextOptions;
use crate::media::{Limits, Picture};
use crate::pipeline::{ExitOptions, Outcome, Request, Source};
use crate::timing::Phase;
use crate::vlm::{Finish, question};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};

mod families;
mod parallel;

fn options(name: &str) -> VlmOptions {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    VlmOptions {
        model: models.join(format!("{name}.gguf")),
        mmproj: models.join(format!("mmproj-{name}.gguf")),
        n_gpu_layers: Some(0),
        context: ContextOptions { n_threads: Some(1), ..ContextOptions::default() },
        encoder_cache_bytes: 1 << 24,
        ..VlmOptions::default()
    }
}

fn engine(n_parallel: usize, max_queued: usize) -> Engine {
    let options_of = EngineOptions { n_parallel, max_queued };
    Engine::load(Some(options("guide")), options("target"), options_of, |_, _| {}).unwrap()
}

fn request(text: &str) -> Request {
    about("models/pictures/flat.png", text)
}

fn about(picture: &str, text: &str) -> Request {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(picture);
    let picture = Picture::open(path, &Limits::default()).unwrap();
    Request { n_predict: 16, ..Request::new(question(None, 1, text), vec![picture]) }
}

/// A job that would speak for a long time.
fn endless() -> Request {
    Request { n_predict: 3000, ignore_end: true, exit: None, ..request("List every object.") }
}

fn submit(engine: &Engine, request: Request) -> Result<(Ticket, Receiver<JobEvent>), SubmitError> {
    let (sender, events) = mpsc::channel();
    let on_event = Box::new(move |event| drop(sender.send(event)));
    Ok((engine.submit(Job { request, on_event })?, events))
}

fn outcome(events: &Receiver<JobEvent>) -> Result<Outcome, PipelineError> {
    let mut events: Vec<JobEvent> = events.iter().collect();
    let last = events.pop().unwrap();
    assert!(!events.iter().any(|event| matches!(event, JobEvent::Done(_) | JobEvent::Failed(_))));
    match last {
        JobEvent::Done(outcome) => Ok(*outcome),
        JobEvent::Failed(error) => Err(error),
        event => panic!("{event:?} is last"),
    }
}

/// Waits until a job has begun to speak.
fn wait_for_text(events: &Receiver<JobEvent>) {
    assert!(events.iter().any(|event| matches!(event, JobEvent::Said(_))), "it ended before it spoke");
}

#[test]
fn a_job_is_heard_from_start_to_end() {
    let engine = engine(1, 1);
    let (ticket, events) = submit(&engine, request("Read the label of the white circle.")).unwrap();
    let events: Vec<JobEvent> = events.iter().collect();
    assert!(matches!(events.first(), Some(JobEvent::Started)), "{events:?}");
    let text: String = events
        .iter()
        .filter_map(|e| if let JobEvent::Said(said) = e { Some(said.text.as_str()) } else { None })
        .collect();
    let Some(JobEvent::Done(outcome)) = events.last() else { panic!("{events:?}") };
    assert_eq!(outcome.report.answer, text);
    let stats = engine.stats();
    assert_eq!((stats.running, stats.queued), (0, 0));
    assert!(stats.encoder_cache_bytes > 0 && stats.encoder_cache_misses > 0 && stats.guide_memory.kv > 0, "{stats:?}");
    drop(ticket);
}

#[test]
fn jobs_beyond_the_bound_are_refused_and_queued_ones_can_be_taken_back() {
    let engine = engine(1, 2);
    let (running, heard) = submit(&engine, endless()).unwrap();
    wait_for_text(&heard);
    let (first, first_events) = submit(&engine, request("What colour is the square?")).unwrap();
    let (second, second_events) = submit(&engine, request("What colour is the circle?")).unwrap();
    assert_eq!(submit(&engine, request("?")).err(), Some(SubmitError::Full { queued: 2 }));
    assert_eq!(engine.stats().queued, 2);
    drop(first);
    let error = outcome(&first_events).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert_eq!(engine.stats().queued, 1);
    drop(running);
    assert!(outcome(&heard).unwrap_err().is_cancelled());
    let answer = outcome(&second_events).unwrap().report.answer;
    assert!(!answer.is_empty());
    drop(second);
}

#[test]
fn closing_finishes_what_it_can_and_cancels_the_rest() {
    let engine = engine(1, 4);
    let (ticket, events) = submit(&engine, request("Read the label of the white circle.")).unwrap();
    ticket.detach();
    engine.close(Duration::from_secs(60));
    assert!(outcome(&events).is_ok(), "it had time");
    assert_eq!(submit(&engine, request("?")).err(), Some(SubmitError::Closed));

    let engine = self::engine(1, 4);
    let jobs: Vec<_> = (0..3).map(|_| submit(&engine, endless()).unwrap()).collect();
    wait_for_text(&jobs[0].1);
    engine.close(Duration::from_millis(50));
    for (_ticket, events) in &jobs {
        assert!(outcome(events).unwrap_err().is_cancelled());
    }
}

#[test]
fn facts_and_tokens_are_the_models() {
    let engine = engine(1, 1);
    let facts = engine.facts();
    assert_eq!((facts.target.file_name.as_str(), facts.target.role), ("target.gguf", Role::Target));
    assert!(facts.target.n_parameters() > facts.guide.as_ref().unwrap().n_parameters());
    assert!(facts.target.description().contains(&facts.target.model.architecture));
    let tokens = engine.tokenize(Role::Target, "a white circle", false).unwrap();
    assert_eq!(engine.detokenize(Role::Target, &tokens).unwrap(), b"a white circle");
    assert_eq!(engine.detokenize(Role::Target, &[-1, i32::MAX]).unwrap(), b"");
}

#[test]
fn a_callback_that_panics_harms_nobody_else() {
    let engine = engine(1, 1);
    let (sender, heard) = mpsc::channel();
    let on_event = Box::new(move |event: JobEvent| match event {
        JobEvent::Phase(_) => panic!("as asked"),
        event => drop(sender.send(event)),
    });
    let ticket = engine.submit(Job { request: request("?"), on_event }).unwrap();
    let error = outcome(&heard).unwrap_err();
    assert!(error.to_string().contains("as asked"), "{error}");
    drop(ticket);
    let (_ticket, events) = submit(&engine, request("Read the label of the white circle.")).unwrap();
    assert!(outcome(&events).is_ok());
}

#[test]
fn both_models_obey_a_grammar_and_tell_what_they_said() {
    let engine = engine(2, 4);
    let label = serde_json::json!({"type": "string", "minLength": 1, "maxLength": 1});
    let schema = serde_json::json!({"type": "object", "properties": {"label": label}, "required": ["label"]});
    for (threshold, source) in [(0.0, Source::Guide), (2.0, Source::Target)] {
        let request = Request {
            grammar: Some(Grammar::json_schema(&schema).unwrap()),
            n_alternatives: Some(1),
            exit: Some(ExitOptions { threshold, ..ExitOptions::default() }),
            n_predict: 64,
            ..request("Read the label of the white circle.")
        };
        let (_ticket, events) = submit(&engine, request).unwrap();
        let outcome = outcome(&events).unwrap();
        assert_eq!((outcome.report.source, outcome.report.finish), (source, Finish::Stop));
        let answer: serde_json::Value = serde_json::from_str(&outcome.report.answer).unwrap();
        assert_eq!(answer["label"].as_str().map(|label| label.chars().count()), Some(1), "{answer}");
        let told: Vec<u8> = outcome.probabilities.into_iter().flat_map(|token| token.bytes).collect();
        assert_eq!(String::from_utf8(told).unwrap(), outcome.report.answer);
    }
}
