//! The body of `/v1/chat/completions`, understood, and the request to the models that it becomes.

use super::fields::{Fields, wrong};
use super::guidance::{Explain, GuidanceRequest};
use super::messages::Conversation;
use super::{Detail, LOW_DETAIL_TOKENS, ResponseFormat, json, unsupported};
use crate::guidance::Retain;
use crate::llama::SamplingOptions;
use crate::media::Picture;
use crate::pipeline::{ExitOptions, Request};
use crate::server::error::ApiError;
use serde_json::Value;

/// What a request changes of how tokens are drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sampling {
    /// 0 or more.
    pub temperature: Option<f32>,
    /// 0: all.
    pub top_k: Option<i32>,
    /// Above 0, up to 1.
    pub top_p: Option<f32>,
    /// 0 to 1.
    pub min_p: Option<f32>,
    /// The lower 32 bits of the number that was sent.
    pub seed: Option<u32>,
}

/// A chat completion, checked as far as that goes without models.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// Messages and their pictures.
    pub conversation: Conversation,
    /// Most tokens of the answer; `None`: as the server was told.
    pub max_tokens: Option<usize>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// How many of the most probable tokens are listed beside each token; `None`: no log probabilities at all.
    pub logprobs: Option<usize>,
    /// What form the answer has.
    pub format: ResponseFormat,
    /// Whether the answer is sent as it comes.
    pub stream: bool,
    /// Whether a stream ends with what was used.
    pub include_usage: bool,
    /// Whether a stream tells how far the prompt is.
    pub return_progress: bool,
    /// Pruning, early exit, explanation.
    pub guidance: GuidanceRequest,
}

/// What a server answers with where a request does not say.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Guidance, sampling and length.
    pub request: Request,
    /// Whether there is a guide.
    pub has_guide: bool,
}

/// Most texts that end an answer.
const MAX_STOPS: usize = 16;
/// Most alternatives of a token, as OpenAI has it.
const MAX_TOP_LOGPROBS: i64 = 20;

type Result<T> = std::result::Result<T, ApiError>;

impl ChatRequest {
    /// Reads a body. Fields that nobody knows are ignored; those that are known and cannot be honoured are not.
    ///
    /// # Errors
    /// 400, naming the field.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let value = json(body)?;
        let fields = Fields::of(&value, "")?;
        unsupported::check(&fields)?;
        let stream = fields.switch("stream")?.unwrap_or(false);
        let options = fields.object("stream_options")?;
        let include_usage = options.map(|options| options.switch("include_usage")).transpose()?.flatten();
        Ok(Self {
            conversation: Conversation::parse(&fields)?,
            max_tokens: max_tokens(&fields)?,
            sampling: Sampling::parse(&fields)?,
            stop: stop(&fields)?,
            logprobs: logprobs(&fields)?,
            format: ResponseFormat::parse(&fields)?,
            stream,
            include_usage: include_usage.unwrap_or(false),
            return_progress: fields.switch("return_progress")?.unwrap_or(false),
            guidance: GuidanceRequest::parse(&fields)?,
        })
    }

    /// What the models are asked, with the pictures that the messages name.
    ///
    /// # Errors
    /// 400: the server cannot do it.
    pub fn into_pipeline(self, pictures: Vec<Picture>, defaults: &Defaults) -> Result<Request> {
        if let Some(param) = self.guidance.needs_guide().filter(|_| !defaults.has_guide) {
            let message = format!("{param} is about guidance, and this server has no guide; leave {param} out");
            return Err(ApiError::field(param, message));
        }
        let settings = &defaults.request;
        let exit = match self.guidance.exit_threshold {
            Some(threshold) => {
                let told = settings.exit.unwrap_or_default();
                threshold.map(|threshold| ExitOptions { threshold, ..told })
            }
            None => settings.exit,
        };
        let request = Request {
            retain: self.retain(settings.retain),
            policy: self.guidance.policy.unwrap_or(settings.policy),
            exit,
            always_guide: self.guidance.explain != Explain::No,
            stop: self.stop,
            grammar: self.format.grammar()?,
            n_alternatives: self.logprobs,
            n_predict: self.max_tokens.unwrap_or(settings.n_predict),
            sampling: self.sampling.over(&settings.sampling),
            messages: self.conversation.messages,
            pictures,
            ..settings.clone()
        };
        request.check().map_err(|error| ApiError::field("sgl.policy", error))?;
        Ok(request)
    }

    /// All pictures of a request share one budget, so the one that is to be read most closely sets it.
    fn retain(&self, told: Option<Retain>) -> Option<Retain> {
        if let Some(retain) = self.guidance.retain {
            return retain;
        }
        match self.conversation.pictures.iter().map(|picture| picture.detail).max() {
            Some(Detail::High) => None,
            Some(Detail::Low) => Some(Retain::Count(LOW_DETAIL_TOKENS * self.conversation.pictures.len())),
            Some(Detail::Auto) | None => told,
        }
    }
}

