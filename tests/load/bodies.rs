//! Bodies that are too large, no JSON, or not what they should say.

use crate::Options;
use crate::memory::{peak, resident};
use crate::server::{LABEL, Server, about_flat};
use serde_json::{Value, json};
use std::time::Instant;

const PATH: &str = "/v1/chat/completions";

fn send(server: &Server, body: &[u8]) -> (u16, String) {
    let reply = server.post_bytes(PATH, "application/json", body, &[]);
    if reply.status != 200 {
        let kind = reply.json()["error"]["type"].as_str().map(str::to_owned);
        assert!(kind.is_some(), "not in OpenAI's form: {reply:?}");
    }
    (reply.status, reply.body)
}

pub fn large(_: &Options) -> String {
    let server = Server::start(&[]);
    let before = peak(&server);
    for byte in [b' ', b'[', b'"'] {
        assert_eq!(send(&server, &vec![byte; 100 << 20]).0, 413);
    }
    // The largest that is taken, and mostly one text.
    let mut body = about_flat(LABEL, json!({}));
    body["ignored"] = Value::from("x".repeat(60 << 20));
    assert_eq!(send(&server, body.to_string().as_bytes()).0, 200);
    let (grown, kept) = (peak(&server) - before, resident(&server));
    let numbers = format!("{{\"ignored\": [{}1]}}", "1,".repeat(30 << 20));
    assert_eq!(send(&server, numbers.as_bytes()).0, 400);
    let (of_numbers, limit) = (peak(&server) - before - grown, 100.0);
    assert!(of_numbers < limit, "60 MB of numbers take {of_numbers:.0} MiB more");
    server.chat(&about_flat(LABEL, json!({}))).ok();
    format!(
        "3 times 413; 60 MB of an unknown field: answered, {grown:.0} MiB more at most, {kept:.0} MiB resident afterwards; 60 MB of \
         numbers: 400, {of_numbers:.0} MiB more than that"
    )
}

pub fn wrong_types(_: &Options) -> String {
    let server = Server::start(&[]);
    let values = [json!(-1.5), json!("x"), json!({"a": []}), json!([{"a": 1}]), json!(1e300), json!(u64::MAX)];
    let fields = [
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "stop",
        "n",
        "logprobs",
        "top_logprobs",
        "response_format",
        "stream",
        "stream_options",
        "return_progress",
        "sgl",
        "tools",
        "logit_bias",
    ];
    let (mut n_refused, mut n_sent) = (0, 0);
    for field in fields {
        for value in values.iter().chain([&json!(true)]) {
            let mut body = about_flat(LABEL, json!({"max_tokens": 1}));
            body[field] = value.clone();
            let (status, text) = send(&server, body.to_string().as_bytes());
            assert!(status == 200 || status == 400, "{field} = {value}: {status} {text}");
            n_sent += 1;
            n_refused += usize::from(status == 400);
            assert!(status == 200 || text.contains(field), "{field} is not named: {text}");
        }
    }
    assert!(n_refused * 2 > n_sent);
    format!("{n_sent} bodies: {n_refused} times 400 that names the field, {} answered", n_sent - n_refused)
}

pub fn invalid_utf8(_: &Options) -> String {
    let server = Server::start(&[]);
    let body = about_flat(LABEL, json!({})).to_string();
    let at = body.find(LABEL).unwrap();
    for bytes in [&b"\xff"[..], b"\xc3\x28", b"\xed\xa0\x80", b"\xf0\x9f", b"\0"] {
        let hostile = [&body.as_bytes()[..at], bytes, &body.as_bytes()[at..]].concat();
        assert_eq!(send(&server, &hostile).0, 400, "{bytes:?}");
    }
    assert_eq!(send(&server, body.replace(LABEL, "\\ud800").as_bytes()).0, 400);
    let (status, text) = send(&server, body.replace(LABEL, "\\u0000 \\ufffe \u{1f512}").as_bytes());
    assert_eq!(status, 200, "{text}");
    "6 times 400; escaped zero bytes and rare characters are answered".to_owned()
}

pub fn deep(_: &Options) -> String {
    let server = Server::start(&[]);
    for open in ["[", "{\"a\":", "{\"messages\":["] {
        assert_eq!(send(&server, open.repeat(1_000_000).as_bytes()).0, 400);
    }
    let nested = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let mut body = about_flat(LABEL, json!({"max_tokens": 1}));
    body["ignored"] = serde_json::from_str(&nested).unwrap();
    server.chat(&body).ok();
    "3 times 400 for a million levels; 100 levels in an unknown field are ignored".to_owned()
}

/// Schemas that refer to themselves, or to very much.
pub fn grammars(_: &Options) -> String {
    let server = Server::start(&[]);
    let before = peak(&server);
    let text = json!({"type": "string", "maxLength": 1000});
    let many: Vec<Value> = vec![text.clone(); 400];
    let properties: serde_json::Map<String, Value> = (0..400).map(|n| (format!("p{n}"), text.clone())).collect();
    let nested =
        (0..30).fold(text, |items, _| json!({"type": "array", "items": items, "minItems": 1, "maxItems": 1000}));
    let list = |most| json!({"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1, "maxItems": most});
    let schemas = [
        json!({"$ref": "#"}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
        json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "type": "array", "items": {"$ref": "#/$defs/a"}}),
        json!({"anyOf": [{"$ref": "#"}, {"type": "null"}]}),
        json!({"anyOf": [{"type": "null"}, {"anyOf": [{"$ref": "#"}]}]}),
        json!({"anyOf": many}),
        json!({"type": "object", "properties": properties}),
        json!({"const": "x".repeat(1 << 20)}),
        json!({"const": "\u{7f}\\\"\u{0}\n\u{2028}]"}),
        nested,
        json!({"$defs": {"a": {"anyOf": [list(8), list(9)]}}, "$ref": "#/$defs/a"}),
    ];
    let mut statuses = Vec::new();
    for schema in schemas {
        let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
        let body = about_flat(LABEL, json!({"max_tokens": 64, "response_format": format}));
        let start = Instant::now();
        let (status, text) = send(&server, body.to_string().as_bytes());
        let seconds = start.elapsed().as_secs_f64();
        statuses.push(format!("{status} ({seconds:.1} s)"));
        assert!(
            status == 200 || status == 400,
            "{}: {status} {text}",
            body["response_format"].to_string().chars().take(200).collect::<String>()
        );
        assert!(seconds < 30.0, "{statuses:?}");
    }
    server.chat(&about_flat(LABEL, json!({}))).ok();
    assert_eq!(server.metric("sgl_worker_restarts_total"), 0.0);
    format!("{}; {:.0} MiB more at most", statuses.join(", "), peak(&server) - before)
}
