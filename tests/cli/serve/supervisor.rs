//! A process that dies and one that listens on.

use super::server::{LABEL, LIST, LONG, Server, about_flat, endless, events, pid, rest, until};
use crate::harness::{Folder, GUIDE, TARGET};
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The process that has the models.
fn worker(server: &Server) -> Option<u32> {
    let listed = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let numbers = |line: &str| line.split_whitespace().map(|number| number.parse::<u32>().unwrap()).collect::<Vec<_>>();
    text.lines().map(numbers).find(|line| line[1] == server.child.id()).map(|line| line[0])
}

fn kill_worker(server: &Server) {
    kill_process(pid(worker(server).unwrap()), Signal::KILL).unwrap();
}

#[test]
fn a_worker_that_is_killed_takes_only_its_own_requests_with_it() {
    const N_CLIENTS: usize = 4;
    let server = Server::start(&[]);
    let body = about_flat(LABEL, json!({}));
    let right = server.chat(&body).ok()["choices"][0]["message"]["content"].clone();
    let (is_over, n_right, n_lost, n_loading) =
        (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..N_CLIENTS {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let reply = server.chat(&body);
                    match reply.status {
                        200 => {
                            assert_eq!(reply.json()["choices"][0]["message"]["content"], right);
                            n_right.fetch_add(1, Ordering::Relaxed);
                        }
                        _ => {
                            let error = reply.failed(503, "unavailable_error", "");
                            let is_loading = error["message"] == "Loading model";
                            let count = if is_loading { &n_loading } else { &n_lost };
                            count.fetch_add(1, Ordering::Relaxed);
                            thread::sleep(Duration::from_millis(20));
                        }
                    }
                }
            });
        }
        until("answers come", || n_right.load(Ordering::Relaxed) >= 10);
        kill_worker(&server);
        until("it is noticed", || n_lost.load(Ordering::Relaxed) + n_loading.load(Ordering::Relaxed) > 0);
        let before = n_right.load(Ordering::Relaxed);
        until("answers come again", || n_right.load(Ordering::Relaxed) >= before + 10);
        is_over.store(true, Ordering::Relaxed);
    });
    let n_lost = n_lost.load(Ordering::Relaxed);
    assert!(n_lost <= N_CLIENTS, "{n_lost} requests are lost, and {N_CLIENTS} were on their way");
    assert_eq!(server.metric("sgl_worker_restarts_total"), 1.0);
    assert_eq!(server.metric("sgl_lost_requests_total"), n_lost as f64);
    assert!(server.log().contains("died"), "{}", server.log());
}

#[test]
fn streams_of_the_oldest_clients_hear_of_it_too() {
    let server = Server::start(&[]);
    let body = endless(json!({"stream": true})).to_string();
    let mut stream = server.connect();
    let head = "POST /v1/chat/completions HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    let mut text = String::new();
    while !text.contains("\"content\":\"[") {
        let mut bytes = [0; 1024];
        let n = stream.read(&mut bytes).unwrap();
        assert!(n > 0, "{text}");
        text.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
    }
    kill_worker(&server);
    // Without chunks the end of the connection is the end of the body: only the last event tells.
    text.push_str(&rest(stream));
    let last: Value = serde_json::from_str(events(&text).last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], 503, "{text}");
    until("it is counted", || server.metric("sgl_lost_requests_total") >= 1.0);
}

#[test]
fn requests_on_their_way_hear_of_it() {
    let server = Server::start(&[]);
    let streaming = endless(json!({"stream": true})).to_string();
    let mut stream = server.half(&streaming, streaming.len());
    let mut begun = Vec::new();
    while !String::from_utf8_lossy(&begun).contains("\"content\":\"[") {
        let mut bytes = [0; 1024];
        let n = stream.read(&mut bytes).unwrap();
        assert!(n > 0, "{}", String::from_utf8_lossy(&begun));
        begun.extend(&bytes[..n]);
    }
    let whole = endless(json!({})).to_string();
    let waiting = server.half(&whole, whole.len());
    until("the second waits", || server.metric("sgl_requests_queued") == 1.0);
    kill_worker(&server);
    let start = Instant::now();
    // The stream goes on in chunks, the last event is the error, and the connection is fit for another request.
    let mut text = String::from_utf8(begun).unwrap();
    while !text.ends_with("0\r\n\r\n") {
        let mut bytes = [0; 1024];
        let n = stream.read(&mut bytes).unwrap();
        assert!(n > 0, "{text}");
        text.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
    }
    let last: Value = serde_json::from_str(events(&text).last().unwrap()).unwrap();
    assert_eq!((&last["error"]["code"], &last["error"]["type"]), (&json!(503), &json!("unavailable_error")));
    let mut head = [0; 12];
    let mut waiting = waiting;
    waiting.read_exact(&mut head).unwrap();
    assert_eq!(String::from_utf8_lossy(&head), "HTTP/1.1 503");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    until("another worker is ready", || server.get("/health").status == 200);
    server.chat(&about_flat(LABEL, json!({}))).ok();
    // A look at its health may have been lost too.
    assert!(server.metric("sgl_lost_requests_total") >= 2.0);
}

