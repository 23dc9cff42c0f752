//! Open answers to a judge, and to the files that a benchmark's own evaluator takes.

use crate::cli::args::BenchmarkArgs;
use crate::cli::error::{Exit, Failure};
use crate::cli::explain::save;
use crate::cli::output::Console;
use sgl::eval::evaluation::Evaluation;
use sgl::eval::judge::{API_KEY, Judge, export};
use sgl::eval::judged::{self, JudgedError, judge};
use sgl::eval::metrics::Metric;
use sgl::eval::record::Record;
use sgl::eval::settings::hash_of;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// For one attempt at one grade.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A judge, and how its grades are told from others' on the disk.
pub struct Grader {
    judge: Judge,
    name: String,
}

/// The judge that was asked for, before anything is answered; a note where answers are not open.
pub fn judge_of(evaluation: &Evaluation, args: &BenchmarkArgs, console: &Console) -> Result<Option<Grader>, Failure> {
    let Some(url) = &args.judge else { return Ok(None) };
    if evaluation.metric() != Metric::Judge {
        console.note("these answers are compared with known ones, so nothing is sent to --judge");
        return Ok(None);
    }
    let judge = Judge::new(url, &args.judge_model, std::env::var(API_KEY).ok(), TIMEOUT);
    let Some(path) = &args.judge_prompt else { return Ok(Some(Grader { judge, name: args.judge_model.clone() })) };
    let prompt = fs::read_to_string(path).map_err(|error| {
        let message = format!("judge prompt {}: {error}; name a text that can be read", path.display());
        Failure::new(Exit::Input, message)
    })?;
    let name = format!("{}, prompt {}", args.judge_model, hash_of(&prompt));
    Ok(Some(Grader { judge: judge.with_prompt(prompt), name }))
}

/// Has the open answers graded, if there is a judge.
pub fn grade(
    evaluation: &Evaluation,
    grader: Option<&Grader>,
    journal: &Path,
    records: &mut [Record],
    console: &Console,
) -> Result<(), Failure> {
    if evaluation.metric() != Metric::Judge {
        return Ok(());
    }
    let Some(Grader { judge: grader, name }) = grader else {
        console.note(
            "these answers are open: --judge URL has them graded, --export DIR writes them for the official evaluator",
        );
        return Ok(());
    };
    let progress = console.progress();
    let result = judge(records, evaluation.samples(), &judged::path(journal), grader, name, |done, all| {
        progress.counting("judging", done, all, "");
    });
    progress.clear();
    Ok(result?)
}

/// Writes `POLICY-RETENTION.json` for every row: ids and answers, as MM-Vet's evaluator takes them.
pub fn write(records: &[Record], dir: &Path, console: &Console) -> Result<(), Failure> {
    let mut rows: BTreeMap<String, Vec<(&str, &str)>> = BTreeMap::new();
    for record in records {
        let guide = record.guide.iter().map(|guide| ("guide".to_owned(), guide.answer.as_str()));
        let runs = record.runs.iter().map(|run| {
            let draw = if run.draw > 0 { format!("-{}", run.draw) } else { String::new() };
            let retain = if run.retain < 1.0 { format!("-{}", run.retain) } else { String::new() };
            (format!("{}{retain}{draw}", run.policy.replace(':', "-")), run.answer.as_str())
        });
        for (name, answer) in guide.chain(runs) {
            rows.entry(name).or_default().push((&record.sample, answer));
        }
    }
    fs::create_dir_all(dir).map_err(|error| Failure::new(Exit::Output, format!("{}: {error}", dir.display())))?;
    for (name, answers) in &rows {
        save(&dir.join(format!("{name}.json")), export(answers.iter().copied()).as_bytes())?;
    }
    console.note(format_args!("wrote the answers of {} rows to {}", rows.len(), dir.display()));
    Ok(())
}

impl From<JudgedError> for Failure {
    fn from(error: JudgedError) -> Self {
        let exit = if matches!(error, JudgedError::Io { .. }) { Exit::Output } else { Exit::Judge };
        Self::new(exit, error)
    }
}
