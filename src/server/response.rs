//! What a chat completion looks like on the wire.

use super::explained::Explained;
use super::usage::{LlamaTimings, Usage};
use crate::guidance::ExitDecision;
use crate::pipeline::{GuideReport, ModelNames, Report, Source, VisualReport};
use crate::timing::{Phase, Timings};
use crate::vlm::{DraftReport, Finish, TokenProbability};
use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};
use utoipa::ToSchema;

/// What is the same in an answer and in every piece of one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Head {
    /// `chatcmpl-` and a number of its own.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// The name that this server gives its pair.
    pub model: String,
    /// What would give the same answer to the same seed.
    pub system_fingerprint: String,
}

impl Head {
    /// Of a new answer.
    pub fn new(model: &str) -> Self {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let id = format!("chatcmpl-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let system_fingerprint = concat!("sgl-", env!("CARGO_PKG_VERSION")).to_owned();
        Self { id, created, model: model.to_owned(), system_fingerprint }
    }
}

/// A whole answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatCompletion {
    #[serde(flatten)]
    head: Head,
    /// `chat.completion`
    object: &'static str,
    /// One.
    choices: [Choice; 1],
    usage: Usage,
    timings: LlamaTimings,
    sgl: SglReport,
}

#[derive(Debug, Serialize, ToSchema)]
struct Choice {
    index: usize,
    message: AnswerMessage,
    finish_reason: Finish,
    logprobs: Option<Logprobs>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AnswerMessage {
    role: &'static str,
    content: String,
    refusal: Option<String>,
}

impl ChatCompletion {
    /// `logprobs` are those of the answer's tokens, if they were asked for.
    pub fn new(
        head: Head,
        report: &Report,
        logprobs: Option<Vec<TokenProbability>>,
        explain: Option<Explained>,
    ) -> Self {
        let message = AnswerMessage { role: "assistant", content: report.answer.clone(), refusal: None };
        let logprobs = logprobs.map(Logprobs::new);
        let choice = Choice { index: 0, message, finish_reason: report.finish, logprobs };
        let (usage, timings, sgl) = (Usage::of(report), LlamaTimings::of(report), SglReport::new(report, explain));
        Self { head, object: "chat.completion", choices: [choice], usage, timings, sgl }
    }
}

/// A piece of an answer, as the data of a server-sent event.
#[derive(Debug, Serialize, ToSchema)]
pub struct Chunk {
    #[serde(flatten)]
    head: Head,
    /// `chat.completion.chunk`
    object: &'static str,
    /// One; none where only the usage is told.
    choices: Vec<ChunkChoice>,
    /// Only where `stream_options.include_usage` is true: null in all pieces but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
    /// Only where `return_progress` is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_progress: Option<PromptProgress>,
    /// In the piece that has a `finish_reason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    timings: Option<LlamaTimings>,
    /// In the piece that has a `finish_reason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    sgl: Option<SglReport>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ChunkChoice {
    index: usize,
    delta: Delta,
    finish_reason: Option<Finish>,
    logprobs: Option<Logprobs>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

/// How far the models are in the prompt.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct PromptProgress {
    /// All there is to do in this phase: pictures and tiles while encoding, tokens while reading.
    pub total: usize,
    /// How much of it was still in a cache; known once the phase has begun.
    pub cache: usize,
    /// How much of it is done.
    pub processed: usize,
    /// Since the request came.
    pub time_ms: f64,
    /// What is being done.
    pub phase: Phase,
}

/// Makes the pieces of one answer.
#[derive(Debug, Clone)]
pub struct Chunks {
    /// Of every piece.
    pub head: Head,
    /// Whether what was used is told in the end.
    pub include_usage: bool,
}

impl Chunks {
    /// Who speaks.
    pub fn role(&self) -> Chunk {
        self.of(Delta { role: Some("assistant"), content: Some(String::new()) }, None)
    }

    /// The next text.
    pub fn text(&self, text: String, logprobs: Option<Vec<TokenProbability>>) -> Chunk {
        let mut chunk = self.of(Delta { content: Some(text), role: None }, None);
        chunk.choices[0].logprobs = logprobs.map(Logprobs::new);
        chunk
    }

    /// How far the prompt is.
    pub fn progress(&self, progress: PromptProgress) -> Chunk {
        Chunk { prompt_progress: Some(progress), ..self.of(Delta::default(), None) }
    }

    /// The end, and all that is known of the answer.
    pub fn end(&self, report: &Report, explain: Option<Explained>) -> Chunk {
        let (timings, sgl) = (Some(LlamaTimings::of(report)), Some(SglReport::new(report, explain)));
        Chunk { timings, sgl, ..self.of(Delta::default(), Some(report.finish)) }
    }

    /// What was used, if that was asked for.
    pub fn usage(&self, report: &Report) -> Option<Chunk> {
        let chunk =
            Chunk { choices: Vec::new(), usage: Some(Some(Usage::of(report))), ..self.of(Delta::default(), None) };
        self.include_usage.then_some(chunk)
    }

    fn of(&self, delta: Delta, finish_reason: Option<Finish>) -> Chunk {
        Chunk {
            head: self.head.clone(),
            object: "chat.completion.chunk",
            choices: vec![ChunkChoice { index: 0, delta, finish_reason, logprobs: None }],
            usage: self.include_usage.then_some(None),
            prompt_progress: None,
            timings: None,
            sgl: None,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Logprobs {
    content: Vec<LogprobOf>,
    refusal: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct LogprobOf {
    #[serde(flatten)]
    token: TokenText,
    top_logprobs: Vec<TokenText>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TokenText {
    /// Its text; what is no UTF-8 by itself is replaced.
    token: String,
    /// Natural logarithm of its probability.
    logprob: f64,
    /// Its text as it is.
    bytes: Vec<u8>,
}

impl Logprobs {
    fn new(tokens: Vec<TokenProbability>) -> Self {
        let text = |bytes: Vec<u8>, logprob: f64| TokenText {
            token: String::from_utf8_lossy(&bytes).into_owned(),
            // JSON has no infinity; OpenAI writes this number.
            logprob: logprob.max(-9999.0),
            bytes,
        };
        let of = |token: TokenProbability| LogprobOf {
            top_logprobs: token
                .alternatives
                .into_iter()
                .map(|other| text(other.bytes, other.log_probability))
                .collect(),
            token: text(token.bytes, token.log_probability),
        };
        Self { content: tokens.into_iter().map(of).collect(), refusal: None }
    }
}

/// What other servers cannot tell: who answered, from what, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct SglReport {
    source: Source,
    exit: Option<ExitDecision>,
    visual: VisualReport,
    guide: Option<GuideReport>,
    timings_ms: Timings,
    /// What the target alone would have taken, estimated from below; null where it did not run.
    unpruned_estimate_ms: Option<f64>,
    draft: Option<DraftReport>,
    finish: Finish,
    prompt_tokens: usize,
    held_tokens: usize,
    generated_tokens: usize,
    models: ModelNames,
    /// Where `sgl.explain` asks for it.
    explain: Option<Explained>,
}

impl SglReport {
    fn new(report: &Report, explain: Option<Explained>) -> Self {
        let unpruned_estimate_ms = report.unpruned_ms();
        let Report { source, finish, exit, visual, guide, timings_ms, prompt_tokens, held_tokens, .. } = report.clone();
        let Report { draft, generated_tokens, models, .. } = report.clone();
        Self {
            source,
            exit,
            visual,
            guide,
            timings_ms,
            unpruned_estimate_ms,
            draft,
            finish,
            prompt_tokens,
            held_tokens,
            generated_tokens,
            models,
            explain,
        }
    }
}