impl Sampling {
    fn parse(fields: &Fields<'_>) -> Result<Self> {
        let unit = |value: f64| (0.0..=1.0).contains(&value);
        let temperature = fields.number("temperature", "a number of 0 or more", |value| value >= 0.0)?;
        let top_p = fields.number("top_p", "a number above 0 and at most 1", |value| unit(value) && value > 0.0)?;
        let min_p = fields.number("min_p", "a number from 0 to 1", unit)?;
        let top_k = fields
            .integer("top_k", "a whole number from 0 to 2147483647", |k| (-1..=i64::from(i32::MAX)).contains(&k))?;
        let seed = fields.integer("seed", "a whole number of 64 bits", |_| true)?;
        Ok(Self {
            temperature: temperature.map(|value| (value as f32).min(f32::MAX)),
            top_k: top_k.map(|k| k.max(0) as i32),
            top_p: top_p.map(|value| (value as f32).max(f32::MIN_POSITIVE)),
            min_p: min_p.map(|value| value as f32),
            seed: seed.map(|seed| seed as u32),
        })
    }

    fn over(&self, told: &SamplingOptions) -> SamplingOptions {
        SamplingOptions {
            temperature: self.temperature.unwrap_or(told.temperature),
            top_k: self.top_k.unwrap_or(told.top_k),
            top_p: self.top_p.unwrap_or(told.top_p),
            min_p: self.min_p.unwrap_or(told.min_p),
            seed: self.seed.unwrap_or(told.seed),
        }
    }
}

/// The newer name comes first; -1 is what some clients send for "as many as you like".
fn max_tokens(fields: &Fields<'_>) -> Result<Option<usize>> {
    for name in ["max_completion_tokens", "max_tokens", "n_predict"] {
        let length = fields.integer(name, "a whole number above 0", |n| n == -1 || n >= 1)?;
        if let Some(length) = length {
            return Ok((length > 0).then_some(length as usize));
        }
    }
    Ok(None)
}

fn stop(fields: &Fields<'_>) -> Result<Vec<String>> {
    let wanted = "a text that is not empty, or a list of up to 16 of them";
    let texts = match fields.get("stop") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MAX_STOPS => list.iter().collect(),
        Some(Value::Array(list)) => {
            return Err(ApiError::field("stop", format!("stop has {} texts; send at most {MAX_STOPS}", list.len())));
        }
        Some(value) => vec![value],
    };
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        other => Err(wrong("stop", other, wanted)),
    };
    texts.into_iter().map(text).collect()
}

fn logprobs(fields: &Fields<'_>) -> Result<Option<usize>> {
    let wanted = format!("a whole number from 0 to {MAX_TOP_LOGPROBS}");
    let top = fields.integer("top_logprobs", &wanted, |top| (0..=MAX_TOP_LOGPROBS).contains(&top))?;
    match (fields.switch("logprobs")?.unwrap_or(false), top) {
        (true, top) => Ok(Some(top.unwrap_or(0) as usize)),
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => {
            Err(ApiError::field("top_logprobs", "top_logprobs needs logprobs; send \"logprobs\": true"))
        }
    }
}

#[cfg(test)]
mod tests;
