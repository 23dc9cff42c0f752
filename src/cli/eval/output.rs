//! What a run leaves: tables or JSON on standard output, a report, exported answers.

use super::cases::cases;
use super::session::Measured;
use super::table::{accuracy_table, cost_table};
use super::{findings, judging};
use crate::cli::args::OutputArgs;
use crate::cli::error::{Exit, Failure};
use crate::cli::output::{Console, json_line, print};
use sgl::eval::figures;
use sgl::eval::report::{Report, ReportError};
use sgl::eval::summarize::{Options, summarize};
use sgl::eval::summary::Summary;

/// Tables of policies.
pub fn write(measured: Measured, args: &OutputArgs, console: &Console) -> Result<(), Failure> {
    write_as(measured, args, console, |summary| {
        let about = &summary.about;
        let figures: Vec<String> = summary
            .figures
            .iter()
            .map(|figure| format!("{} at {}: {} {:.2}\n", figure.policy, figure.retain, figure.name, figure.value))
            .collect();
        let notes: Vec<String> = summary.notes.iter().map(|note| format!("- {note}\n")).collect();
        [
            format!(
                "{}: {} of {} questions, {}, percent with 95 % intervals; * is lower than none with p < 0.05\n\n",
                about.benchmark, about.n_samples, about.n_all, about.metric
            ),
            accuracy_table(summary),
            "\nmedian time with all that a policy needs, over the unpruned target's\n\n".to_owned(),
            cost_table(summary),
            if figures.is_empty() { String::new() } else { format!("\n{}", figures.concat()) },
            if notes.is_empty() { String::new() } else { format!("\n{}", notes.concat()) },
        ]
        .concat()
    })
}

/// The findings.
pub fn write_study(measured: Measured, args: &OutputArgs, console: &Console) -> Result<(), Failure> {
    write_as(measured, args, console, findings::study)
}

fn write_as(
    mut measured: Measured,
    args: &OutputArgs,
    console: &Console,
    text: impl FnOnce(&Summary) -> String,
) -> Result<(), Failure> {
    let figures = figures::of(&measured.header.settings.benchmark);
    let summary = summarize(&measured.header, &measured.records, &Options { exit_retain: args.exit_retain, figures });
    if let Some(dir) = &args.export {
        judging::write(&measured.records, dir, console)?;
    }
    if let Some(dir) = &args.report {
        let cases = cases(&mut measured, console)?;
        let written = Report { summary: &summary, cases: &cases }.write(dir)?;
        for path in written {
            console.note(format_args!("wrote {}", path.display()));
        }
    }
    print(&if args.json { json_line(&summary)? } else { text(&summary) })
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        Self::new(Exit::Output, error)
    }
}
