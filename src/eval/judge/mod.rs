//! MM-Vet's answers: the file that its evaluator takes, grades by a judge model, and totals by capability.
//!
//! The judge's prompt follows MM-Vet's manner (a table row to be completed with a grade) in words of this project, so
//! **figures are not comparable with those of the official prompt and judge**. For such figures, export the answers
//! ([`export`]) to the official evaluator, or give its prompt to [`Judge::with_prompt`].

mod http;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::eval::data::CAPABILITIES;

/// The environment variable that [`Judge::new`]'s caller takes the key from.
pub const API_KEY: &str = "SGL_JUDGE_API_KEY";

/// Why there is no grade.
#[derive(Debug, Error)]
pub enum JudgeError {
    /// No connection, or no answer in time.
    #[error("cannot reach the judge at {url}: {problem}; is its server running?")]
    Unreachable {
        /// Where the request went.
        url: String,
        /// What happened.
        problem: String,
    },
    /// The server refused.
    #[error("the judge at {url} answered {status}: {body}")]
    Refused {
        /// Where the request went.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of what it said.
        body: String,
    },
    /// Not an answer of the chat API.
    #[error(
        "the judge at {url} gave no chat completion: {problem}, in {body}; the URL must be that of an OpenAI-compatible \
         API, such as http://localhost:8080/v1"
    )]
    NotChat {
        /// Where the request went.
        url: String,
        /// What is wrong with it.
        problem: String,
        /// The beginning of what it said.
        body: String,
    },
    /// An answer without a grade.
    #[error("the judge gave no grade from 0 to 1, but `{reply}`; try another judge model or prompt")]
    NoGrade {
        /// The beginning of what it said.
        reply: String,
    },
}

/// A judge model behind an OpenAI-compatible API.
pub struct Judge {
    url: String,
    model: String,
    api_key: Option<String>,
    prompt: String,
    timeout: Duration,
    /// Before the second attempt; doubled before every further one.
    pause: Duration,
}

/// What is graded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case<'a> {
    /// The bare question.
    pub question: &'a str,
    /// What is right; `<AND>` and `<OR>` join its parts.
    pub truth: &'a str,
    /// The answer.
    pub prediction: &'a str,
}

impl Judge {
    /// `url` is that of the API (`http://localhost:8080/v1`) or of its chat completions. `timeout` holds for one attempt.
    pub fn new(url: &str, model: &str, api_key: Option<String>, timeout: Duration) -> Self {
        let base = url.trim_end_matches('/');
        let url =
            if base.ends_with("/chat/completions") { base.to_owned() } else { format!("{base}/chat/completions") };
        let pause = Duration::from_secs(1);
        Self { url, model: model.to_owned(), api_key, prompt: PROMPT.to_owned(), timeout, pause }
    }

    /// Replaces the prompt: what stands before the row `question | truth | prediction | `.
    pub fn with_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = prompt.into();
        self
    }

    /// The grade, 0 to 1: the first number of the answer at temperature 0. Busy servers (429, 5xx) and timeouts are asked
    /// up to five times.
    ///
    /// # Errors
    ///
    /// If the judge cannot be reached, refuses, or gives no grade. Messages never hold the key.
    pub fn grade(&self, case: &Case<'_>) -> Result<f64, JudgeError> {
        let request = json!({
            "model": self.model,
            "messages": [{"role": "user", "content": self.message(case)}],
            "temperature": 0,
            "max_tokens": 16,
        });
        let body = http::post(self, &request.to_string())?;
        let not_chat = |problem: String| JudgeError::NotChat { url: self.url.clone(), problem, body: excerpt(&body) };
        let answer: Value = serde_json::from_str(&body).map_err(|error| not_chat(error.to_string()))?;
        let reply = answer.pointer("/choices/0/message/content").and_then(Value::as_str);
        let reply = reply.ok_or_else(|| not_chat("it has no choices[0].message.content".to_owned()))?;
        grade_in(reply).ok_or_else(|| JudgeError::NoGrade { reply: excerpt(reply) })
    }

    /// The prompt and the row to complete. Parts of the truth get room, and line breaks would end the row.
    fn message(&self, case: &Case<'_>) -> String {
        let truth = case.truth.replace("<AND>", " <AND> ").replace("<OR>", " <OR> ");
        let cells =
            [case.question, &truth, case.prediction].map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        format!("{}\n{} |", self.prompt.trim_end(), cells.join(" | "))
    }
}

