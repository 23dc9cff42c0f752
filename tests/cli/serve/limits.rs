//! Clients that ask too much, are too slow, or go away.

use super::server::{LABEL, LIST, LONG, Server, about_flat, ask, endless, rest, until};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

fn running(server: &Server) -> f64 {
    server.metric("sgl_requests_running")
}

#[test]
fn a_client_that_goes_away_stops_its_work() {
    for flags in [&[][..], &["--no-supervise"]] {
        let server = Server::start(flags);
        for stream in [true, false] {
            let before = server.metric("sgl_cancelled_total");
            let body = endless(json!({ "stream": stream })).to_string();
            let connection = server.half(&body, body.len());
            until("the request runs", || running(&server) == 1.0);
            let start = Instant::now();
            drop(connection);
            until("it is stopped", || running(&server) == 0.0);
            assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
            until("it is counted", || server.metric("sgl_cancelled_total") == before + 1.0);
        }
        server.chat(&about_flat(LABEL, json!({}))).ok();
    }
}

#[test]
fn who_comes_too_many_is_told_to_come_back() {
    let server = Server::start(&["-np", "1", "--max-queued", "1", "--body-timeout", "600", "--no-supervise"]);
    // Places are taken before bodies are wanted.
    let hold = || {
        let mut stream = server.connect();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
        stream.write_all(format!("{head}content-length: 9\r\nexpect: 100-continue\r\n\r\n").as_bytes()).unwrap();
        let mut wanted = [0; 25];
        stream.read_exact(&mut wanted).unwrap();
        assert_eq!(&wanted, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream
    };
    let held = [hold(), hold()];
    let busy = server.chat(&ask(&[], LABEL));
    busy.failed(429, "rate_limit_error", "try again later");
    assert_eq!(busy.headers["retry-after"], "1");
    server.post("/tokenize", &json!({"content": "a"})).failed(429, "rate_limit_error", "try again later");
    assert_eq!(server.get("/health").status, 200);
    drop(held);
    until("a place is free", || server.chat(&ask(&[], LABEL)).status == 200);
}

#[test]
fn what_does_not_come_in_time_is_given_up() {
    let server = Server::start(&["--body-timeout", "0.2", "--header-timeout", "0.3"]);
    let late = rest(server.half("{", 100));
    assert!(late.starts_with("HTTP/1.1 408"), "{late}");
    let mut silent = server.connect();
    assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0, "a connection that says nothing is closed");
    let mut slow = server.connect();
    slow.write_all(b"GET /health HTTP/1.1\r\nhost:").unwrap();
    rest(slow);
    let server = Server::start(&["--timeout", "0.001"]);
    for stream in [false, true] {
        server.chat(&about_flat(LIST, json!({ "stream": stream }))).failed(504, "timeout_error", "0.001 s");
    }
    server.get("/health").ok();
}

#[test]
fn large_bodies_are_refused_before_they_have_come() {
    let server = Server::start(&["--max-body", "1"]);
    let declared = server.half("{", 100 << 20);
    let early = {
        let mut declared = declared;
        let mut head = [0; 12];
        declared.read_exact(&mut head).unwrap();
        String::from_utf8_lossy(&head).into_owned()
    };
    assert_eq!(early, "HTTP/1.1 413");
    // The whole of it is sent, and its answer still arrives.
    let body = vec![b' '; 100 << 20];
    let reply = server.post_bytes("/v1/chat/completions", "application/json", &body, &[]);
    reply.failed(413, "invalid_request_error", "larger than 1048576 bytes");
    // Without a length it is counted.
    let mut chunked = server.connect();
    chunked
        .write_all(b"POST /tokenize HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    let piece = [b"80000\r\n".to_vec(), vec![b' '; 0x80000], b"\r\n".to_vec()].concat();
    for _ in 0..3 {
        chunked.write_all(&piece).unwrap();
    }
    let mut head = [0; 12];
    chunked.read_exact(&mut head).unwrap();
    assert_eq!(String::from_utf8_lossy(&head), "HTTP/1.1 413");
    server.get("/health").ok();
}

#[test]
fn connections_that_say_nothing_do_not_keep_others_out() {
    let server = Server::start(&["--max-connections", "64", "--header-timeout", "1"]);
    let silent: Vec<_> = (0..400).map(|_| server.connect()).collect();
    let start = Instant::now();
    server.chat(&about_flat(LABEL, json!({}))).ok();
    assert!(start.elapsed() < LONG);
    drop(silent);
    server.get("/health").ok();
}

#[test]
fn who_does_not_read_is_hung_up_on() {
    let server = Server::start(&["--write-timeout", "1"]);
    let mut deaf = server.connect();
    deaf.set_write_timeout(Some(LONG)).unwrap();
    // Answers fill all buffers between, then questions do.
    let asked =
        (0..1_000_000).find_map(|_| deaf.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n").err());
    let kind = asked.map(|error| error.kind());
    assert!(matches!(kind, Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)), "{kind:?}");
    server.get("/health").ok();
}

#[test]
fn a_slow_reader_keeps_no_other_waiting() {
    let server = Server::start(&[]);
    let body = about_flat(LIST, json!({"stream": true, "sgl": {"exit_threshold": null}})).to_string();
    let slow: Vec<_> = (0..4).map(|_| server.half(&body, body.len())).collect();
    server.chat(&about_flat(LABEL, json!({}))).ok();
    until("nothing runs for them any more", || server.metric("sgl_answers_total{source=\"target\"}") == 4.0);
    assert_eq!(running(&server), 0.0);
    for answer in slow {
        let mut text = Vec::new();
        let mut answer = answer;
        while !text.ends_with(b"0\r\n\r\n") {
            let mut byte = [0; 64];
            let n = answer.read(&mut byte).unwrap();
            assert!(n > 0);
            text.extend(&byte[..n]);
        }
        assert!(String::from_utf8(text).unwrap().contains("data: [DONE]"));
    }
}
