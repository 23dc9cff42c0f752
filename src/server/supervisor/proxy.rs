//! Requests handed on to the worker, and answers back.

use super::Counts;
use crate::server::error::ApiError;
use crate::server::page;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// The way to the worker.
#[derive(Clone)]
pub(super) struct Proxy {
    socket: PathBuf,
    counts: Arc<Counts>,
}

/// Headers that are about one connection and not about what goes through it.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

impl Proxy {
    pub fn new(socket: PathBuf, counts: Arc<Counts>) -> Self {
        Self { socket, counts }
    }

    /// Everything goes to the worker, but for the page, which is there before it and after it.
    pub fn router(self) -> Router {
        page::routes().fallback(forward).method_not_allowed_fallback(forward).with_state(self)
    }
}

async fn forward(State(proxy): State<Proxy>, request: Request) -> Result<Response, ApiError> {
    let is_metrics = request.uri().path() == "/metrics";
    // A worker that does not listen yet is one that is being started.
    let stream = UnixStream::connect(&proxy.socket).await.map_err(|_| ApiError::loading())?;
    let lost = |error: hyper::Error| {
        // A body that its client broke off.
        if error.is_user() {
            return ApiError::new(StatusCode::BAD_REQUEST, "the body did not come whole");
        }
        proxy.counts.lost.inc();
        died()
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    let connection = Connection(tokio::spawn(async move { drop(connection.await) }));
    let (mut parts, body) = request.into_parts();
    strip(&mut parts.headers);
    // Whatever the client speaks: only here does a body that breaks off differ from one that ends.
    parts.version = Version::HTTP_11;
    let response = sender.send_request(Request::from_parts(parts, body)).await.map_err(lost)?;
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers);
    if is_metrics && parts.status == StatusCode::OK {
        let text = body.collect().await.map_err(lost)?.to_bytes();
        parts.headers.remove(header::CONTENT_LENGTH);
        return Ok((parts, joined(&String::from_utf8_lossy(&text), &proxy.counts.text())).into_response());
    }
    let is_stream = parts.headers.get(header::CONTENT_TYPE).is_some_and(is_event_stream);
    let body = Answer { body: Some(body), is_stream, counts: proxy.counts, _connection: connection };
    Ok(Response::from_parts(parts, Body::new(body)))
}

/// The worker's metrics and ours, with one end.
fn joined(worker: &str, own: &str) -> String {
    let worker = worker.strip_suffix("# EOF\n").unwrap_or(worker);
    format!("{worker}{own}")
}

fn is_event_stream(value: &HeaderValue) -> bool {
    value.as_bytes().starts_with(b"text/event-stream")
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn died() -> ApiError {
    ApiError::unavailable("the process that had this request died and is started again; send it once more", 1)
}

/// A connection to the worker, closed when nobody needs it: that stops the request.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The worker's answer. Where it breaks off, a stream ends with an event that says so; anything else breaks off too.
struct Answer {
    body: Option<Incoming>,
    is_stream: bool,
    counts: Arc<Counts>,
    _connection: Connection,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match ready!(Pin::new(body).poll_frame(context)) {
            Some(Err(error)) => {
                self.body = None;
                self.counts.lost.inc();
                if !self.is_stream {
                    return Poll::Ready(Some(Err(error)));
                }
                let data = serde_json::to_string(&died().body()).unwrap_or_default();
                Poll::Ready(Some(Ok(Frame::data(Bytes::from(format!("data: {data}\n\n"))))))
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) if !self.is_stream => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}
