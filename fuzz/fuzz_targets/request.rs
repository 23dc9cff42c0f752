//! Bodies of `/v1/chat/completions`, `/tokenize` and `/detokenize`: what is accepted keeps its limits, what is refused is told in
//! a few words, and JSON means the same however it is written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sgl::chat::{Message, Part, Role};
use sgl::guidance::Retain;
use sgl::media::Picture;
use sgl::pipeline::Request;
use sgl::server::request::{ChatRequest, DetokenizeRequest, TokenizeRequest, json};
use sgl::server::{ApiError, Defaults};

/// Longest message of an error: bodies hold pictures of megabytes, and errors quote bodies.
const MAX_MESSAGE_BYTES: usize = 2000;

fuzz_target!(|body: &[u8]| {
    let chat = ChatRequest::parse(body);
    if let Ok(value) = json(body) {
        let written = serde_json::to_vec(&value).unwrap();
        assert_eq!(chat, ChatRequest::parse(&written), "the same JSON in other letters");
    }
    match chat {
        Ok(request) => check(request),
        Err(error) => check_error(&error),
    }
    if let Err(error) = TokenizeRequest::parse(body) {
        check_error(&error);
    }
    match DetokenizeRequest::parse(body) {
        Ok(request) => assert!(request.tokens.iter().all(|token| *token >= 0)),
        Err(error) => check_error(&error),
    }
});

fn check(request: ChatRequest) {
    let pictures = &request.conversation.pictures;
    let messages = &request.conversation.messages;
    assert!(!messages.is_empty());
    assert_eq!(n_pictures(messages), pictures.len());
    for message in messages.iter().filter(|message| message.role != Role::User) {
        assert!(!message.parts.contains(&Part::Picture), "only users show pictures");
    }
    assert!(pictures.iter().all(|picture| picture.param.starts_with("messages[")));
    assert_ne!(request.max_tokens, Some(0));
    assert!(request.stop.len() <= 16 && request.stop.iter().all(|text| !text.is_empty()));
    assert!(request.logprobs.is_none_or(|n| n <= 20));
    assert!(request.guidance.exit_threshold.flatten().is_none_or(|threshold| (0.0..=1.0).contains(&threshold)));

    let pixel = Picture::from_rgb(1, 1, vec![0; 3]).unwrap();
    for has_guide in [true, false] {
        let defaults = Defaults { request: Request::new(vec![], vec![]), has_guide };
        let pictures = vec![pixel.clone(); pictures.len()];
        match request.clone().into_pipeline(pictures, &defaults) {
            Ok(request) => check_pipeline(&request),
            Err(error) => check_error(&error),
        }
    }
}

fn check_pipeline(request: &Request) {
    assert_eq!(n_pictures(&request.messages), request.pictures.len());
    assert!(request.n_predict > 0);
    let sampling = &request.sampling;
    assert!(sampling.temperature.is_finite() && sampling.temperature >= 0.0, "{}", sampling.temperature);
    assert!(sampling.top_p > 0.0 && sampling.top_p <= 1.0, "{}", sampling.top_p);
    assert!((0.0..=1.0).contains(&sampling.min_p), "{}", sampling.min_p);
    assert!(sampling.top_k >= 0);
    match request.retain {
        Some(Retain::Share(share) | Retain::Mass(share)) => assert!(share > 0.0 && share <= 1.0, "{share}"),
        Some(Retain::Count(count)) => assert!(count > 0 || request.pictures.is_empty()),
        None => {}
    }
    if let Some(grammar) = &request.grammar {
        assert!(grammar.text().starts_with("root ::= "));
        assert!(grammar.text().len() < 1 << 20, "{} bytes", grammar.text().len());
    }
}

fn n_pictures(messages: &[Message]) -> usize {
    messages.iter().flat_map(|message| &message.parts).filter(|part| **part == Part::Picture).count()
}

fn check_error(error: &ApiError) {
    assert_eq!(error.status, 400, "{error:?}");
    assert!(!error.message.is_empty() && error.message.len() <= MAX_MESSAGE_BYTES, "{} bytes", error.message.len());
}
