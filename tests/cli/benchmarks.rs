//! Every benchmark in every layout, from its files to its table; open answers and their judge.

use crate::harness::Folder;
use miniature::Form;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

#[allow(dead_code, reason = "the loaders' own tests use the rest")]
#[path = "../../src/eval/data/miniature.rs"]
mod miniature;

fn check(benchmark: &str, metric: &str, forms: &[Form]) {
    for &form in forms {
        let folder = Folder::new();
        miniature::write(&folder.path().join("data"), benchmark, form);
        let arguments = [
            "eval", "--bench", benchmark, "--data", "data", "--policy", "global", "--retain", "25%", "--limit", "2",
            "-n", "3", "--json", "-q",
        ];
        let summary = folder.run(&arguments).ok().json();
        // MM-Vet's JSONL has no right answers, nor has one of one's own questions, so agreement is measured; other open answers
        // wait for a judge.
        let has_answers = !matches!((benchmark, form), ("mmvet", Form::Lines) | ("jsonl", _));
        let expected = if has_answers { metric } else { "agreement with the unpruned target" };
        assert_eq!(summary["about"]["metric"], expected, "{benchmark} {form:?}");
        let rows = summary["rows"].as_array().unwrap();
        let policies: Vec<&str> = rows.iter().map(|row| row["policy"].as_str().unwrap()).collect();
        assert_eq!(policies, ["none", "guide", "global"], "{benchmark} {form:?}");
        for row in rows {
            let n = row["n"].as_u64().unwrap();
            assert!(
                if metric == "judge" && has_answers { n == 0 } else { (1..=2).contains(&n) },
                "{benchmark} {form:?}: {row}"
            );
        }
    }
}

const ALL: [Form; 3] = [Form::Release, Form::Table, Form::Lines];

#[test]
fn short_answers() {
    check("textvqa", "vqa", &ALL);
    check("docvqa", "anls", &ALL);
}

#[test]
fn charts_and_scenes() {
    check("chartqa", "relaxed", &ALL);
    check("gqa", "exact", &ALL);
}

#[test]
fn multiple_choice() {
    check("seedbench", "choice", &ALL);
    check("mmbench", "choice", &[Form::Release, Form::Table]);
}

#[test]
fn yes_or_no_and_open_answers() {
    check("mme", "yes_no", &ALL);
    check("mmvet", "judge", &ALL);
}

#[test]
fn boxes() {
    check("refcoco", "box", &ALL);
    check("refcoco+", "box", &[Form::Release]);
    check("refcocog", "box", &[Form::Lines]);
    check("jsonl", "exact", &[Form::Lines]);
}

/// A judge that gives everybody a half, and what it was asked.
fn judge(n_questions: usize) -> (String, std::thread::JoinHandle<Vec<Value>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let answer = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let reply = r#"{"choices": [{"message": {"role": "assistant", "content": "0.5"}}]}"#;
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{reply}", reply.len())
            .unwrap();
        serde_json::from_slice(&body).unwrap()
    };
    (url, std::thread::spawn(move || (0..n_questions).map(|_| answer()).collect()))
}

#[test]
fn open_answers_are_graded_once_and_exported() {
    let folder = Folder::new();
    miniature::write(&folder.path().join("data"), "mmvet", Form::Release);
    let eval = |more: &[&str]| {
        let arguments = [
            "eval",
            "--bench",
            "mmvet",
            "--data",
            "data",
            "--policy",
            "global",
            "--retain",
            "25%",
            "-n",
            "4",
            "--journal",
            "run.jsonl",
            "--json",
        ];
        folder.run(&[&arguments, more].concat())
    };
    let first = eval(&["--export", "answers"]).ok();
    assert!(first.stderr.contains("--judge URL has them graded"), "{first:?}");
    assert_eq!(first.json()["rows"][0]["accuracy"], Value::Null);
    let exported: Value = serde_json::from_slice(&fs::read(folder.path().join("answers/none.json")).unwrap()).unwrap();
    assert!(exported["v1_0"].is_string(), "{exported}");
    assert!(folder.path().join("answers/global-0.25.json").exists());

    // Nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    eval(&["--judge", &closed, "-q"]).failed(8, "cannot reach the judge at http://127.0.0.1:");

    let text = fs::read_to_string(folder.path().join("run.jsonl")).unwrap();
    let records = text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let n_answers: usize = records
        .map(|record| {
            let runs = record["runs"].as_array().unwrap().iter().map(|run| run["answer"].as_str().unwrap().to_owned());
            let guide = record["guide"]["answer"].as_str().unwrap().to_owned();
            runs.chain([guide]).collect::<std::collections::BTreeSet<_>>().len()
        })
        .sum();
    let (url, asked) = judge(n_answers);
    let judged = eval(&["--judge", &url, "--judge-model", "strict"]).ok().json();
    assert_eq!(judged["rows"][0]["accuracy"].as_f64(), Some(0.5));
    let total = judged["figures"].as_array().unwrap().iter().find(|figure| figure["name"] == "total").unwrap();
    assert_eq!(total["value"].as_f64(), Some(50.0));
    let asked = asked.join().unwrap();
    assert_eq!(asked[0]["model"], "strict");
    // All grades are there: the judge, who is gone, is not asked again.
    let again = eval(&["--judge", &url, "--judge-model", "strict"]).ok().json();
    assert_eq!(again["rows"], judged["rows"]);
}
