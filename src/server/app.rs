//! What all requests share: the models once they are loaded, options, counts, and who is let in.

use super::auth::ApiKeys;
use super::error::ApiError;
use super::metrics::Metrics;
use super::picture::{PictureOptions, Pictures};
use super::request::Defaults;
use crate::engine::{Engine, Job, JobEvent, SubmitError, Ticket};
use crate::pipeline::Request;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How a server behaves.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// What a request that does not say gets.
    pub defaults: Defaults,
    /// The name of the pair; `None`: that of the target's file.
    pub alias: Option<String>,
    /// Requests that run at once.
    pub n_parallel: usize,
    /// Who may ask.
    pub keys: ApiKeys,
    /// Web pages of these origins may ask too; `*`: all.
    pub cors_origins: Vec<String>,
    /// What a request may cost.
    pub limits: RequestLimits,
    /// Where pictures come from.
    pub pictures: PictureOptions,
    /// Silence after which a comment is sent, so that a stream is not taken for dead.
    pub ping_interval: Duration,
}

/// What a request may cost.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Requests that run or wait at once; others get a 429.
    pub max_requests: usize,
    /// Bytes of a body.
    pub max_body_bytes: usize,
    /// Time for a body to come.
    pub body_timeout: Duration,
    /// Tokens of an answer.
    pub max_tokens: usize,
    /// Time for an answer, queue included.
    pub timeout: Duration,
}

/// The shared state. A clone is the same.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
}

struct Shared {
    options: ServerOptions,
    engine: OnceLock<Engine>,
    pictures: Pictures,
    metrics: Metrics,
    admissions: Arc<Semaphore>,
}

/// A place among the requests that are worked on.
pub type Admission = Arc<OwnedSemaphorePermit>;

/// A request that the models have. Dropping it stops it.
pub struct Running {
    events: UnboundedReceiver<JobEvent>,
    app: App,
    has_ended: bool,
    _ticket: Ticket,
}

impl App {
    /// Without models yet.
    pub fn new(options: ServerOptions) -> Self {
        let pictures = Pictures::new(options.pictures.clone());
        let admissions = Arc::new(Semaphore::new(options.limits.max_requests));
        let (engine, metrics) = (OnceLock::new(), Metrics::default());
        Self { shared: Arc::new(Shared { options, engine, pictures, metrics, admissions }) }
    }

    /// The models are loaded; called once.
    pub fn ready(&self, engine: Engine) {
        assert!(self.shared.engine.set(engine).is_ok(), "the models are loaded once");
    }

    /// How the server behaves.
    pub fn options(&self) -> &ServerOptions {
        &self.shared.options
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Reads pictures.
    pub fn pictures(&self) -> &Pictures {
        &self.shared.pictures
    }

    /// The models, if they are loaded.
    pub fn loaded(&self) -> Option<&Engine> {
        self.shared.engine.get()
    }

    /// The models.
    ///
    /// # Errors
    /// 503 while they are loaded.
    pub fn engine(&self) -> Result<&Engine, ApiError> {
        self.loaded().ok_or_else(ApiError::loading)
    }

    /// The name of the pair.
    pub fn model_name(&self) -> String {
        let of_file = || {
            let name = self.loaded().map(|engine| engine.facts().target.file_name.clone()).unwrap_or_default();
            name.strip_suffix(".gguf").unwrap_or(&name).to_owned()
        };
        self.options().alias.clone().unwrap_or_else(of_file)
    }

    /// Lets a request in before its body is read, so that bodies are bounded together too.
    ///
    /// # Errors
    /// 429.
    pub fn admit(&self) -> Result<Admission, ApiError> {
        let admissions = self.shared.admissions.clone();
        admissions.try_acquire_owned().map(Arc::new).map_err(|_| busy(self.options().limits.max_requests))
    }

    /// The body of a request that is JSON.
    ///
    /// # Errors
    /// 415, 413, 408, or 400 for one that ends early.
    pub async fn body(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
        check_type(headers.get(header::CONTENT_TYPE))?;
        let RequestLimits { max_body_bytes, body_timeout, .. } = self.options().limits;
        let collect = Limited::new(body, max_body_bytes).collect();
        match tokio::time::timeout(body_timeout, collect).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(max_body_bytes)),
            Ok(Err(error)) => {
                Err(ApiError::new(StatusCode::BAD_REQUEST, format!("the body did not come whole: {error}")))
            }
            Err(_) => {
                let seconds = body_timeout.as_secs_f64();
                Err(ApiError::new(
                    StatusCode::REQUEST_TIMEOUT,
                    format!("the body did not come within {seconds} s; send it faster"),
                ))
            }
        }
    }

    /// Gives a request to the models.
    ///
    /// # Errors
    /// 429 and 503.
    pub fn submit(&self, request: Request, admission: Admission) -> Result<Running, ApiError> {
        let (sender, events) = unbounded_channel();
        // The place is free again when the job has ended, whoever still reads its answer.
        let on_event = move |event| {
            let _held = &admission;
            // Nobody listens where the client has gone.
            sender.send(event).ok();
        };
        let ticket =
            self.engine()?.submit(Job { request, on_event: Box::new(on_event) }).map_err(|error| match error {
                SubmitError::Full { queued } => busy(queued),
                SubmitError::Closed => ApiError::unavailable("the server is shutting down", 5),
            })?;
        Ok(Running { events, app: self.clone(), has_ended: false, _ticket: ticket })
    }
}

impl Running {
    /// What happens next; `None` after the end.
    pub async fn next(&mut self) -> Option<JobEvent> {
        let event = self.events.recv().await;
        let is_cancelled = matches!(&event, Some(JobEvent::Failed(error)) if error.is_cancelled());
        self.has_ended |= !is_cancelled && matches!(event, Some(JobEvent::Done(_) | JobEvent::Failed(_)) | None);
        event
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended {
            self.app.metrics().cancelled();
        }
    }
}

fn busy(n: usize) -> ApiError {
    let message = format!("the server is busy with {n} requests; try again later");
    ApiError { retry_after: Some(1), ..ApiError::new(StatusCode::TOO_MANY_REQUESTS, message) }
}

/// 413, for bodies.
pub fn too_large(max_bytes: usize) -> ApiError {
    let message = format!("the body is larger than {max_bytes} bytes; send smaller pictures");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

/// What web pages can send without asking first is none of this.
fn check_type(value: Option<&HeaderValue>) -> Result<(), ApiError> {
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let message = "the body must be JSON; send it with Content-Type: application/json";
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
}
