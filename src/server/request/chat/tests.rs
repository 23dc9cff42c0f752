use super::*;
use crate::guidance::Policy;
use proptest::prelude::*;
use serde_json::json;

fn parse(extra: Value) -> Result<ChatRequest> {
    let mut body = json!({"messages": [{"role": "user", "content": "hello"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    ChatRequest::parse(&serde_json::to_vec(&body).unwrap())
}

fn defaults() -> Defaults {
    Defaults { request: Request::new(Vec::new(), Vec::new()), has_guide: true }
}

fn pictures(details: &[&str]) -> Value {
    let part = |detail: &&str| json!({"type": "image_url", "image_url": {"url": "x", "detail": detail}});
    json!({"messages": [{"role": "user", "content": details.iter().map(part).collect::<Vec<_>>()}]})
}

#[test]
fn every_field_arrives() {
    let request = parse(json!({
        "model": "any", "max_tokens": 5, "max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 20,
        "min_p": 0.1, "seed": -1, "stop": ["a", "b"], "logprobs": true, "top_logprobs": 3, "stream": true,
        "stream_options": {"include_usage": true}, "return_progress": true, "unheard_of": {},
        "sgl": {"retain": "10%", "exit_threshold": null, "policy": "uniform", "explain": "tokens"},
    }))
    .unwrap();
    assert_eq!((request.max_tokens, request.logprobs, request.stop.len()), (Some(7), Some(3), 2));
    assert!(request.stream && request.include_usage && request.return_progress);
    let asked = request.into_pipeline(Vec::new(), &defaults()).unwrap();
    assert_eq!((asked.retain, asked.exit, asked.policy), (Some(Retain::Share(0.1)), None, Policy::Uniform));
    assert!(asked.always_guide);
    assert_eq!(asked.n_predict, 7);
    let sampling = SamplingOptions { temperature: 0.5, top_k: 20, top_p: 0.9, min_p: 0.1, seed: u32::MAX };
    assert_eq!(asked.sampling, sampling);
}

#[test]
fn numbers_that_are_sent_stay_numbers() {
    let sampling = |body| parse(body).unwrap().into_pipeline(Vec::new(), &defaults()).unwrap().sampling;
    assert_eq!(sampling(json!({"temperature": 1e300})).temperature, f32::MAX);
    assert_eq!(sampling(json!({"top_p": 1e-300})).top_p, f32::MIN_POSITIVE);
}

#[test]
fn what_is_not_said_is_as_the_server_was_told() {
    let told = Defaults {
        request: Request { n_predict: 9, retain: Some(Retain::Count(3)), ..Request::new(Vec::new(), Vec::new()) },
        has_guide: true,
    };
    let asked = parse(json!({"max_tokens": -1, "temperature": null})).unwrap();
    let asked = asked.into_pipeline(Vec::new(), &told).unwrap();
    assert_eq!((asked.n_predict, asked.retain), (9, Some(Retain::Count(3))));
    assert_eq!(asked.exit, told.request.exit);
}

#[test]
fn the_closest_look_sets_the_budget() {
    let retain = |body| parse(body).unwrap().into_pipeline(Vec::new(), &defaults()).unwrap().retain;
    assert_eq!(retain(pictures(&["low", "low"])), Some(Retain::Count(170)));
    assert_eq!(retain(pictures(&["low", "auto"])), defaults().request.retain);
    assert_eq!(retain(pictures(&["low", "high"])), None);
    let mut body = pictures(&["high"]);
    body["sgl"] = json!({"retain": 0.5});
    assert_eq!(retain(body), Some(Retain::Share(0.5)));
}

#[test]
fn a_target_alone_refuses_guidance() {
    let alone = Defaults { has_guide: false, ..defaults() };
    let error = parse(json!({"sgl": {"retain": 0.5}})).unwrap().into_pipeline(Vec::new(), &alone).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("sgl.retain"));
    assert!(parse(json!({})).unwrap().into_pipeline(Vec::new(), &alone).is_ok());
    let error = parse(json!({"sgl": {"policy": "global+debias"}})).unwrap().into_pipeline(Vec::new(), &defaults());
    assert_eq!(error.unwrap_err().param.as_deref(), Some("sgl.policy"));
}

#[test]
fn wrong_values_name_their_field() {
    for (extra, param) in [
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": "5"}), "max_tokens"),
        (json!({"max_tokens": 1.5}), "max_tokens"),
        (json!({"temperature": -1}), "temperature"),
        (json!({"top_p": 0}), "top_p"),
        (json!({"min_p": 2}), "min_p"),
        (json!({"top_k": 1e12}), "top_k"),
        (json!({"seed": "x"}), "seed"),
        (json!({"stop": ""}), "stop"),
        (json!({"stop": [1]}), "stop"),
        (json!({"stop": vec!["x"; 17]}), "stop"),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs"),
        (json!({"logprobs": 1}), "logprobs"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"stream_options": []}), "stream_options"),
        (json!({"n": 2}), "n"),
    ] {
        let error = parse(extra.clone()).unwrap_err();
        assert_eq!((error.status.as_u16(), error.param.as_deref()), (400, Some(param)), "{extra}");
        assert!(error.message.contains(';'), "no fix: {}", error.message);
    }
}

#[test]
fn bodies_that_are_no_json_are_refused() {
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    for body in [&b""[..], b"{", b"\xff\xfe", b"null", b"[]", b"\"\\ud800\"", &deep] {
        assert_eq!(ChatRequest::parse(body).unwrap_err().status.as_u16(), 400);
    }
}

/// JSON that looks like a request here and there.
fn values() -> impl Strategy<Value = Value> {
    let names = [
        "messages",
        "role",
        "user",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "detail",
        "stop",
        "seed",
        "sgl",
        "retain",
        "n",
        "explain",
        "policy",
        "logprobs",
        "top_logprobs",
        "stream",
        "stream_options",
        "response_format",
        "json_schema",
        "temperature",
    ];
    let name = prop::sample::select(names.to_vec());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        name.clone().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|fields| Value::from_iter(fields.into_iter().map(|(name, value)| (name.to_owned(), value)))),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_understood_or_refused_by_field(extra in prop::collection::vec(values(), 1..4)) {
        for value in extra {
            let body = match value {
                Value::Object(fields) => parse(Value::Object(fields)),
                other => ChatRequest::parse(&serde_json::to_vec(&other).unwrap()),
            };
            match body {
                Ok(request) => { request.into_pipeline(Vec::new(), &defaults()).ok(); }
                Err(error) => prop_assert!(error.status.as_u16() == 400 && error.param.is_some()),
            }
        }
    }

    #[test]
    fn any_bytes_are_understood_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(ChatRequest::parse(&bytes).map_err(|error| error.status.as_u16()).err(), Some(400));
    }
}
