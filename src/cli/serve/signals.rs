//! What ends a server.

use crate::cli::error::Exit;
use sgl::llama::end_process;
use std::io::Read;
use std::thread;
use tokio::sync::oneshot;

/// Ready at the first SIGTERM or Ctrl-C. The second ends the program at once.
pub async fn told_to_end() {
    signal().await;
    tokio::spawn(async {
        signal().await;
        end_process(Exit::Interrupted as u8);
    });
}

/// Ready when standard input ends: its other end is held by the process that started this one.
pub async fn let_go() {
    let (sender, ended) = oneshot::channel::<()>();
    thread::spawn(move || {
        let mut byte = [0];
        while std::io::stdin().read(&mut byte).is_ok_and(|n| n > 0) {}
        drop(sender);
    });
    ended.await.ok();
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut signals = [SignalKind::terminate(), SignalKind::interrupt()].map(|kind| signal(kind).ok());
    let [terminate, interrupt] = &mut signals;
    let of = async |signal: &mut Option<tokio::signal::unix::Signal>| match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    };
    tokio::select! {
        () = of(terminate) => {}
        () = of(interrupt) => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