#[test]
fn workers_that_die_at_once_are_given_up() {
    let mut server = Server::start(&[]);
    let mut last = None;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = server.child.try_wait().unwrap() {
            break status;
        }
        if let Some(worker) = worker(&server).filter(|worker| Some(*worker) != last) {
            kill_process(pid(worker), Signal::KILL).ok();
            last = Some(worker);
        }
        assert!(start.elapsed() < LONG, "it never gives up");
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(6), "{}", server.log());
    assert!(server.log().contains("5 workers died before they were ready"), "{}", server.log());
}

#[test]
fn workers_that_die_of_requests_are_always_replaced() {
    let server = Server::start(&[]);
    for n in 1..=7 {
        kill_worker(&server);
        until("another worker is ready", || server.metric("sgl_worker_restarts_total") == f64::from(n));
        server.wait_until_ready();
    }
    server.chat(&about_flat(LABEL, json!({}))).ok();
}

/// Weights are mapped: reading what is not there any more ends the process.
#[test]
fn a_model_file_that_is_cut_short_ends_no_request_in_silence() {
    let folder = Folder::new();
    let models = [TARGET[0], TARGET[1], GUIDE[0], GUIDE[1]].map(|path| {
        let copy = folder.at(path.rsplit('/').next().unwrap());
        fs::copy(path, &copy).unwrap();
        copy
    });
    let [target, mmproj, guide, guide_mmproj] = &models;
    let flags = ["-m", target, "--mmproj", mmproj, "--guide", guide, "--guide-mmproj", guide_mmproj];
    let mut server = Server::start(&flags);
    let body = about_flat(LABEL, json!({"sgl": {"exit_threshold": null}}));
    server.chat(&body).ok();
    fs::OpenOptions::new().write(true).open(target).unwrap().set_len(100_000).unwrap();
    server.chat(&body).failed(503, "unavailable_error", "died");
    assert_eq!(server.ended().code(), Some(3), "{}", server.log());
    assert!(server.log().contains("is truncated"), "{}", server.log());
}

#[test]
fn told_to_end_a_server_answers_first() {
    for flags in [&[][..], &["--no-supervise"]] {
        let mut server = Server::start(flags);
        let body = about_flat(LIST, json!({"sgl": {"exit_threshold": null}})).to_string();
        let answers: Vec<_> = (0..3).map(|_| server.half(&body, body.len())).collect();
        until("they are there", || server.metric("sgl_requests_running") + server.metric("sgl_requests_queued") >= 1.0);
        let worker = worker(&server);
        server.signal(Signal::TERM);
        let statuses: Vec<String> = answers.into_iter().map(|answer| rest(answer).chars().take(12).collect()).collect();
        assert!(server.ended().success(), "{}", server.log());
        assert!(statuses.iter().any(|status| status == "HTTP/1.1 200"), "{statuses:?}");
        // A request that had not been read yet when the server ended has no answer; none has a wrong one.
        assert!(
            statuses.iter().all(|status| ["HTTP/1.1 200", "HTTP/1.1 503", ""].contains(&status.as_str())),
            "{statuses:?}"
        );
        if let Some(worker) = worker {
            assert!(!is_alive(worker), "the worker has ended too");
        }
    }
}

#[test]
fn what_is_not_ready_by_the_deadline_is_stopped() {
    for flags in [&[][..], &["--no-supervise"]] {
        let mut server = Server::start(&[&["--shutdown-timeout", "0.2"], flags].concat());
        let body = endless(json!({})).to_string();
        let answer = server.half(&body, body.len());
        until("it runs", || server.metric("sgl_requests_running") == 1.0);
        let start = Instant::now();
        server.signal(Signal::TERM);
        assert!(rest(answer).starts_with("HTTP/1.1 503"), "it hears that it was stopped");
        assert!(server.ended().success(), "{}", server.log());
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

#[test]
fn a_worker_whose_parent_is_gone_ends() {
    let mut server = Server::start(&["-m", TARGET[0], "--mmproj", TARGET[1]]);
    let worker = worker(&server).unwrap();
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    until("the worker has ended too", || !is_alive(worker));
}

/// Zombies, which nobody waits for here, are not.
fn is_alive(id: u32) -> bool {
    let listed = Command::new("ps").args(["-o", "stat=", "-p", &id.to_string()]).output().unwrap();
    let state = String::from_utf8(listed.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}
