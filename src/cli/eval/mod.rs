//! `sgl eval`: policies side by side on a benchmark.

mod cases;
mod findings;
mod judging;
mod models;
mod output;
mod progress;
mod session;
mod table;

pub use output::write_study;
pub use session::{Measured, Session, measure, measure_if};
pub use table::share;

use super::args::{EvalArgs, EvalCommand, MergeArgs};
use super::error::{Exit, Failure};
use super::output::{Console, json_line, print};
use sgl::eval::journal::{Journal, JournalError};
use sgl::eval::judged;
use sgl::eval::merge::{MergeError, merge};
use sgl::eval::{EvalError, data};
use std::path::PathBuf;

pub fn run(args: &EvalArgs, console: &Console) -> Result<(), Failure> {
    if args.list {
        return match args.output.json {
            true => print(&json_line(&data::listings(data::BENCHMARKS))?),
            false => print(&data::describe(data::BENCHMARKS)),
        };
    }
    match &args.command {
        Some(EvalCommand::Merge(args)) => join(args, console),
        None => {
            let measured = measure(&args.measure, &args.policy, &args.retain, console)?;
            output::write(measured, &args.output, console)
        }
    }
}

fn join(args: &MergeArgs, console: &Console) -> Result<(), Failure> {
    let read = |path: &PathBuf| Journal::read(path).map(|(header, records)| (path.clone(), header, records));
    let journals = args.journals.iter().map(read).collect::<Result<Vec<_>, _>>().map_err(MergeError::from)?;
    let (header, mut records) = merge(journals)?;
    if let Some(out) = &args.out {
        Journal::write_whole(out, &header, &records)?;
        console.note(format_args!("{} answers are in {}", records.len(), out.display()));
    }
    // Behind the journal, which holds no grades.
    if !judged::join(&mut records, &args.journals, args.out.as_deref())? {
        console.note("several judges graded these answers, so no grade counts; --journal with --judge says whose");
    }
    output::write(Measured::merged(header, records), &args.output, console)
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let exit = match &error {
            JournalError::Settings { .. } | JournalError::Busy { .. } => Exit::Usage,
            JournalError::Line { .. } => Exit::Input,
            JournalError::Io { .. } => Exit::Output,
        };
        Self::new(exit, error)
    }
}

impl From<MergeError> for Failure {
    fn from(error: MergeError) -> Self {
        match error {
            MergeError::Journal(JournalError::Io { .. }) => {
                Self::new(Exit::Input, format!("{error}; name a journal that `sgl eval` has written"))
            }
            MergeError::Journal(error) => error.into(),
            _ => Self::new(Exit::Usage, error),
        }
    }
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        let message = error.to_string();
        match error {
            EvalError::Picture { .. } => Self::new(Exit::Input, message),
            EvalError::Journal(error) => error.into(),
            EvalError::Asking { source, .. } => {
                let failure = Self::from(*source);
                if failure.exit == Exit::Interrupted { failure } else { Self::new(failure.exit, message) }
            }
        }
    }
}
