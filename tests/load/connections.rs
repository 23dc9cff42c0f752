//! Clients that go away, read slowly, or say nothing.

use crate::Options;
use crate::memory::resident;
use crate::server::{LABEL, LIST, LONG, Server, about_flat, endless, rest, until};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn running(server: &Server) -> f64 {
    server.metric("sgl_requests_running") + server.metric("sgl_requests_queued")
}

/// Seconds that a question of somebody else takes.
fn another(server: &Server) -> f64 {
    let start = Instant::now();
    server.chat(&about_flat(LABEL, json!({}))).ok();
    start.elapsed().as_secs_f64()
}

pub fn killed_mid_stream(_: &Options) -> String {
    const N_CLIENTS: usize = 16;
    let server = Server::start(&["-np", "2"]);
    let body = endless(json!({"stream": true})).to_string();
    let mut streams: Vec<TcpStream> = (0..N_CLIENTS).map(|_| server.half(&body, body.len())).collect();
    until("all are there", || running(&server) == N_CLIENTS as f64);
    // The first one is being answered.
    streams[0].read_exact(&mut [0; 300]).unwrap();
    let start = Instant::now();
    drop(streams);
    until("all have been stopped", || running(&server) == 0.0);
    let stopped = start.elapsed().as_secs_f64();
    // Some may have been answered before the first one was: they do not begin in the order of their coming.
    let answered = server.metric("sgl_answers_total{source=\"target\"}");
    let n_stopped = N_CLIENTS as f64 - answered;
    assert!(n_stopped > 0.0, "nobody was being answered");
    until("all are counted", || server.metric("sgl_cancelled_total") == n_stopped);
    another(&server);
    format!("{n_stopped} answers stopped within {stopped:.2} s, all counted; the next question is answered")
}

pub fn slow_reader(_: &Options) -> String {
    let server = Server::start(&["--write-timeout", "1"]);
    let body = about_flat(LIST, json!({"sgl": {"explain": true, "exit_threshold": null}})).to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let mut slow = server.connect();
    slow.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let n_sent = (0..60).take_while(|_| slow.write_all(request.as_bytes()).is_ok()).count();
    let seconds = another(&server);
    until("nothing runs for it any more", || running(&server) == 0.0);
    format!("{n_sent} requests sent and no answer read: hung up on; another client's answer after {seconds:.2} s")
}

pub fn half_sent(_: &Options) -> String {
    const N_CLIENTS: usize = 24;
    let server = Server::start(&["--body-timeout", "2"]);
    let body = about_flat(LABEL, json!({})).to_string();
    let halves: Vec<TcpStream> = (0..N_CLIENTS).map(|_| server.half(&body[..body.len() / 2], body.len())).collect();
    let gone: Vec<TcpStream> = (0..4).map(|_| server.half(&body[..9], body.len())).collect();
    drop(gone);
    let seconds = another(&server);
    let statuses: Vec<String> = halves.into_iter().map(|half| rest(half).chars().skip(9).take(3).collect()).collect();
    assert!(statuses.iter().all(|status| status == "408"), "{statuses:?}");
    another(&server);
    format!("{N_CLIENTS} times 408, another client's answer meanwhile after {seconds:.2} s")
}

pub fn idle(_: &Options) -> String {
    let server = Server::start(&["--header-timeout", "5"]);
    let before = resident(&server);
    let silent: Vec<TcpStream> = (0..1000).map(|_| server.connect()).collect();
    let start = Instant::now();
    let seconds = another(&server);
    let grown = resident(&server) - before;
    for mut connection in silent {
        connection.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(connection.read(&mut [0]).unwrap_or(0), 0, "who says nothing is hung up on");
    }
    let closed = start.elapsed().as_secs_f64();
    format!("an answer meanwhile after {seconds:.2} s, {grown:.0} MiB more, all hung up on within {closed:.1} s")
}
