//! What a server answers: the same as `sgl run`, in OpenAI's form.

use super::server::{LABEL, LIST, Server, about_flat, ask, data_url};
use crate::harness::{FLAT, NOISE, kept, report, sgl};
use serde_json::{Value, json};

fn content(completion: &Value) -> &str {
    completion["choices"][0]["message"]["content"].as_str().unwrap()
}

fn text(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

#[test]
fn answers_are_those_of_run() {
    let server = Server::start(&["--alias", "pair"]);
    for question in [LABEL, LIST] {
        for (sgl, flags) in [
            (json!({}), &[][..]),
            (json!({"exit_threshold": null}), &["--no-exit"]),
            (json!({"exit_threshold": null, "retain": 0.1}), &["--no-exit", "--retain", "10%"]),
            (json!({"exit_threshold": null, "retain": 40}), &["--no-exit", "--retain", "40t"]),
            (json!({"exit_threshold": null, "retain": null}), &["--no-exit", "--no-prune"]),
            (json!({"exit_threshold": null, "policy": "uniform"}), &["--no-exit", "--policy", "uniform"]),
        ] {
            let ran = report(flags, &["--image", FLAT, "-p", question]);
            let completion = server.chat(&about_flat(question, json!({ "sgl": sgl }))).ok();
            assert_eq!(content(&completion), ran["answer"].as_str().unwrap(), "{question} {flags:?}");
            assert_eq!(kept(&completion["sgl"]), kept(&ran), "{question} {flags:?}");
            for name in ["source", "exit", "guide", "finish", "generated_tokens", "models", "prompt_tokens"] {
                if name != "guide" {
                    assert_eq!(completion["sgl"][name], ran[name], "{question} {flags:?} {name}");
                }
            }
            assert_eq!(completion["usage"]["prompt_tokens"], ran["prompt_tokens"]);
            assert_eq!((&completion["object"], &completion["model"]), (&json!("chat.completion"), &json!("pair")));
        }
    }
}

#[test]
fn a_stream_says_the_same_in_pieces() {
    let server = Server::start(&[]);
    let body = about_flat(LIST, json!({"sgl": {"exit_threshold": null}, "stream_options": {"include_usage": true}}));
    let whole = server.chat(&body).ok();
    let chunks = server.stream(&body);
    assert_eq!(text(&chunks), content(&whole));
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    let [.., end, usage] = &chunks[..] else { panic!("{chunks:?}") };
    assert_eq!(end["choices"][0]["finish_reason"], "stop");
    assert_eq!(end["sgl"]["visual"]["kept_indices"], whole["sgl"]["visual"]["kept_indices"]);
    assert!(end["timings"]["predicted_n"].as_u64().unwrap() > 1);
    assert_eq!(
        (&usage["choices"], &usage["usage"]["completion_tokens"]),
        (&json!([]), &whole["usage"]["completion_tokens"])
    );
    assert!(chunks.iter().filter(|chunk| !chunk["choices"][0]["delta"]["content"].is_null()).count() > 2);
    for chunk in &chunks[..chunks.len() - 1] {
        assert_eq!((&chunk["usage"], &chunk["id"]), (&Value::Null, &chunks[0]["id"]));
        assert_eq!(chunk["object"], "chat.completion.chunk");
    }
    let plain = server.stream(&about_flat(LABEL, json!({})));
    assert!(plain.iter().all(|chunk| chunk.get("usage").is_none() && chunk.get("prompt_progress").is_none()));
}

#[test]
fn progress_names_its_phase() {
    let server = Server::start(&[]);
    let chunks = server.stream(&about_flat(LIST, json!({"return_progress": true, "sgl": {"exit_threshold": null}})));
    let progress: Vec<&Value> = chunks.iter().map(|chunk| &chunk["prompt_progress"]).filter(|p| !p.is_null()).collect();
    for phase in ["guide_encode", "guide_prefill", "target_encode", "target_prefill"] {
        let last = progress.iter().rfind(|progress| progress["phase"] == phase).unwrap_or_else(|| panic!("no {phase}"));
        assert_eq!(last["processed"], last["total"], "{last}");
        assert!(last["time_ms"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn log_probabilities_are_those_of_the_tokens() {
    let server = Server::start(&[]);
    let body = about_flat(LABEL, json!({"logprobs": true, "top_logprobs": 3, "sgl": {"exit_threshold": null}}));
    let whole = server.chat(&body).ok();
    let tokens = whole["choices"][0]["logprobs"]["content"].as_array().unwrap().clone();
    let said: String = tokens.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(said, content(&whole));
    for token in &tokens {
        let top = token["top_logprobs"].as_array().unwrap();
        assert_eq!((top.len(), &top[0]["token"]), (3, &token["token"]), "greedy takes the best");
        assert!(token["logprob"].as_f64().unwrap() <= 0.0);
        assert_eq!(token["bytes"].as_array().unwrap().len(), token["token"].as_str().unwrap().len());
    }
    // Read from the cache, the prompt is computed in other batches, and the last digits differ.
    let streamed: Vec<Value> = server
        .stream(&body)
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array().cloned())
        .flatten()
        .collect();
    let rounded = |tokens: &[Value]| -> Vec<(String, i64)> {
        let of =
            |token: &Value| (token["token"].to_string(), (token["logprob"].as_f64().unwrap() * 50.0).round() as i64);
        tokens.iter().map(of).collect()
    };
    assert_eq!(rounded(&streamed), rounded(&tokens));
    assert!(server.chat(&about_flat(LABEL, json!({}))).ok()["choices"][0]["logprobs"].is_null());
}

#[test]
fn stops_lengths_and_forms_hold() {
    let server = Server::start(&[]);
    let never = json!({"exit_threshold": null});
    let whole = server.chat(&about_flat(LIST, json!({"sgl": never}))).ok();
    let words: Vec<&str> = content(&whole).split_whitespace().collect();
    let stop = words[words.len() / 2];
    let stopped = server.chat(&about_flat(LIST, json!({"sgl": never, "stop": [stop]}))).ok();
    assert_eq!(content(&stopped), content(&whole).split(stop).next().unwrap());
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
    let short = server.chat(&about_flat(LIST, json!({"sgl": never, "max_tokens": 2}))).ok();
    assert_eq!(
        (&short["usage"]["completion_tokens"], &short["choices"][0]["finish_reason"]),
        (&json!(2), &json!("length"))
    );
    let schema =
        json!({"type": "object", "properties": {"label": {"type": "string", "maxLength": 5}}, "required": ["label"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "label", "schema": schema}});
    let formed = server.chat(&about_flat(LABEL, json!({"response_format": format}))).ok();
    let answer: Value = serde_json::from_str(content(&formed)).unwrap();
    assert!(answer["label"].is_string(), "{answer}");
}

#[test]
fn conversations_and_several_pictures() {
    let server = Server::start(&[]);
    let (flat, noise) = (data_url(FLAT), data_url(NOISE));
    let both = server.chat(&ask(&[&flat, &noise], LABEL)).ok();
    assert_eq!(both["sgl"]["visual"]["pictures"].as_array().unwrap().len(), 2);
    let ran = report(&[], &["--image", FLAT, "--image", NOISE, "-p", LABEL]);
    assert_eq!(content(&both), ran["answer"].as_str().unwrap());

    let mut talk = ask(&[&flat], LABEL);
    let first = server.chat(&talk).ok();
    let messages = talk["messages"].as_array_mut().unwrap();
    messages.push(first["choices"][0]["message"].clone());
    messages.push(json!({"role": "user", "content": LIST}));
    let second = server.chat(&talk).ok();
    assert!(content(&second).len() > content(&first).len());
    assert!(second["sgl"]["visual"]["reused"].as_u64().unwrap() > 0, "the picture is not encoded again");
    let held = second["sgl"]["guide"]["held_tokens"].as_u64().unwrap();
    assert!(held > 200, "the guide has read the picture: {held}");

    let text_alone = server.chat(&json!({"messages": [{"role": "user", "content": LABEL}]})).ok();
    assert_eq!((&text_alone["sgl"]["source"], &text_alone["sgl"]["visual"]["tokens"]), (&json!("target"), &json!(0)));
}

#[test]
fn explanations_are_those_of_explain() {
    let server = Server::start(&[]);
    let flags = ["explain", "--json", "-q", "--exit-threshold", "1", "--image", FLAT, "-p", LIST];
    let explained = sgl(&flags).ok().json();
    let tokens = about_flat(LIST, json!({"sgl": {"exit_threshold": 1, "explain": "tokens"}}));
    let answer = server.chat(&tokens).ok();
    assert_eq!(answer["sgl"]["explain"]["pictures"], explained["pictures"]);
    let streamed = server.stream(&tokens);
    let end = streamed.iter().rfind(|chunk| chunk["choices"][0]["finish_reason"] == "stop").unwrap();
    assert_eq!(end["sgl"]["explain"]["pictures"], explained["pictures"]);
    let image = server.chat(&about_flat(LIST, json!({"sgl": {"explain": true}}))).ok();
    let url = image["sgl"]["explain"]["images"][0].as_str().unwrap();
    assert!(url.starts_with("data:image/png;base64,iVBORw0KGgo"), "{}", &url[..60]);
    let none = server.chat(&json!({"messages": [{"role": "user", "content": "x"}], "sgl": {"explain": "tokens"}})).ok();
    assert_eq!(none["sgl"]["explain"], json!({"pictures": []}));
}

#[test]
fn what_there_is_to_know() {
    let server = Server::start(&["--alias", "pair", "--retain", "0.5"]);
    let models = server.get("/v1/models").ok();
    assert_eq!(models["data"][0]["id"], "pair");
    assert_eq!(models["data"][0]["architecture"]["input_modalities"], json!(["text", "image"]));
    assert!(models["data"][0]["sgl"]["guide"]["n_params"].as_u64() < models["data"][0]["meta"]["n_params"].as_u64());
    assert_eq!(server.get("/v1/models/pair").ok(), models["data"][0]);
    server.get("/v1/models/other").failed(404, "not_found_error", "there is pair");
    let props = server.get("/props").ok();
    assert_eq!((&props["sgl"]["retain"], &props["sgl"]["guided"]), (&json!("0.5"), &json!(true)));
    assert_eq!(server.get("/v1/health").ok(), json!({"status": "ok"}));
    let tokens = server.post("/tokenize", &json!({"content": "Read the label."})).ok();
    let back = server.post("/detokenize", &json!({"tokens": tokens["tokens"]})).ok();
    assert_eq!(back["content"], "Read the label.");
    let pieces = server.post("/tokenize", &json!({"content": "Read", "with_pieces": true})).ok();
    assert!(pieces["tokens"][0]["piece"].is_string() && pieces["tokens"][0]["id"].is_u64());
    let page = server.get("/");
    assert!(
        page.body.starts_with("<!doctype html>")
            && page.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'")
    );
}

#[test]
fn counts_add_up() {
    let server = Server::start(&[]);
    let answer = server.chat(&about_flat(LABEL, json!({"sgl": {"exit_threshold": null, "retain": 0.25}}))).ok();
    server.chat(&about_flat(LABEL, json!({"sgl": {"exit_threshold": 0}}))).ok();
    for (name, value) in [
        ("sgl_answers_total{source=\"target\"}", 1.0),
        ("sgl_answers_total{source=\"guide\"}", 1.0),
        ("sgl_early_exits_total", 1.0),
        ("sgl_pictures_total", 2.0),
        ("sgl_visual_tokens_total", 512.0),
        ("sgl_visual_tokens_kept_total", 256.0 + answer["sgl"]["visual"]["kept"].as_f64().unwrap()),
        ("sgl_time_to_first_token_seconds_count", 2.0),
        ("sgl_phase_seconds_count{phase=\"target_encode\"}", 1.0),
        ("sgl_requests_total{route=\"/v1/chat/completions\",status=\"200\"}", 2.0),
        ("sgl_requests_running", 0.0),
        ("sgl_worker_restarts_total", 0.0),
    ] {
        assert_eq!(server.metric(name), value, "{name}");
    }
    assert!(server.metric("sgl_encoder_cache_bytes") > 0.0 && server.metric("sgl_encoder_cache_hits") > 0.0);
}
