//! What a server does not do, and how it says so.

use super::server::{LABEL, Server, about_flat, ask};
use crate::harness::{Folder, TARGET};
use serde_json::json;

#[test]
fn paths_and_methods() {
    let server = Server::start(&[]);
    server.get("/v1/chat").failed(404, "not_found_error", "/v1/chat");
    server.get("/page/none.js").failed(404, "not_found_error", "/page/none.js");
    server.get("/page/..%2fmod.rs").failed(404, "not_found_error", "there is no");
    let wrong = server.get("/v1/chat/completions");
    wrong.failed(405, "invalid_request_error", "does not take GET");
    assert_eq!(wrong.headers["allow"], "POST");
    for path in ["/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/audio/speech", "/slots"] {
        server.post(path, &json!({})).failed(501, "not_supported_error", path);
        server.get(path).failed(501, "not_supported_error", path);
    }
}

#[test]
fn fields_are_named() {
    let server = Server::start(&[]);
    for (more, param) in [
        (json!({"tools": [{"type": "function"}]}), "tools"),
        (json!({"n": 2}), "n"),
        (json!({"audio": {"voice": "x"}}), "audio"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"max_tokens": 100_000}), "max_tokens"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}), "messages[0].content[0].type"),
        (json!({"sgl": {"retain": "most"}}), "sgl.retain"),
        (json!({"sgl": {"policy": "layer:99"}}), "sgl.policy"),
        (json!({"sgl": {"policy": "global+debias"}}), "sgl.policy"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nothing"}}}}),
            "response_format",
        ),
        // It begins with itself, which llama.cpp finds out.
        (
            json!({"response_format": {"type": "json_object", "schema": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}),
            "response_format",
        ),
    ] {
        let error = server.chat(&about_flat(LABEL, more.clone())).failed(400, "invalid_request_error", "");
        assert_eq!(error["param"], param, "{more}");
    }
    // A stream that cannot begin has a status too.
    let body = about_flat(LABEL, json!({"stream": true, "sgl": {"policy": "layer:99", "exit_threshold": null}}));
    assert_eq!(server.chat(&body).failed(400, "invalid_request_error", "layer")["param"], "sgl.policy");
    server.chat(&about_flat(LABEL, json!({"unheard_of": 1, "user": "x", "n": 1, "tools": []}))).ok();
}

#[test]
fn prompts_that_do_not_fit_are_the_clients_fault() {
    let server = Server::start(&["-c", "512"]);
    let long = "Read ".repeat(2000);
    for stream in [false, true] {
        let body = about_flat(&long, json!({ "stream": stream }));
        assert_eq!(server.chat(&body).failed(400, "invalid_request_error", "")["param"], "messages");
    }
    assert_eq!(server.metric("sgl_encoder_cache_bytes"), 0.0, "no picture is encoded in vain");
    server.chat(&about_flat(LABEL, json!({}))).ok();
}

#[test]
fn bodies_must_be_json() {
    let server = Server::start(&[]);
    let path = "/v1/chat/completions";
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        server.post_bytes(path, kind, b"{}", &[]).failed(415, "invalid_request_error", "application/json");
    }
    let deep = [vec![b'['; 1_000_000], vec![b']'; 1_000_000]].concat();
    let wide = format!(r#"{{"unheard_of": [{}1]}}"#, "1,".repeat(1_000_000)).into_bytes();
    let deep_field = format!(r#"{{"messages": {}{}}}"#, "[".repeat(500_000), "]".repeat(500_000)).into_bytes();
    for body in
        [&b"{"[..], b"", b"\xff\xfe\x00", b"{\"messages\": \"\xff\"}", b"null", b"[]", &deep, &deep_field, &wide]
    {
        server.post_bytes(path, "application/json; charset=utf-8", body, &[]).failed(400, "invalid_request_error", "");
    }
    server.chat(&about_flat(LABEL, json!({}))).ok();
}

#[test]
fn keys_open() {
    let folder = Folder::new();
    let file = folder.write("keys", b"second\n\n third \n");
    let server = Server::start(&["--api-key", "first,other", "--api-key-file", &file]);
    server.get("/v1/models").failed(401, "authentication_error", "no API key");
    server.chat(&ask(&[], LABEL)).failed(401, "authentication_error", "no API key");
    let with = |key: &str| server.get_with("/v1/models", &[("authorization", &format!("Bearer {key}"))]);
    for key in ["first", "other", "second", "third"] {
        with(key).ok();
    }
    for key in ["", "firs", "first,other", "fourth"] {
        with(key).failed(401, "authentication_error", "");
    }
    for path in ["/health", "/v1/health", "/", "/openapi.json"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    // Who may not ask does not learn what there is.
    server.get("/metrics").failed(401, "authentication_error", "");
}

#[test]
fn other_origins_are_let_in_by_name_only() {
    let closed = Server::start(&[]);
    let origin = [("origin", "https://a.example")];
    assert!(!closed.get_with("/health", &origin).headers.contains_key("access-control-allow-origin"));
    let open = Server::start(&["--cors-origin", "https://a.example"]);
    assert_eq!(open.get_with("/health", &origin).headers["access-control-allow-origin"], "https://a.example");
    let other = open.get_with("/health", &[("origin", "https://b.example")]);
    assert!(!other.headers.contains_key("access-control-allow-origin"));
}

#[test]
fn a_target_alone_has_no_guidance() {
    let server = Server::start(&["-m", TARGET[0], "--mmproj", TARGET[1]]);
    let error = server.chat(&about_flat(LABEL, json!({"sgl": {"retain": 0.5}}))).failed(
        400,
        "invalid_request_error",
        "no guide",
    );
    assert_eq!(error["param"], "sgl.retain");
    let answer = server.chat(&about_flat(LABEL, json!({}))).ok();
    assert_eq!((&answer["sgl"]["guide"], &answer["sgl"]["source"]), (&json!(null), &json!("target")));
    assert_eq!(server.post("/tokenize", &json!({"content": "x", "role": "guide"})).status, 400);
    assert_eq!(server.get("/props").ok()["sgl"]["guided"], false);
}
