//! `/v1/chat/completions`.

use super::stream;
use crate::engine::JobEvent;
use crate::pipeline::{Outcome, PipelineError, Request};
use crate::server::app::{Admission, App, Running};
use crate::server::error::{ApiError, ErrorBody};
use crate::server::explained::{Explained, Explainer};
use crate::server::request::ChatRequest;
use crate::server::response::{ChatCompletion, Chunks, Head};
use crate::server::schema;
use crate::vlm::{Said, TokenProbability};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::time::Instant;

/// What is known of a request beside what the models are asked.
pub struct Asked {
    /// When it came.
    pub start: Instant,
    pub chunks: Chunks,
    pub stream: bool,
    pub return_progress: bool,
    pub logprobs: bool,
    pub explainer: Option<Explainer>,
}

#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "openai", request_body = schema::ChatCompletionRequest,
    responses(
        (status = 200, description = "the answer, or with `stream` its pieces as server-sent events", content(
            (ChatCompletion = "application/json"), (schema::ServerSentEvent = "text/event-stream"),
        )),
        (status = 400, description = "a field is wrong or not supported", body = ErrorBody),
        (status = 429, description = "too many requests at once", body = ErrorBody),
        (status = 500, description = "the models failed", body = ErrorBody),
        (status = 504, description = "the answer or a picture did not come in time", body = ErrorBody),
    ),
    security((), ("key" = [])),
)]
pub async fn completions(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let start = Instant::now();
    app.engine()?;
    let admission = app.admit()?;
    let pending = Pending(Some(app.clone()));
    let body = match app.body(&headers, body).await {
        Ok(body) => body,
        Err(error) => {
            // A body that breaks off is a client that leaves.
            if error.status != StatusCode::BAD_REQUEST {
                pending.end();
            }
            return Err(error);
        }
    };
    let (asked, request, admission) = {
        let (deadline, late) = (start + app.options().limits.timeout, too_late(&app));
        let app = app.clone();
        // The place goes along: this work goes on when its client has left.
        let understood = blocking(move || understand(&app, &body, start, admission));
        let understood = tokio::time::timeout_at(deadline.into(), understood).await;
        pending.end();
        understood.map_err(|_| late)???
    };
    let running = app.submit(request, admission)?;
    if asked.stream { stream::respond(app, asked, running).await } else { whole(app, asked, running).await }
}

/// A request that the models do not have yet: counted as stopped where its client leaves.
struct Pending(Option<App>);

impl Pending {
    fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(app) = &self.0 {
            app.metrics().cancelled();
        }
    }
}

/// From the body to what the models are asked: pictures are fetched and decoded here.
fn understand(
    app: &App,
    body: &Bytes,
    start: Instant,
    admission: Admission,
) -> Result<(Asked, Request, Admission), ApiError> {
    let parsed = ChatRequest::parse(body)?;
    let limit = app.options().limits.max_tokens;
    if let Some(max_tokens) = parsed.max_tokens.filter(|max_tokens| *max_tokens > limit) {
        let message = format!("max_tokens is {max_tokens}, over the limit of {limit}; ask for fewer");
        return Err(ApiError::field("max_tokens", message));
    }
    let pictures = app.pictures().read(&parsed.conversation.pictures, start + app.options().limits.timeout)?;
    let chunks = Chunks { head: Head::new(&app.model_name()), include_usage: parsed.include_usage };
    let ChatRequest { stream, return_progress, .. } = parsed;
    let (explain, logprobs) = (parsed.guidance.explain, parsed.logprobs.is_some());
    let request = parsed.into_pipeline(pictures, &app.options().defaults)?;
    let explainer = Explainer::new(explain, request.policy, &request.messages, &request.pictures, &admission);
    Ok((Asked { start, chunks, stream, return_progress, logprobs, explainer }, request, admission))
}

async fn whole(app: App, asked: Asked, mut running: Running) -> Result<Response, ApiError> {
    let timeout = app.options().limits.timeout;
    let wait = tokio::time::timeout(timeout.saturating_sub(asked.start.elapsed()), outcome(&mut running));
    let (outcome, logprobs) = wait.await.map_err(|_| too_late(&app))?.map_err(|error| told(&error))?;
    app.metrics().answer(&outcome.report);
    let logprobs = asked.logprobs.then_some(logprobs);
    let (outcome, explained) = explain(asked.explainer, outcome).await?;
    Ok(Json(ChatCompletion::new(asked.chunks.head, &outcome.report, logprobs, explained)).into_response())
}

async fn outcome(running: &mut Running) -> Result<(Outcome, Vec<TokenProbability>), PipelineError> {
    let mut logprobs = Vec::new();
    loop {
        match running.next().await {
            Some(JobEvent::Said(Said { tokens, .. })) => logprobs.extend(tokens),
            Some(JobEvent::Done(outcome)) => return Ok((*outcome, logprobs)),
            Some(JobEvent::Failed(error)) => return Err(error),
            Some(_) => {}
            None => return Err(PipelineError::Bug { message: "the models said nothing".to_owned() }),
        }
    }
}

/// Draws what was asked for, off the threads that serve.
pub async fn explain(explainer: Option<Explainer>, outcome: Outcome) -> Result<(Outcome, Option<Explained>), ApiError> {
    let Some(explainer) = explainer else { return Ok((outcome, None)) };
    let draw = move || {
        let explained = explainer.explain(&outcome);
        (outcome, explained)
    };
    let (outcome, explained) = blocking(draw).await?;
    let explained = explained.map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    Ok((outcome, Some(explained)))
}

/// What a client hears of a failure, and the log of one that is nobody's fault but ours.
pub fn told(error: &PipelineError) -> ApiError {
    let told = ApiError::from(error);
    if told.status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!("a request failed: {error}");
    }
    told
}

/// 504.
pub fn too_late(app: &App) -> ApiError {
    let seconds = app.options().limits.timeout.as_secs_f64();
    ApiError::new(StatusCode::GATEWAY_TIMEOUT, format!("the answer was not ready within {seconds} s; ask for less"))
}

/// Work off the threads that serve.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    // The hook for panics has told where.
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::internal())
}
