//! Starting workers, and what becomes of them.

use super::{Counts, SupervisorError, SupervisorOptions};
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;
use tokio::time::sleep;

/// Pause before the second of two starts; it doubles with each that fails.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The worker that lives now.
pub(super) struct Watch {
    options: SupervisorOptions,
    socket: PathBuf,
    counts: Arc<Counts>,
    child: Child,
    /// Apart, because waiting for the child would close it.
    stdin: Option<ChildStdin>,
    /// Whether it has said that its models are loaded.
    is_ready: Arc<AtomicBool>,
    is_first: bool,
    /// Deaths of workers that never were ready, one after the other.
    deaths: u32,
}

impl Watch {
    /// Starts the first worker.
    pub fn start(options: SupervisorOptions, socket: PathBuf, counts: Arc<Counts>) -> io::Result<Self> {
        let Spawned { child, stdin, is_ready } = spawn(&options, &socket)?;
        Ok(Self { options, socket, counts, child, stdin, is_ready, is_first: true, deaths: 0 })
    }

    /// Replaces workers that die until it is `told` to let go.
    pub async fn run(
        &mut self,
        mut told: oneshot::Receiver<()>,
        on_death: impl Fn(ExitStatus),
    ) -> Result<(), SupervisorError> {
        loop {
            let status = tokio::select! {
                biased;
                _ = &mut told => return self.let_go().await,
                status = self.child.wait() => status?,
            };
            let was_ready = self.is_ready.load(Ordering::Relaxed);
            // The first that ends by itself has said why, and another would say the same.
            if status.code().is_some_and(|code| code != 0) && self.is_first && !was_ready {
                return Err(SupervisorError::Refused(status));
            }
            // A request that ends workers, sent again and again, is no reason to turn others away for good.
            self.deaths = if was_ready { 0 } else { self.deaths + 1 };
            if self.deaths >= self.options.max_deaths {
                return Err(SupervisorError::GaveUp { deaths: self.deaths, status });
            }
            on_death(status);
            let pause = PAUSE.saturating_mul(1 << self.deaths.min(10)).min(LONGEST_PAUSE);
            tokio::select! {
                _ = &mut told => return Ok(()),
                () = sleep(pause) => {}
            }
            let Spawned { child, stdin, is_ready } = spawn(&self.options, &self.socket)?;
            (self.child, self.stdin, self.is_ready, self.is_first) = (child, stdin, is_ready, false);
            self.counts.restarts.inc();
        }
    }

    /// Closes the worker's standard input, which tells it to end, and waits; what does not end is killed.
    async fn let_go(&mut self) -> Result<(), SupervisorError> {
        self.stdin = None;
        let deadline = self.options.deadline + super::edge::LAST_WORDS * 2;
        if tokio::time::timeout(deadline, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

struct Spawned {
    child: Child,
    stdin: Option<ChildStdin>,
    is_ready: Arc<AtomicBool>,
}

fn spawn(options: &SupervisorOptions, socket: &PathBuf) -> io::Result<Spawned> {
    let mut command = std::process::Command::new(options.command.get_program());
    command.args(options.command.get_args()).arg(socket);
    let mut command = Command::from(command);
    // Ctrl-C reaches the parent alone, which tells the worker in its own way.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let is_ready = Arc::<AtomicBool>::default();
    let flag = is_ready.clone();
    tokio::spawn(async move {
        let Some(mut stdout) = stdout else { return };
        let n = stdout.read(&mut [0]).await.unwrap_or_default();
        flag.store(n > 0, Ordering::Relaxed);
        // Held open, so that writing to it is no failure.
        tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await.ok();
    });
    Ok(Spawned { child, stdin, is_ready })
}
