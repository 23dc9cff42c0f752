//! The process that listens while another has the models.

use super::{edge_options, listen, signals};
use crate::cli::args::ServeArgs;
use crate::cli::error::{Exit, Failure};
use crate::cli::output::{Console, print};
use sgl::server::supervisor::{SupervisorError, SupervisorOptions, supervise};
use std::process::{Command, ExitStatus};

/// Deaths in a row after which there is no point in another worker.
const MAX_DEATHS: u32 = 5;

pub async fn run(args: &ServeArgs, console: &Console) -> Result<(), Failure> {
    let cannot = |error| Failure::new(Exit::Output, format!("cannot find this program: {error}; use --no-supervise"));
    let mut command = Command::new(std::env::current_exe().map_err(cannot)?);
    // The same command line, so that all settings are the same.
    command.args(std::env::args_os().skip(1)).arg("--worker");
    let deadline = args.server.shutdown_timeout;
    let options = SupervisorOptions { command, max_deaths: MAX_DEATHS, deadline };
    let listener = listen(&args.server).await?;
    print(&format!("listening on {}\n", listener.url()))?;
    let on_death = |status: ExitStatus| {
        console.note(format_args!("the process with the models died ({status}) and is started again"));
    };
    let supervising = supervise(listener, options, edge_options(args)?, signals::told_to_end(), on_death);
    supervising.await.map_err(failure)
}

/// A worker that ended by itself has told why; the exit code is its own.
fn failure(error: SupervisorError) -> Failure {
    let exit = |status: ExitStatus| status.code().and_then(Exit::of).unwrap_or(Exit::Llama);
    match error {
        SupervisorError::Refused(status) => Failure::told(exit(status)),
        SupervisorError::GaveUp { status, .. } => Failure::new(exit(status), error),
        SupervisorError::Start(_) => Failure::new(Exit::Output, error),
    }
}
