//! What a request took: tokens and times, in the forms of OpenAI and of llama-server.

use crate::pipeline::{Report, Source};
use crate::timing::Phase;
use serde::Serialize;
use utoipa::ToSchema;

/// Tokens of a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct Usage {
    /// Text and visual tokens that the answering model read.
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
    prompt_tokens_details: PromptDetails,
}

#[derive(Debug, Serialize, ToSchema)]
struct PromptDetails {
    /// How many of them were still in its KV cache.
    cached_tokens: usize,
}

impl Usage {
    /// Of an answered request.
    pub fn of(report: &Report) -> Self {
        let Report { prompt_tokens, generated_tokens: completion_tokens, held_tokens: cached_tokens, .. } = *report;
        let total_tokens = prompt_tokens + completion_tokens;
        Self { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details: PromptDetails { cached_tokens } }
    }
}

/// Times as llama-server gives them. The prompt's time is all that passes before the answering model begins to answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct LlamaTimings {
    cache_n: usize,
    prompt_n: usize,
    prompt_ms: f64,
    prompt_per_token_ms: f64,
    prompt_per_second: f64,
    predicted_n: usize,
    predicted_ms: f64,
    predicted_per_token_ms: f64,
    predicted_per_second: f64,
}

impl LlamaTimings {
    /// Of an answered request.
    pub fn of(report: &Report) -> Self {
        let predicted_ms = answer_ms(report);
        let (prompt_ms, prompt_n) = (first_token_ms(report), report.prompt_tokens.saturating_sub(report.held_tokens));
        let per = |whole: f64, part: f64| if part > 0.0 { whole / part } else { 0.0 };
        let predicted_n = report.generated_tokens;
        Self {
            cache_n: report.held_tokens,
            prompt_n,
            prompt_ms,
            prompt_per_token_ms: per(prompt_ms, prompt_n as f64),
            prompt_per_second: per(prompt_n as f64 * 1e3, prompt_ms),
            predicted_n,
            predicted_ms,
            predicted_per_token_ms: per(predicted_ms, predicted_n as f64),
            predicted_per_second: per(predicted_n as f64 * 1e3, predicted_ms),
        }
    }
}

/// What passed before the answer that is final began. A guide's answer is told when it is whole.
pub fn first_token_ms(report: &Report) -> f64 {
    (report.timings_ms.total - answer_ms(report)).max(0.0)
}

fn answer_ms(report: &Report) -> f64 {
    let decode = match report.source {
        Source::Guide => Phase::GuideDecode,
        Source::Target => Phase::TargetDecode,
    };
    report.timings_ms.get(decode).unwrap_or_default()
}