/// What the judge is told, before the row that it completes.
pub const PROMPT: &str = "\
You grade answers to questions about pictures that you cannot see. Compare the prediction with the ground truth and say \
how much of the ground truth it gets right, from 0.0 (nothing) to 1.0 (all of it), in steps of 0.1. Wording does not \
matter, meaning does. Where the ground truth has parts joined by <AND>, every part is needed and each counts its share; \
where they are joined by <OR>, one of them is enough. Complete the last row with the number and write nothing else.

Question | Ground truth | Prediction | Correctness
--- | --- | --- | ---
Which two fruits are in the bowl? | apple <AND> pear | There is an apple and a banana. | 0.5
Which two fruits are in the bowl? | apple <AND> pear | Pears, and next to them an apple. | 1.0
What time does the clock show? | 3:30 <OR> half past three | It is half past three. | 1.0
What time does the clock show? | 3:30 <OR> half past three | It is 6:15. | 0.0
Why are the people running? | It has begun to rain and the bus is about to leave. | They run because of the rain. | 0.5";

/// The first number of a text, if it is a grade.
fn grade_in(reply: &str) -> Option<f64> {
    let start = reply.find(|c: char| c.is_ascii_digit())?;
    let is_negative = reply[..start].ends_with('-');
    let rest = &reply[start..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let number: f64 = rest[..end].trim_end_matches('.').parse().ok()?;
    (!is_negative && (0.0..=1.0).contains(&number)).then_some(number)
}

fn excerpt(text: &str) -> String {
    const LONGEST: usize = 300;
    let text = text.trim();
    let start: String = text.chars().take(LONGEST).collect();
    if start.len() < text.len() { start + " ..." } else { start }
}

/// The JSON that MM-Vet's evaluator takes, `{"v1_0": "answer", ...}`, of ids and answers.
pub fn export<'a>(answers: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let members: Map<String, Value> =
        answers.into_iter().map(|(id, answer)| (id.to_owned(), Value::String(answer.to_owned()))).collect();
    Value::Object(members).to_string()
}

/// The mean grade of the questions that need a capability.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Total {
    /// A capability, or `total`.
    pub name: &'static str,
    /// Questions.
    pub n: usize,
    /// Mean grade, in percent as in the paper; `None` for n = 0.
    pub percent: Option<f64>,
}

/// MM-Vet's table: one total for each capability, in the order of [`CAPABILITIES`], and `total` over all, of the questions'
/// kinds (capabilities with `+` between them) and grades.
pub fn totals<'a>(graded: impl IntoIterator<Item = (&'a str, f64)>) -> Vec<Total> {
    let graded: Vec<(Vec<&str>, f64)> =
        graded.into_iter().map(|(kind, grade)| (kind.split('+').collect(), grade)).collect();
    let mean = |name: &'static str, needs: &dyn Fn(&[&str]) -> bool| {
        let grades: Vec<f64> = graded.iter().filter(|(kind, _)| needs(kind)).map(|(_, grade)| *grade).collect();
        let n = grades.len();
        Total { name, n, percent: (n > 0).then(|| 100.0 * grades.iter().sum::<f64>() / n as f64) }
    };
    let by_capability = CAPABILITIES.into_iter().map(|name| mean(name, &|kind| kind.contains(&name)));
    by_capability.chain([mean("total", &|_| true)]).collect()
}
