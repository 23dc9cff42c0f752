//! The command line: one file per subcommand. Data goes to standard output, everything else to standard error.

mod args;
mod demo;
mod devices;
mod error;
mod explain;
mod inspect;
mod interrupt;
mod logging;
mod output;
mod progress;
mod report;
mod resolve;
mod run;
mod spelling;
mod values;

use args::{Cli, Command};
use error::{Exit, Failure};
use output::Console;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program on `argv`, the program's name first.
pub fn main(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match args::parse(argv) {
        Ok(cli) => cli,
        // Help and version come this way too, for standard output; a reader that left early is no error.
        Err(message) => {
            let _ = message.print();
            return if message.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    logging::init(cli.verbose);
    let console = Console::new(cli.quiet, cli.verbose > 0);
    match dispatch(&cli.command, &console) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            console.failure(&failure);
            failure.exit.into()
        }
    }
}

fn dispatch(command: &Command, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(args, console),
        Command::Demo(args) => demo::run(args, console),
        Command::Explain(args) => explain::run(args, console),
        Command::Inspect(args) => inspect::run(args, console),
        Command::Devices(args) => devices::run(args),
    }
}
