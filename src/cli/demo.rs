//! `sgl demo`: the target alone beside guide and target, on a picture and models inside this program.

use super::args::DemoArgs;
use super::error::{Exit, Failure};
use super::explain::save;
use super::fit;
use super::interrupt::Interrupt;
use super::output::{Console, Output};
use super::progress::Progress;
use super::report::duration;
use super::resolve::Pair;
use super::run::load;
use serde::Deserialize;
use sgl::explain::Explanation;
use sgl::guidance::{ExitDecision, Policy};
use sgl::media::{Limits, Picture};
use sgl::pipeline::{Outcome, Pipeline, Report, Request, Source};
use sgl::profile::Profile;
use sgl::vlm::question;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A picture inside this program.
#[derive(Clone, Copy)]
pub struct Embedded {
    pub name: &'static str,
    png: &'static [u8],
}

macro_rules! embedded {
    ($name:literal) => {
        Embedded { name: $name, png: include_bytes!(concat!("../../models/pictures/", $name, ".png")) }
    };
}

pub const PICTURES: [Embedded; 4] =
    [embedded!("flat"), embedded!("gradient"), embedded!("noise"), embedded!("texture")];
const QUESTIONS: &str = include_str!("../../models/pictures/questions.json");

/// Runs of each question and each way, of which the median is shown.
const RUNS: usize = 5;

/// One entry of `questions.json`.
#[derive(Deserialize)]
struct Sheet {
    image: String,
    questions: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    question: String,
    answer: String,
}

pub fn run(args: &DemoArgs, console: &Console) -> Result<(), Failure> {
    let (png, questions) = chosen(&args.picture)?;
    let picture = Picture::decode(png, &Limits::default())?;
    let folder = folder(args.out.as_deref(), console)?;
    let mut pair = Pair::embedded(&args.llama)?;
    fit::apply(&mut pair, &args.llama, None, console)?;
    let progress = console.progress();
    let result =
        Demo::load(pair, progress.clone()).and_then(|mut demo| demo.show(&args.picture, &picture, &questions, &folder));
    progress.clear();
    result
}

struct Demo {
    pipeline: Pipeline,
    cancel: Arc<AtomicBool>,
    interrupt: Interrupt,
    progress: Progress,
    output: Output,
    n_done: usize,
    n_runs: usize,
}

impl Demo {
    fn load(pair: Pair, progress: Progress) -> Result<Self, Failure> {
        let pipeline = load(pair, &progress)?;
        let cancel = pipeline.cancel_flag();
        let interrupt = Interrupt::install(cancel.clone());
        Ok(Self { pipeline, cancel, interrupt, progress, output: Output::default(), n_done: 0, n_runs: 0 })
    }

    fn show(&mut self, name: &str, picture: &Picture, questions: &[Question], folder: &Path) -> Result<(), Failure> {
        let (mut alone_ms, mut guided_ms) = (0.0, 0.0);
        let mut maps = Vec::new();
        self.n_runs = 2 + 2 * RUNS * questions.len();
        for (question_text, number) in questions.iter().zip(1..) {
            if self.output.has_failed() {
                break;
            }
            let messages = question(None, 1, &question_text.question);
            let guided = Profile::embedded().guide(Request::new(messages, vec![picture.clone()]));
            let alone = Request { exit: None, retain: None, ..guided.clone() };
            if number == 1 {
                let warm_up = self.once(&alone)?;
                self.once(&guided)?;
                self.print(&heading(name, picture, &warm_up.report, &guided));
            }
            let (alone, guided) = self.compare(&alone, &guided)?;
            alone_ms += alone.ms;
            guided_ms += guided.ms;
            self.print(&rows(question_text, &alone, &guided));
            let explanation = Explanation::new(&guided.outcome, &question_text.question, Policy::Global, None)?;
            let path = folder.join(format!("{name}-{number}.png"));
            save(&path, &explanation.heat_map(picture, 0)?)?;
            maps.push(path);
        }
        self.print(&footer(alone_ms, guided_ms, &maps));
        self.output.finish().map(drop)
    }

    /// Both ways in turn, so that whatever else the machine does meets both.
    fn compare(&mut self, alone: &Request, guided: &Request) -> Result<(Measured, Measured), Failure> {
        let mut outcomes = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            outcomes.0.push(self.once(alone)?);
            outcomes.1.push(self.once(guided)?);
        }
        Ok((Measured::median(outcomes.0)?, Measured::median(outcomes.1)?))
    }

    fn once(&mut self, request: &Request) -> Result<Outcome, Failure> {
        let outcome = self.pipeline.run(request, &mut |_| {
            if self.interrupt.is_set() {
                self.cancel.store(true, Ordering::Relaxed);
            }
        })?;
        self.n_done += 1;
        self.progress.measuring(self.n_done, self.n_runs);
        Ok(outcome)
    }

    fn print(&mut self, text: &str) {
        self.progress.above(|| self.output.write(text));
    }
}

