//! The command line: one file per subcommand. Data goes to standard output, everything else to standard error.

mod args;
mod bench;
mod calibrate;
mod chat;
mod demo;
mod devices;
mod error;
mod eval;
mod explain;
mod fit;
mod inspect;
mod interrupt;
mod logging;
mod output;
mod progress;
mod quantize_mmproj;
mod report;
mod resolve;
mod run;
mod serve;
mod spelling;
mod study;
mod values;

use args::Command;
use clap::error::ErrorKind;
use error::{Exit, Failure};
use output::Console;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program on `argv`, the program's name first.
pub fn main(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let argv = match serve::config::expanded(argv) {
        Ok(argv) => argv,
        Err(failure) => {
            Console::new(false, false).failure(&failure);
            return failure.exit.into();
        }
    };
    let cli = match args::parse(argv) {
        Ok(cli) => cli,
        Err(message) => return parsed_nothing(&message).into(),
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

/// Help, version, or what is wrong with the command line. A reader that left early is no error.
fn parsed_nothing(message: &clap::Error) -> Exit {
    let text = message.to_string();
    let paragraph = text.split("\n\n").next().and_then(|paragraph| paragraph.strip_prefix("error: "));
    match paragraph {
        Some(error) if message.kind() == ErrorKind::ValueValidation => {
            Console::new(false, false).failure(&Failure::new(Exit::Usage, error));
        }
        _ => drop(message.print()),
    }
    if message.use_stderr() { Exit::Usage } else { Exit::Done }
}

fn dispatch(command: &Command, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(args, console),
        Command::Chat(args) => chat::run(args, console),
        Command::Serve(args) => serve::run(args, console),
        Command::Demo(args) => demo::run(args, console),
        Command::Explain(args) => explain::run(args, console),
        Command::Eval(args) => eval::run(args, console),
        Command::Study(args) => study::run(args, console),
        Command::Calibrate(args) => calibrate::run(args, console),
        Command::Bench(args) => bench::run(args, console),
        Command::Inspect(args) => inspect::run(args, console),
        Command::QuantizeMmproj(args) => quantize_mmproj::run(args, console),
        Command::Devices(args) => devices::run(args, console),
    }
}
