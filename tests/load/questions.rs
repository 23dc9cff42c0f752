//! Questions about the held-out pictures, in the forms in which clients put them, each with the answer that the server gave when
//! nothing else ran.

use crate::server::{LONG, Reply, Server, ask, data_url, events};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use ureq::Agent;

const HELD_OUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/held-out");

/// Most undecided answers among so many right ones.
pub const UNDECIDED: usize = 200;

/// A request and its answer.
pub struct Case {
    pub body: Value,
    pub answer: String,
}

/// What an answer is beside the one that the question got alone.
pub enum Verdict {
    Right,
    /// Another, and still nearer to it than to any other question's: what is read together is rounded otherwise, and the model was
    /// undecided.
    Undecided(String),
    Wrong(String),
}

/// Holds an answer against the one that `case` got alone, and against those of all other questions.
pub fn judged(answer: &str, case: &Case, cases: &[Case]) -> Verdict {
    if answer == case.answer {
        return Verdict::Right;
    }
    let others = cases.iter().filter(|other| other.answer != case.answer);
    let nearest = others.map(|other| likeness(answer, &other.answer)).max();
    let is_own = Some(likeness(answer, &case.answer)) > nearest;
    let difference = format!("{answer:?} instead of {:?}", case.answer);
    if is_own { Verdict::Undecided(difference) } else { Verdict::Wrong(difference) }
}

/// Words that two answers have in common, in thousandths of the longer one's.
fn likeness(a: &str, b: &str) -> usize {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split_whitespace().collect(), b.split_whitespace().collect());
    let mut left = b.clone();
    let common =
        a.iter().filter(|word| left.iter().position(|other| other == *word).map(|at| left.swap_remove(at)).is_some());
    1000 * common.count() / a.len().max(b.len()).max(1)
}

/// Cases that differ in pictures, number of pictures, length, form and guidance.
pub fn cases(server: &Server) -> Vec<Case> {
    let bodies = bodies();
    let asked = bodies.into_iter().map(|body| {
        let answer = said(&server.chat(&body)).unwrap_or_else(|problem| panic!("{problem}"));
        Case { body, answer }
    });
    let cases: Vec<Case> = asked.collect();
    let mut answers = BTreeMap::<&str, usize>::new();
    cases.iter().for_each(|case| *answers.entry(&case.answer).or_default() += 1);
    // An answer that belongs to another question must not pass unseen.
    assert!(answers.len() * 3 >= cases.len() * 2, "{} answers to {} questions", answers.len(), cases.len());
    cases
}

fn bodies() -> Vec<Value> {
    let text = fs::read_to_string(format!("{HELD_OUT}/questions.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_kind = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).cloned().collect::<Vec<_>>();
    let url = |line: &Value| data_url(&format!("{HELD_OUT}/{}", line["image"].as_str().unwrap()));
    let question = |line: &Value| line["question"].as_str().unwrap().to_owned();
    let (lists, labels) = (of_kind("list"), of_kind("label"));
    let mut bodies = Vec::new();
    for (index, line) in lists.iter().step_by(7).take(16).enumerate() {
        let mut body = ask(&[&url(line)], &question(line));
        body["max_tokens"] = json!(48);
        match index % 4 {
            0 => {}
            1 => body["stream"] = json!(true),
            2 => body["sgl"] = json!({"exit_threshold": null, "retain": 0.3}),
            _ => body["logprobs"] = json!(true),
        }
        bodies.push(body);
    }
    for (index, pair) in lists.chunks(2).skip(20).step_by(5).take(6).enumerate() {
        let mut body = ask(&[&url(&pair[0]), &url(&pair[1])], &question(&pair[1]));
        body["max_tokens"] = json!(32);
        body["stream"] = json!(index % 2 == 0);
        bodies.push(body);
    }
    for line in labels.iter().step_by(29).take(6) {
        let mut body = ask(&[&url(line)], &question(line));
        let turns = body["messages"].as_array_mut().unwrap();
        turns.push(json!({"role": "assistant", "content": "One moment."}));
        turns.push(json!({"role": "user", "content": "List every object."}));
        body["max_tokens"] = json!(32);
        bodies.push(body);
    }
    for line in lists.iter().skip(3).step_by(31).take(4) {
        let mut body = ask(&[&url(line)], &question(line));
        let schema = json!({"type": "object", "properties": {"objects": {"type": "string", "maxLength": 40}},
            "required": ["objects"], "additionalProperties": false});
        body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "objects", "schema": schema}});
        bodies.push(body);
    }
    bodies
}

/// Asks where nobody may be listening any more: `None` where no answer comes, or not all of it.
pub fn try_chat(server: &Server, body: &Value) -> Option<Reply> {
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(LONG)).proxy(None);
    let request = Agent::from(config.build()).post(format!("http://{}/v1/chat/completions", server.address));
    let mut reply = request.header("content-type", "application/json").send(body.to_string()).ok()?;
    let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
    Some(Reply { status, headers, body: reply.body_mut().read_to_string().ok()? })
}

/// The text of an answer, whole or in pieces.
///
/// # Errors
/// What else it is.
pub fn said(reply: &Reply) -> Result<String, String> {
    if reply.status != 200 {
        return Err(format!("{}: {}", reply.status, reply.body));
    }
    if reply.headers["content-type"] != "text/event-stream" {
        let text = reply.json()["choices"][0]["message"]["content"].as_str().map(str::to_owned);
        return text.ok_or_else(|| format!("no text: {}", reply.body));
    }
    let mut events = events(&reply.body);
    if events.pop().as_deref() != Some("[DONE]") {
        return Err(format!("a stream without its end: {}", reply.body));
    }
    let pieces = events.iter().map(|event| serde_json::from_str::<Value>(event).map_err(|error| error.to_string()));
    pieces.map(|piece| Ok(piece?["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned())).collect()
}
