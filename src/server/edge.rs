//! Where connections come in: by which names, how many, how fast their headers and answers must move, how long an ended server waits.

mod hosts;
mod lingering;
mod listener;

pub use hosts::Hosts;
pub use listener::Listener;

use self::lingering::Lingering;
use self::listener::Stream;
use super::app::too_large;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;

/// Time beside a deadline for the last answers to be written.
pub const LAST_WORDS: Duration = Duration::from_secs(2);

/// What connections may cost.
#[derive(Debug, Clone)]
pub struct EdgeOptions {
    /// Names that the server answers to.
    pub hosts: Hosts,
    /// Connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// Time for the headers of a request, and for the next request of a connection that is kept.
    pub header_timeout: Duration,
    /// Time in which a client takes something of an answer that is there.
    pub write_timeout: Duration,
    /// Bytes that a body may say it has.
    pub max_body_bytes: usize,
}

/// Serves until `shutdown` is ready. Then accepts nothing more, calls `closing` and waits for it, and for answers that are on
/// their way, until `deadline` has passed.
pub async fn serve<C: Future<Output = ()>>(
    listener: Listener,
    router: Router,
    options: EdgeOptions,
    shutdown: impl Future<Output = ()>,
    closing: impl FnOnce() -> C,
    deadline: Duration,
) {
    let hosts = options.hosts.clone().at(&listener);
    let router = router
        .layer(middleware::from_fn_with_state(options.max_body_bytes, bounded))
        .layer(middleware::from_fn_with_state(hosts, meant));
    let connections = Arc::new(Semaphore::new(options.max_connections));
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            let place = connections.clone().acquire_owned().await.expect("it is never closed");
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            next = next => next,
        };
        match stream {
            Ok(stream) => {
                let connection = graceful.watch(connection(stream, router.clone(), &options));
                tokio::spawn(async move {
                    // Clients that break off are no news.
                    connection.await.ok();
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file handles: some come back.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let ended = async {
        tokio::join!(closing(), graceful.shutdown());
    };
    if tokio::time::timeout(deadline, ended).await.is_err() {
        tracing::warn!("the server ends with connections open");
    }
}

type Connection = http1::Connection<TokioIo<std::pin::Pin<Box<TimeoutStream<Stream>>>>, TowerToHyperService<Router>>;

fn connection(stream: Stream, router: Router, options: &EdgeOptions) -> Connection {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(options.write_timeout));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(options.header_timeout);
    http.serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router))
}

/// Refuses what is meant for another server.
async fn meant(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    match hosts.check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Refuses a body that is too large by its own account before any of it comes.
async fn bounded(State(max_bytes): State<usize>, request: Request, next: Next) -> Response {
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let request = request.map(|body| Body::new(Lingering::new(body)));
    if length.is_some_and(|length| length > max_bytes as u64) {
        let mut response = too_large(max_bytes).into_response();
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    next.run(request).await
}
