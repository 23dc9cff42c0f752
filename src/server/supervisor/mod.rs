//! A process that listens, and another that has the models and may die.
//!
//! llama.cpp ends the process on what it does not expect. The parent owns the connections of clients and hands requests on over
//! a socket in a folder of its own; when the worker dies, those that it had get a 503, or an event with an error where their
//! answer had begun, and a new worker is started. The parent loads no model and parses no picture.
//!
//! The worker ends when its standard input does: when the parent lets go of it, or is no more.

mod proxy;
mod worker;

use self::proxy::Proxy;
use self::worker::Watch;
use super::edge::{self, EdgeOptions, Listener};
use super::metrics::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use std::future::Future;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// How workers are started and given up.
pub struct SupervisorOptions {
    /// Starts a worker that listens at the socket that it is told as its last argument, and writes something to standard output
    /// when its models are loaded.
    pub command: std::process::Command,
    /// Deaths of workers that never were ready, one after the other, after which no other worker is started.
    pub max_deaths: u32,
    /// Time for running answers when the server is told to end.
    pub deadline: Duration,
}

/// Why a supervisor ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// A worker ended by itself, having told why.
    #[error("the worker ended with {0}")]
    Refused(ExitStatus),
    /// Workers die before they are ready.
    #[error("{deaths} workers died before they were ready, the last with {status}; -v shows their logs")]
    GaveUp {
        /// How many.
        deaths: u32,
        /// Of the last.
        status: ExitStatus,
    },
    /// No worker can be started, or no folder for its socket made.
    #[error("no worker can be started: {0}")]
    Start(#[from] io::Error),
}

/// What happened to workers.
#[derive(Default)]
pub(super) struct Counts {
    restarts: Counter,
    lost: Counter,
}

impl Counts {
    /// As text that can follow that of a worker.
    fn text(&self) -> String {
        let mut registry = Registry::with_prefix("sgl");
        registry.register("worker_restarts", "Workers started in the place of dead ones", self.restarts.clone());
        registry.register("lost_requests", "Requests that a worker took with it", self.lost.clone());
        encode(&registry)
    }
}

/// Serves `listener` through workers until `shutdown`. `on_death` hears of each worker that died and is replaced.
///
/// # Errors
/// [`SupervisorError`]; clients get what the last worker answers until then.
pub async fn supervise(
    listener: Listener,
    options: SupervisorOptions,
    edge: EdgeOptions,
    shutdown: impl Future<Output = ()>,
    on_death: impl Fn(ExitStatus),
) -> Result<(), SupervisorError> {
    let folder = TempDir::with_prefix("sgl-")?;
    let socket = folder.path().join("worker");
    let counts = Arc::new(Counts::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let ending = async {
        tokio::select! {
            () = shutdown => {}
            _ = stopped => {}
        }
    };
    let deadline = options.deadline;
    let mut watch = Watch::start(options, socket.clone(), counts.clone())?;
    let router = Proxy::new(socket, counts).router();
    let (let_go, told) = oneshot::channel::<()>();
    let closing = move || async move {
        let_go.send(()).ok();
    };
    let serving = edge::serve(listener, router, edge, ending, closing, deadline + edge::LAST_WORDS);
    tokio::pin!(serving);
    let watching = watch.run(told, on_death);
    tokio::pin!(watching);
    let failed = tokio::select! {
        () = &mut serving => None,
        result = &mut watching => Some(result),
    };
    match failed {
        // All is answered: the worker has nothing to do any more.
        None => watching.await,
        Some(result) => {
            drop(stop);
            serving.await;
            result
        }
    }
}