/// The run of median time.
struct Measured {
    outcome: Outcome,
    ms: f64,
}

impl Measured {
    fn median(mut outcomes: Vec<Outcome>) -> Result<Self, Failure> {
        outcomes.sort_by(|a, b| a.report.timings_ms.total.total_cmp(&b.report.timings_ms.total));
        let middle = outcomes.len() / 2;
        let outcome =
            outcomes.into_iter().nth(middle).ok_or_else(|| Failure::new(Exit::Llama, "nothing was measured"))?;
        Ok(Self { ms: outcome.report.timings_ms.total, outcome })
    }
}

fn heading(name: &str, picture: &Picture, report: &Report, guided: &Request) -> String {
    let retain = guided.retain.map_or("all".to_owned(), |retain| retain.to_string());
    let exit = guided.exit.map_or("never final".to_owned(), |exit| format!("final from score {} on", exit.threshold));
    format!(
        "{name}: {}x{} pixels, {} visual tokens; a toy guide and target, embedded\n\
         The target reads {retain} of them; the guide's answer is {exit}.\n\n\
         {:16} {:10} {:12} {:>13} {:>10} {:>12}\n",
        picture.width(),
        picture.height(),
        report.visual.tokens,
        "",
        "answer",
        "answered by",
        "visual tokens",
        "exit score",
        format!("median of {RUNS}"),
    )
}

fn rows(question: &Question, alone: &Measured, guided: &Measured) -> String {
    format!("{} ({})\n{}{}", question.question, question.answer, row("target alone", alone), row("with guide", guided))
}

fn row(way: &str, measured: &Measured) -> String {
    let report = &measured.outcome.report;
    let by = match report.source {
        Source::Guide => "guide",
        Source::Target => "target",
    };
    let read = format!("{} of {}", report.visual.kept, report.visual.tokens);
    let score = report.exit.as_ref().map_or("-".to_owned(), score);
    format!("  {way:14} {:10} {by:12} {read:>13} {score:>10} {:>12}\n", report.answer, duration(measured.ms))
}

/// Without a consistency pass the score is known only to stay below what full consistency would give.
fn score(exit: &ExitDecision) -> String {
    match exit.score {
        Some(score) => format!("{score:.3}"),
        None => format!("<={:.3}", (exit.confidence + 1.0) / 2.0),
    }
}

fn footer(alone_ms: f64, guided_ms: f64, maps: &[PathBuf]) -> String {
    let ratio = alone_ms / guided_ms;
    let mut text = format!(
        "\nAll together: target alone {}, with guide {}: {ratio:.2}x the speed.\n",
        duration(alone_ms),
        duration(guided_ms)
    );
    if ratio < 1.0 {
        text += "Models this small show how it works, not how fast it is: here the guide\ncosts more than it saves.\n";
    }
    text += "Where the guide looked, and what the target reads:\n";
    maps.iter().for_each(|path| text += &format!("  {}\n", path.display()));
    text
}

fn chosen(name: &str) -> Result<(&'static [u8], Vec<Question>), Failure> {
    let sheets: Vec<Sheet> = serde_json::from_str(QUESTIONS).map_err(|error| Failure::new(Exit::Input, error))?;
    let picture = PICTURES.iter().find(|picture| picture.name == name);
    let sheet = sheets.into_iter().find(|sheet| sheet.image.strip_suffix(".png") == Some(name));
    match (picture, sheet) {
        (Some(picture), Some(sheet)) => Ok((picture.png, sheet.questions)),
        _ => Err(Failure::new(Exit::Usage, format!("there is no picture {name} in this program"))),
    }
}

/// The folder asked for, or one that can be written.
fn folder(asked: Option<&Path>, console: &Console) -> Result<PathBuf, Failure> {
    let here = asked.unwrap_or(Path::new(FOLDER));
    let Err(error) = check_folder(here) else { return Ok(here.to_owned()) };
    let failed =
        |path: &Path, error| Failure::new(Exit::Output, format!("cannot write to {}: {error}", path.display()));
    if asked.is_some() {
        return Err(failed(here, error));
    }
    let elsewhere = std::env::temp_dir().join(FOLDER);
    check_folder(&elsewhere).map_err(|error| failed(&elsewhere, error))?;
    console.note(format_args!(
        "cannot write to {}: {error}; the heat maps go to {}",
        here.display(),
        elsewhere.display()
    ));
    Ok(elsewhere)
}

const FOLDER: &str = "sgl-demo";

/// Makes the folder and tries to write into it.
fn check_folder(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)?;
    let probe = path.join(format!(".{}.part", std::process::id()));
    fs::File::create_new(&probe)?;
    fs::remove_file(&probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_has_questions() {
        for picture in PICTURES {
            let (png, questions) = chosen(picture.name).unwrap();
            assert!(Picture::decode(png, &Limits::default()).is_ok());
            assert!(!questions.is_empty(), "{}", picture.name);
        }
    }
}
