//! What the way over HTTP costs, and what is gained by taking requests together.
//!
//! `cargo bench --bench serving -- [QUESTIONS [ROUNDS [FLAGS...]]]`: FLAGS go to the server and to `sgl run` (default: the
//! embedded pair). Each question is about a new picture of the held-out set, without early exit. Medians, with quartiles where a
//! ratio is one of many.

#[allow(dead_code, reason = "the tests of the program need more of it")]
#[path = "../tests/cli/harness.rs"]
mod harness;
#[allow(dead_code, reason = "the tests of the server need more of it")]
#[path = "../tests/cli/serve/server.rs"]
mod server;

use harness::Folder;
use serde_json::{Value, json};
use server::{Server, ask, data_url};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

const HELD_OUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/held-out");
/// Tokens of an answer.
const N_PREDICT: usize = 32;

struct Question {
    path: String,
    text: String,
    /// Another one about the same picture.
    next: String,
}

fn main() {
    // Cargo says that this is a benchmark.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |index: usize, default| arguments.get(index).map_or(default, |n| n.parse().expect("a whole number"));
    let (n_questions, n_rounds) = (number(0, 16), number(1, 5));
    let flags: Vec<&str> = arguments.iter().skip(2).map(String::as_str).collect();
    let questions = questions(n_questions);
    println!("{} questions, {n_rounds} rounds", questions.len());
    first_tokens(&questions, &flags);
    together(&questions, n_rounds, &flags);
}

/// Questions about pictures that differ.
fn questions(n: usize) -> Vec<Question> {
    let text = fs::read_to_string(format!("{HELD_OUT}/questions.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |line: &Value, field: &str| line[field].as_str().unwrap().to_owned();
    let mut seen = BTreeSet::new();
    let pairs = lines.windows(2).filter(|pair| pair[0]["image"] == pair[1]["image"]);
    let new = pairs.filter(|pair| seen.insert(of(&pair[0], "image"))).take(n);
    new.map(|pair| Question {
        path: format!("{HELD_OUT}/{}", of(&pair[0], "image")),
        text: of(&pair[0], "question"),
        next: of(&pair[1], "question"),
    })
    .collect()
}

/// Time to the first token: of a new picture, of a second question about it, and without a server.
fn first_tokens(questions: &[Question], flags: &[&str]) {
    let server = serve(flags, 1);
    let folder = Folder::new();
    let (mut over_run, mut over_own, mut second, mut times) = (vec![], vec![], vec![], vec![]);
    for question in questions {
        let run = run(&folder, question, flags);
        let (wall, own) = streamed(&server, &body(question, &question.text));
        let (next, _) = streamed(&server, &body(question, &question.next));
        times.push(wall);
        over_run.push(wall / run);
        over_own.push(wall / own);
        second.push(next / wall);
    }
    println!("time to first token through the server: {:.1} ms", quartiles(&mut times)[1]);
    for (what, mut ratios) in [
        ("over that of sgl run, loading apart", over_run),
        ("over what the server itself counts", over_own),
        ("of a second question about the picture, over the first", second),
    ] {
        let [low, median, high] = quartiles(&mut ratios);
        println!("  {what}: {median:.2} ({low:.2} to {high:.2})");
    }
}

/// Answers a second by the number of requests at once, which is also that of the clients.
fn together(questions: &[Question], n_rounds: usize, flags: &[&str]) {
    const WAYS: [usize; 3] = [1, 4, 8];
    let mut seconds = vec![Vec::new(); WAYS.len()];
    for _ in 0..n_rounds {
        for (seconds, n) in seconds.iter_mut().zip(WAYS) {
            // A new server: no picture was seen before.
            let (server, next) = (serve(flags, n), AtomicUsize::new(0));
            let start = Instant::now();
            thread::scope(|scope| {
                for _ in 0..n {
                    scope.spawn(|| {
                        while let Some(question) = questions.get(next.fetch_add(1, Relaxed)) {
                            server.chat(&body(question, &question.text)).ok();
                        }
                    });
                }
            });
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    let medians: Vec<f64> = seconds.iter_mut().map(|seconds| quartiles(seconds)[1]).collect();
    for (n, seconds) in WAYS.into_iter().zip(&medians) {
        let (per_second, ratio) = (questions.len() as f64 / seconds, medians[0] / seconds);
        println!("{n} at once: {per_second:.2} answers a second, {ratio:.2} times one at a time");
    }
}

fn serve(flags: &[&str], n_parallel: usize) -> Server {
    let n_parallel = n_parallel.to_string();
    Server::start(&[&["-t", "2", "-np", &n_parallel][..], flags].concat())
}

fn body(question: &Question, text: &str) -> Value {
    let mut body = ask(&[&data_url(&question.path)], text);
    body["max_tokens"] = json!(N_PREDICT);
    body["sgl"] = json!({"exit_threshold": null});
    body
}

/// Milliseconds to the first token of a streamed answer, by the clock and by the server's own account.
fn streamed(server: &Server, body: &Value) -> (f64, f64) {
    let mut body = body.clone();
    body["stream"] = json!(true);
    let body = body.to_string();
    let start = Instant::now();
    let lines = BufReader::new(server.half(&body, body.len())).lines().map_while(Result::ok);
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let (mut wall, mut own) = (None, None);
    for event in events {
        let choice = &event["choices"][0];
        // The first event comes with the first text, or with the end where there is none.
        wall.get_or_insert_with(|| start.elapsed().as_secs_f64() * 1e3);
        if choice["finish_reason"].is_string() {
            own = before_decoding(&event["sgl"]["timings_ms"]);
            break;
        }
    }
    (wall.expect("a first event"), own.expect("timings"))
}

/// Milliseconds to the first token of `sgl run`, without the time that it takes to load the models.
fn run(folder: &Folder, question: &Question, flags: &[&str]) -> f64 {
    let n_predict = N_PREDICT.to_string();
    let mut command = folder.command();
    command.args(["run", "--json", "-q", "-t", "2", "--no-exit", "-n", &n_predict, "--image", &question.path]);
    let output = command.args(["-p", &question.text]).args(flags).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    before_decoding(&report["timings_ms"]).expect("timings")
}

/// The whole time without the answer's.
fn before_decoding(timings: &Value) -> Option<f64> {
    Some(timings["total"].as_f64()? - timings["target_decode"].as_f64().unwrap_or(0.0))
}

fn quartiles(values: &mut [f64]) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|share| values[((values.len() - 1) as f64 * share).round() as usize])
}
