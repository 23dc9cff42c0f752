//! `sgl run`: answers a question about pictures.

use super::args::RunArgs;
use super::error::{Exit, Failure};
use super::interrupt::Interrupt;
use super::output::{Console, Output, json_line};
use super::resolve::{Pair, is_stdin, request, usage};
use super::{progress::Progress, report};
use sgl::media::{Limits, Picture};
use sgl::pipeline::{Event, Outcome, Pipeline, Request};
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

pub fn run(args: &RunArgs, console: &Console) -> Result<(), Failure> {
    let (mut request, mut pair) = request(args, console)?;
    request.pictures = open(&args.question.image)?;
    if request.pictures.is_empty() {
        pair.guide = None;
    }
    let mut answer = Answer { output: Output::default(), streams: !args.report.json, needs_reader: true };
    let Some(outcome) = answer.get(pair, &request, console)? else { return Ok(()) };
    if args.report.json {
        answer.output.write(&json_line(&outcome.report)?);
    }
    if !answer.output.finish()? {
        return Ok(());
    }
    if request.pictures.is_empty() {
        console.note("there was no picture, so nothing to prune: the target answered alone");
    }
    console.say(report::summary(&outcome.report));
    Ok(())
}

/// Reads the pictures, in order.
pub fn open(paths: &[PathBuf]) -> Result<Vec<Picture>, Failure> {
    let open =
        |path: &PathBuf| if is_stdin(path) { from_stdin() } else { Ok(Picture::open(path, &Limits::default())?) };
    paths.iter().map(open).collect()
}

fn from_stdin() -> Result<Picture, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(usage("--image - reads standard input, which is a terminal; pipe a picture into it"));
    }
    Picture::read(stdin.lock(), &Limits::default())
        .map_err(|error| Failure::new(Exit::Input, format!("picture on standard input: {error}")))
}

/// Loads the models; shows how far they are.
pub fn load(pair: Pair, progress: &Progress) -> Result<Pipeline, Failure> {
    let shown = progress.clone();
    Ok(Pipeline::load(pair.guide, pair.target, move |role, share| shown.loading(role, share))?)
}

/// An answer on its way to standard output.
pub struct Answer {
    pub output: Output,
    /// Whether the text is written as it comes.
    pub streams: bool,
    /// Whether there is no use in going on once the answer cannot be written.
    pub needs_reader: bool,
}

impl Answer {
    /// Loads the models and runs the request; `None` when the reader has left.
    pub fn get(&mut self, pair: Pair, request: &Request, console: &Console) -> Result<Option<Outcome>, Failure> {
        let progress = console.progress();
        let mut pipeline = load(pair, &progress).inspect_err(|_| progress.clear())?;
        self.ask(&mut pipeline, request, &progress)
    }

    /// Runs the request on loaded models; `None` when the reader has left.
    pub fn ask(
        &mut self,
        pipeline: &mut Pipeline,
        request: &Request,
        progress: &Progress,
    ) -> Result<Option<Outcome>, Failure> {
        let outcome = self.stream(pipeline, request, progress);
        progress.clear();
        match &outcome {
            Ok(outcome) if self.streams && outcome.report.answer.is_empty() => self.output.write("\n"),
            _ => self.output.end_line(),
        }
        if self.needs_reader && self.output.has_failed() {
            return self.output.finish().map(|_| None);
        }
        outcome.map(Some)
    }

    fn stream(&mut self, pipeline: &mut Pipeline, request: &Request, progress: &Progress) -> Result<Outcome, Failure> {
        let cancel = pipeline.cancel_flag();
        let interrupt = Interrupt::install(cancel.clone());
        let outcome = pipeline.run(request, &mut |event| {
            progress.show(&event);
            if let Event::Said(said) = event
                && self.streams
            {
                self.output.write(&said.text);
            }
            // Again and again, because the start of a run clears the flag.
            if interrupt.is_set() || (self.needs_reader && self.output.has_failed()) {
                cancel.store(true, Ordering::Relaxed);
            }
        })?;
        Ok(outcome)
    }
}
