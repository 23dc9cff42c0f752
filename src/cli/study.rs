//! `sgl study`: the paper's findings on a pair.

use super::args::StudyArgs;
use super::error::Failure;
use super::eval;
use super::output::Console;

pub fn run(args: &StudyArgs, console: &Console) -> Result<(), Failure> {
    let measured = eval::measure(&args.measure, &args.policy, &args.retain, console)?;
    eval::write_study(measured, &args.output, console)
}
