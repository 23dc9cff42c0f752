//! Failures in OpenAI's form: `{"error": {"code", "message", "type", "param"}}`.

use crate::guidance::GuidanceError;
use crate::llama::LlamaError;
use crate::pipeline::PipelineError;
use crate::vlm::VlmError;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;

/// Why a request gets no answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// The HTTP status, which is the error's code too.
    pub status: StatusCode,
    /// The fact, then the fix.
    pub message: String,
    /// The field of the request that is wrong: `messages[0].content`.
    pub param: Option<String>,
    /// Seconds after which another attempt is worth while.
    pub retry_after: Option<u32>,
}

/// The body of every failure.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    error: ErrorObject,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorObject {
    /// The HTTP status.
    code: u16,
    /// The fact, then the fix.
    message: String,
    /// The class of the failure: `invalid_request_error`, `authentication_error`, ...
    r#type: &'static str,
    /// The field of the request that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<String>,
}

impl ApiError {
    /// A failure without a field.
    pub fn new(status: StatusCode, message: impl fmt::Display) -> Self {
        Self { status, message: shortened(message.to_string()), param: None, retry_after: None }
    }

    /// 400: a field of the request is wrong.
    pub fn field(param: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { param: Some(param.into()), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    /// 503: not now.
    pub fn unavailable(message: impl fmt::Display, retry_after: u32) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    /// 503 as llama-server says it.
    pub fn loading() -> Self {
        Self::unavailable("Loading model", 1)
    }

    /// 500, whose reason is in the log and not in the answer.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed on this request; its log says why")
    }

    /// OpenAI's and llama-server's word for the class of the failure.
    pub fn kind(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            501 => "not_supported_error",
            503 => "unavailable_error",
            504 => "timeout_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        }
    }

    /// As it is sent.
    pub fn body(&self) -> ErrorBody {
        let (message, param) = (self.message.clone(), self.param.clone());
        ErrorBody { error: ErrorObject { code: self.status.as_u16(), message, r#type: self.kind(), param } }
    }
}

/// A message without its middle where it is long: messages quote requests, and those hold megabytes. The fact and the fix stay.
fn shortened(message: String) -> String {
    const LONGEST: usize = 800;
    let n = message.chars().count();
    if n <= LONGEST {
        return message;
    }
    let start = message.chars().take(LONGEST / 2);
    let end = message.chars().skip(n - LONGEST / 2);
    start.chain("...".chars()).chain(end).collect()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What the models make of a request that was understood.
impl From<&PipelineError> for ApiError {
    fn from(error: &PipelineError) -> Self {
        match error {
            PipelineError::Guidance(
                problem @ (GuidanceError::UnknownLayer { .. } | GuidanceError::NoExpectation { .. }),
            ) => Self::field("sgl.policy", problem),
            PipelineError::Vlm { source, .. } => match source {
                VlmError::ContextTooSmall { .. } | VlmError::PromptTooLong { .. } | VlmError::TooFarApart { .. } => {
                    Self::field("messages", error)
                }
                VlmError::Llama(
                    LlamaError::ContextFull { .. } | LlamaError::BatchTooSmall { .. } | LlamaError::Tokenize { .. },
                ) => Self::field("messages", error),
                VlmError::Llama(LlamaError::Grammar { .. }) => Self::field("response_format", error),
                VlmError::Llama(LlamaError::Cancelled) => Self::unavailable("the request was cancelled", 1),
                VlmError::Chat(_) => Self::field("messages", error),
                _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
            },
            // What a panic said is for the log.
            PipelineError::Bug { .. } | PipelineError::Threads(_) => Self::internal(),
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(error: &ApiError) -> String {
        serde_json::to_string(&error.body()).unwrap()
    }

    #[test]
    fn pictures_that_a_model_cannot_take_are_the_clients_fault() {
        let source = VlmError::Llama(LlamaError::Tokenize { reason: "no height".to_owned() });
        let error = ApiError::from(&PipelineError::Vlm { role: crate::vlm::Role::Guide, source });
        assert_eq!((error.status.as_u16(), error.param.as_deref()), (400, Some("messages")), "{error:?}");
    }

    #[test]
    fn failures_look_as_llama_server_writes_them() {
        assert_eq!(
            json(&ApiError::loading()),
            r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#
        );
        assert_eq!(
            json(&ApiError::field("top_p", "top_p is 2; use a number above 0 and at most 1")),
            r#"{"error":{"code":400,"message":"top_p is 2; use a number above 0 and at most 1","type":"invalid_request_error","param":"top_p"}}"#
        );
    }

    #[test]
    fn what_a_request_says_is_quoted_in_part() {
        let long = "\u{1f512}".repeat(1 << 20);
        let error = ApiError::field("role", format!("role is {long:?}; it must be target or guide"));
        assert!(error.message.starts_with("role is \"\u{1f512}"), "{}", error.message);
        assert!(error.message.ends_with("it must be target or guide"), "{}", error.message);
        assert_eq!(error.message.chars().count(), 803);
    }

    #[test]
    fn every_status_has_its_class() {
        for (status, kind) in [
            (401, "authentication_error"),
            (404, "not_found_error"),
            (405, "invalid_request_error"),
            (413, "invalid_request_error"),
            (429, "rate_limit_error"),
            (500, "server_error"),
            (501, "not_supported_error"),
            (504, "timeout_error"),
        ] {
            assert_eq!(ApiError::new(StatusCode::from_u16(status).unwrap(), "x").kind(), kind, "{status}");
        }
    }

    #[test]
    fn who_should_come_back_is_told_when() {
        let response = ApiError::loading().into_response();
        assert_eq!(response.headers()["retry-after"], "1");
        let response = ApiError::new(StatusCode::UNAUTHORIZED, "no key").into_response();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
}
