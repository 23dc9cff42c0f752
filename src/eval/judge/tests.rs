use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

const CASE: Case<'_> = Case { question: "What is x?", truth: "-1<AND>-5", prediction: "x is\n-1" };

/// A server that gives these answers, one to each connection; what it was asked, as head and body.
fn server(answers: Vec<String>) -> (String, JoinHandle<Vec<(String, String)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let serve = move |answer: String| {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
        }
        let length = head
            .to_lowercase()
            .split_once("content-length: ")
            .unwrap()
            .1
            .split("\r\n")
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        (head, String::from_utf8(body).unwrap())
    };
    (url, std::thread::spawn(move || answers.into_iter().map(serve).collect()))
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn chat(reply: &str) -> String {
    http("200 OK", &json!({"choices": [{"message": {"role": "assistant", "content": reply}}]}).to_string())
}

fn judge(url: &str) -> Judge {
    let mut judge = Judge::new(url, "grader", Some("secret-key".to_owned()), Duration::from_secs(20));
    judge.pause = Duration::from_millis(1);
    judge
}

fn graded(answers: Vec<String>) -> (Result<f64, String>, String, Vec<(String, String)>) {
    let (url, server) = server(answers);
    let grade = judge(&url).grade(&CASE).map_err(|error| error.to_string());
    (grade, url, server.join().unwrap())
}

#[test]
fn the_judge_is_asked_and_its_number_read() {
    let (grade, _, asked) = graded(vec![chat(" 0.5 (one of two)")]);
    assert_eq!(grade, Ok(0.5));
    let (head, body) = &asked[0];
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("authorization: bearer secret-key\r\n"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((body["model"].as_str(), body["temperature"].as_i64()), (Some("grader"), Some(0)));
    let message = body["messages"][0]["content"].as_str().unwrap();
    assert!(message.starts_with(PROMPT), "{message}");
    assert!(message.ends_with("\nWhat is x? | -1 <AND> -5 | x is -1 |"), "{message}");
}

#[test]
fn busy_servers_are_asked_again() {
    let busy = http("429 Too Many Requests", "slow down");
    let again = http("503 Service Unavailable", "").replace("connection", "retry-after: 0\r\nconnection");
    let (grade, _, asked) = graded(vec![busy.clone(), again, chat("1.0")]);
    assert_eq!((grade, asked.len()), (Ok(1.0), 3));
    let (grade, url, asked) = graded(vec![busy; 5]);
    assert_eq!(grade, Err(format!("the judge at {url}/chat/completions answered 429: slow down")));
    assert_eq!(asked.len(), 5);
}

#[test]
fn slow_servers_are_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut judge = judge(&url);
    judge.timeout = Duration::from_millis(30);
    let started = Instant::now();
    let message = judge.grade(&CASE).unwrap_err().to_string();
    assert!(message.starts_with(&format!("cannot reach the judge at {url}/chat/completions: timeout")), "{message}");
    assert!(started.elapsed() >= Duration::from_millis(5 * 30), "{:?}", started.elapsed());
}

#[test]
fn what_is_no_grade_is_refused() {
    let (grade, url, asked) = graded(vec![http("401 Unauthorized", &"x".repeat(1000))]);
    let expect = format!("the judge at {url}/chat/completions answered 401: {} ...", "x".repeat(300));
    assert_eq!((grade, asked.len()), (Err(expect), 1));
    let (grade, ..) =
        graded(vec![http("302 Found", "").replace("connection", "location: http://127.0.0.1:1/\r\nconnection")]);
    assert!(grade.as_ref().unwrap_err().contains("answered 302"), "{grade:?}");
    for body in ["<html>", "{\"error\": 1}", "[]", "{\"choices\": [{\"message\": {\"content\": null}}]}"] {
        let (grade, ..) = graded(vec![http("200 OK", body)]);
        let message = grade.unwrap_err();
        assert!(message.contains("gave no chat completion: ") && message.contains(body), "{message}");
    }
    for reply in ["I cannot tell.", "7", "-1", "", "1.5"] {
        let (grade, ..) = graded(vec![chat(reply)]);
        let expect = format!("the judge gave no grade from 0 to 1, but `{reply}`; try another judge model or prompt");
        assert_eq!(grade, Err(expect));
    }
    let (grade, ..) = graded(vec!["not HTTP at all".to_owned()]);
    assert!(grade.as_ref().is_err_and(|message| message.starts_with("cannot reach the judge")), "{grade:?}");
}

#[test]
fn nobody_there_is_said_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/chat/completions/", listener.local_addr().unwrap());
    drop(listener);
    let message = judge(&url).grade(&CASE).unwrap_err().to_string();
    assert!(message.starts_with(&format!("cannot reach the judge at {}: ", url.trim_end_matches('/'))), "{message}");
    assert!(!message.contains("secret-key"));
    assert!(judge("no url").grade(&CASE).unwrap_err().to_string().starts_with("cannot reach the judge at no url/chat"));
}

#[test]
fn a_prompt_of_ones_own_comes_before_the_row() {
    let (url, server) = server(vec![chat("Correctness: 1")]);
    assert_eq!(judge(&url).with_prompt("Grade this:\n").grade(&CASE).unwrap(), 1.0);
    let body: Value = serde_json::from_str(&server.join().unwrap()[0].1).unwrap();
    assert_eq!(body["messages"][0]["content"], "Grade this:\nWhat is x? | -1 <AND> -5 | x is -1 |");
}

#[test]
fn answers_are_exported_as_the_evaluator_takes_them() {
    let text = export([("v1_0", "x is \"1\""), ("v1_1", "")]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({"v1_0": "x is \"1\"", "v1_1": ""}));
}

#[test]
fn totals_are_means_by_capability() {
    let totals = totals([("rec", 1.0), ("rec+ocr", 0.5), ("ocr+math", 0.0)]);
    let shown: Vec<_> = totals.iter().map(|total| (total.name, total.n, total.percent)).collect();
    let expect = [
        ("rec", 2, Some(75.0)),
        ("ocr", 2, Some(25.0)),
        ("know", 0, None),
        ("gen", 0, None),
        ("spat", 0, None),
        ("math", 1, Some(0.0)),
        ("total", 3, Some(50.0)),
    ];
    assert_eq!(shown, expect);
}
