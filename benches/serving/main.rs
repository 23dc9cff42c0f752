//! What the way over HTTP costs, and what is gained by taking requests together.
//!
//! `cargo bench --bench serving -- [QUESTIONS [ROUNDS [FLAGS...]]]`: FLAGS go to the server and to `sgl run` (default: the
//! embedded pair). Each question is about a new picture, without early exit. With 0 rounds nothing is asked at once. Medians, with
//! quartiles where a ratio is one of many. Two variables say more:
//!
//! - `LLAMA_SERVER`: a stock llama-server, which then answers the same questions in turns with ours, with the target alone
//! - `HELD_OUT`: the set of pictures in models/, `held-out` (default) or `held-out-large`

#[allow(dead_code, reason = "the tests of the program need more of it")]
#[path = "../../tests/cli/harness.rs"]
mod harness;
#[allow(dead_code, reason = "the tests of the server need more of it")]
#[path = "../../tests/cli/serve/server.rs"]
mod server;
mod stock;

use harness::Folder;
use serde_json::{Value, json};
use server::{Server, ask, data_url};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;
use stock::Stock;

/// Tokens of an answer.
const N_PREDICT: usize = 32;
/// Tokens that stock llama-server has room for, for each request at once.
const N_CONTEXT: usize = 4096;

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
    let stock = Stock::named(&flags);
    println!("{} questions, {n_rounds} rounds", questions.len());
    first_tokens(&questions, &flags, stock.as_ref());
    if n_rounds > 0 {
        together(&questions, n_rounds, &flags, stock.as_ref());
    }
}

/// Questions about pictures that differ.
fn questions(n: usize) -> Vec<Question> {
    let set = std::env::var("HELD_OUT").unwrap_or_else(|_| "held-out".to_owned());
    let folder = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/{}"), set);
    let text = fs::read_to_string(format!("{folder}/questions.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |line: &Value, field: &str| line[field].as_str().unwrap().to_owned();
    let mut seen = BTreeSet::new();
    let pairs = lines.windows(2).filter(|pair| pair[0]["image"] == pair[1]["image"]);
    let new = pairs.filter(|pair| seen.insert(of(&pair[0], "image"))).take(n);
    new.map(|pair| Question {
        path: format!("{folder}/{}", of(&pair[0], "image")),
        text: of(&pair[0], "question"),
        next: of(&pair[1], "question"),
    })
    .collect()
}

/// Time to the first token: of a new picture, of a second question about it, without a server, and of stock llama-server.
fn first_tokens(questions: &[Question], flags: &[&str], stock: Option<&Stock>) {
    let (server, stock) = (serve(flags, 1), stock.map(|stock| stock.start(1, N_CONTEXT)));
    let folder = Folder::new();
    let (mut times, mut over_run, mut over_own, mut second) = (vec![], vec![], vec![], vec![]);
    let (mut stock_second, mut over_stock, mut second_over_stock) = (vec![], vec![], vec![]);
    for question in questions {
        let run = run(&folder, question, flags);
        let (wall, own) = streamed(&server, &body(question, &question.text));
        let (next, _) = streamed(&server, &body(question, &question.next));
        times.push(wall);
        over_run.push(wall / run);
        over_own.push(wall / own.expect("timings"));
        second.push(next / wall);
        if let Some(stock) = &stock {
            let (of_stock, _) = streamed(stock, &body(question, &question.text));
            let (next_of_stock, _) = streamed(stock, &body(question, &question.next));
            stock_second.push(next_of_stock / of_stock);
            over_stock.push(wall / of_stock);
            second_over_stock.push(next / next_of_stock);
        }
    }
    println!("time to first token through the server: {:.1} ms", quartiles(&mut times)[1]);
    for (what, mut ratios) in [
        ("over that of sgl run, loading apart", over_run),
        ("over what the server itself counts", over_own),
        ("of a second question about the picture, over the first", second),
        ("the same of stock llama-server", stock_second),
        ("over that of stock llama-server", over_stock),
        ("of a second question, over that of stock llama-server", second_over_stock),
    ] {
        if ratios.is_empty() {
            continue;
        }
        let [low, median, high] = quartiles(&mut ratios);
        println!("  {what}: {median:.2} ({low:.2} to {high:.2})");
    }
}

/// Answers a second by the number of requests at once, which is also that of the clients.
fn together(questions: &[Question], n_rounds: usize, flags: &[&str], stock: Option<&Stock>) {
    const WAYS: [usize; 3] = [1, 4, 8];
    let (mut seconds, mut of_stock) = (vec![Vec::new(); WAYS.len()], vec![Vec::new(); WAYS.len()]);
    for _ in 0..n_rounds {
        for (index, n) in WAYS.into_iter().enumerate() {
            // New servers: no picture was seen before.
            seconds[index].push(all(questions, &serve(flags, n), n));
            if let Some(stock) = stock {
                of_stock[index].push(all(questions, &stock.start(n, N_CONTEXT), n));
            }
        }
    }
    let median = |all: &mut [Vec<f64>]| all.iter_mut().map(|some| quartiles(some)[1]).collect::<Vec<_>>();
    let medians = median(&mut seconds);
    let of_stock = stock.map(|_| median(&mut of_stock));
    for (index, n) in WAYS.into_iter().enumerate() {
        let (per_second, ratio) = (questions.len() as f64 / medians[index], medians[0] / medians[index]);
        println!("{n} at once: {per_second:.2} answers a second, {ratio:.2} times one at a time");
        if let Some(of_stock) = &of_stock {
            let (per_second, ratio) = (questions.len() as f64 / of_stock[index], of_stock[0] / of_stock[index]);
            let over = of_stock[index] / medians[index];
            println!("  stock llama-server: {per_second:.2}, {ratio:.2} times; ours gives {over:.2} times as many");
        }
    }
}

/// Seconds until `n` clients have all answers.
fn all(questions: &[Question], server: &Server, n: usize) -> f64 {
    let next = AtomicUsize::new(0);
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
    start.elapsed().as_secs_f64()
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

/// Milliseconds to the first token of a streamed answer, by the clock and, of ours, by the server's own account.
fn streamed(server: &Server, body: &Value) -> (f64, Option<f64>) {
    let mut body = body.clone();
    body["stream"] = json!(true);
    let body = body.to_string();
    let start = Instant::now();
    let lines = BufReader::new(server.half(&body, body.len())).lines().map_while(Result::ok);
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let mut first = None;
    for event in events {
        let choice = &event["choices"][0];
        let ended = choice["finish_reason"].is_string();
        // The end stands for it where there is no text.
        if ended || choice["delta"]["content"].as_str().is_some_and(|text| !text.is_empty()) {
            first.get_or_insert_with(|| start.elapsed().as_secs_f64() * 1e3);
        }
        if ended {
            return (first.expect("a first event"), before_decoding(&event["sgl"]["timings_ms"]));
        }
    }
    panic!("an answer that does not end");
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
