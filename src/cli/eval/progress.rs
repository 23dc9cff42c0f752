//! How far a run is: a line on a terminal, now and then a line in a log.

use crate::cli::output::Console;
use crate::cli::progress::Progress;
use sgl::eval::evaluation::Stage;
use sgl::eval::record::Record;
use sgl::eval::run;
use std::time::{Duration, Instant};

/// Between two lines of a log.
const EVERY: Duration = Duration::from_secs(30);

pub struct Shown<'a> {
    console: &'a Console,
    progress: &'a Progress,
    benchmark: String,
    last: Instant,
    /// Sum of the unpruned target's scores, and of how many.
    counted: (f64, usize),
}

impl<'a> Shown<'a> {
    pub fn new(console: &'a Console, progress: &'a Progress, benchmark: String) -> Self {
        Self { console, progress, benchmark, last: Instant::now(), counted: (0.0, 0) }
    }

    pub fn show(&mut self, stage: &Stage<'_>) {
        match stage {
            Stage::Expecting { done, all } => self.progress.counting("expected attention", *done, *all, ""),
            Stage::Asking(progress) => self.asking(progress),
        }
    }

    fn asking(&mut self, progress: &run::Progress<'_>) {
        let known = self.counted.1;
        progress.records.get(known..).unwrap_or_default().iter().for_each(|record| self.count(record));
        let text =
            [self.accuracy(), rate(progress), left(progress)].into_iter().flatten().collect::<Vec<_>>().join(", ");
        self.progress.counting(&self.benchmark, progress.done, progress.all, &text);
        let is_first = progress.done == progress.resumed;
        if is_first && progress.resumed > 0 {
            let (done, all) = (progress.resumed, progress.all);
            self.progress.above(|| self.console.note(format_args!("{done} of {all} questions were answered before")));
        }
        if !self.progress.is_shown() && !is_first && (self.last.elapsed() >= EVERY) {
            self.last = Instant::now();
            self.console
                .say(format_args!("{}: {} of {} questions, {text}", self.benchmark, progress.done, progress.all));
        }
    }

    fn count(&mut self, record: &Record) {
        self.counted.0 += record.runs.first().and_then(|run| run.score).unwrap_or(f64::NAN);
        self.counted.1 += 1;
    }

    /// Nothing while a judge has not spoken.
    fn accuracy(&self) -> Option<String> {
        let (unpruned, n) = self.counted;
        let accuracy = 100.0 * unpruned / n as f64;
        accuracy.is_finite().then(|| format!("unpruned {accuracy:.1} % right"))
    }
}

fn rate(progress: &run::Progress<'_>) -> Option<String> {
    let rate = progress.rate()?;
    Some(if rate >= 1.0 { format!("{rate:.1} a second") } else { format!("{:.1} s each", 1.0 / rate) })
}

fn left(progress: &run::Progress<'_>) -> Option<String> {
    let seconds = progress.left()?.as_secs();
    Some(match seconds {
        0..100 => format!("{seconds} s left"),
        100..6000 => format!("{} min left", seconds.div_ceil(60)),
        _ => format!("{:.1} h left", seconds as f64 / 3600.0),
    })
}
