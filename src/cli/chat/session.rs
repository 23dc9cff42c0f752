//! What each line does.

use super::command::{Input, help};
use super::conversation::Conversation;
use super::{heat, stats};
use crate::cli::error::{Exit, Failure};
use crate::cli::interrupt::Interrupt;
use crate::cli::output::{Console, Output, json_line};
use crate::cli::report::summary;
use crate::cli::resolve::usage;
use sgl::guidance::Retain;
use sgl::media::{Limits, Picture};
use sgl::pipeline::{Event, Outcome, Pipeline, Report};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// The models, and what has been said to them.
pub struct Session<'a> {
    pipeline: Pipeline,
    interrupt: Interrupt,
    conversation: Conversation,
    console: &'a Console,
    output: Output,
    is_json: bool,
    is_guided: bool,
    /// Of every answer since the start.
    reports: Vec<Report>,
    /// The last answer, and how many pictures it was about.
    last: Option<(Outcome, usize)>,
}

impl<'a> Session<'a> {
    /// `is_json`: reports go to standard output and not answers. `is_guided`: there is a guide.
    pub fn new(
        pipeline: Pipeline,
        interrupt: Interrupt,
        conversation: Conversation,
        console: &'a Console,
        is_json: bool,
        is_guided: bool,
    ) -> Self {
        let (output, reports) = (Output::default(), Vec::new());
        Self { pipeline, interrupt, conversation, console, output, is_json, is_guided, reports, last: None }
    }

    /// Does what a line asks for.
    ///
    /// # Errors
    /// It could not be done, and nothing has changed.
    pub fn take(&mut self, input: Input) -> Result<(), Failure> {
        match input {
            Input::Message(text) => self.answer(&text)?,
            Input::Image(path) => {
                self.conversation.add(Picture::open(&path, &Limits::default())?);
                self.say_what_waits();
            }
            Input::Retain(None) => self.console.show(self.retain()),
            Input::Retain(Some(retain)) => {
                if !self.is_guided {
                    return Err(usage("without a guide the target reads all visual tokens; start with --guide"));
                }
                self.conversation.retain(retain);
                self.console.say(self.retain());
            }
            Input::Explain(path) => {
                for path in self.explain(&path.unwrap_or_else(|| "heat.png".into()))? {
                    self.console.say(format_args!("wrote {}", path.display()));
                }
            }
            Input::Stats => {
                let guide = self.pipeline.guide_mut().map(|guide| guide.encoder_cache_bytes());
                let target = self.pipeline.target_mut().encoder_cache_bytes();
                self.console.show(stats::table(&self.reports, guide, target));
            }
            Input::Reset => {
                self.conversation.reset();
                self.last = None;
                self.console.say("the conversation is forgotten, its pictures too; add them again with /image");
            }
            Input::Help => self.console.show(help()),
            Input::Quit => {}
        }
        Ok(())
    }

    /// Pictures that go with the next message, if there are any.
    pub fn say_what_waits(&self) {
        match self.conversation.n_waiting() {
            0 => {}
            1 => self.console.say("one picture goes with the next message"),
            n_waiting => self.console.say(format_args!("{n_waiting} pictures go with the next message")),
        }
    }

    /// Whether somebody takes the answers.
    pub fn has_reader(&self) -> bool {
        !self.output.has_failed()
    }

    /// # Errors
    /// An answer could not be written, and not because its reader has left.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.output.finish().map(drop)
    }

    fn answer(&mut self, text: &str) -> Result<(), Failure> {
        let Self { pipeline, interrupt, output, is_json, .. } = self;
        let cancel = pipeline.cancel_flag();
        let progress = self.console.progress();
        interrupt.stops_computation();
        let result = self.conversation.turn(text, |request| {
            let outcome = pipeline.run(request, &mut |event| {
                progress.show(&event);
                if let Event::Said(said) = event
                    && !*is_json
                {
                    output.write(&said.text);
                }
                // Again and again, because the start of a run clears the flag.
                if interrupt.is_set() || output.has_failed() {
                    cancel.store(true, Ordering::Relaxed);
                }
            })?;
            let answer = outcome.report.answer.clone();
            Ok::<_, Failure>((outcome, answer))
        });
        interrupt.ends_program();
        progress.clear();
        output.end_line();
        let outcome = result.map_err(|failure| self.with_way_out(failure))?;
        let report = &outcome.report;
        if self.is_json {
            self.output.write(&json_line(report)?);
        } else if report.answer.is_empty() {
            self.output.write("\n");
        }
        let encoder = stats::encoder(&report.visual).map_or_else(String::new, |encoder| format!("; {encoder}"));
        self.console.say(format_args!("{}{encoder}", summary(report)));
        self.reports.push(report.clone());
        self.last = Some((outcome, self.conversation.pictures().len()));
        Ok(())
    }

    /// A conversation that has grown too long can also be ended.
    fn with_way_out(&self, mut failure: Failure) -> Failure {
        if failure.exit == Exit::Context && self.conversation.has_begun() {
            let reset = "forget the conversation with /reset";
            failure.hint = Some(failure.hint.map_or_else(|| reset.to_owned(), |hint| format!("{hint}, or {reset}")));
        }
        failure
    }

    fn retain(&self) -> String {
        match self.conversation.settings().retain.filter(|retain| self.is_guided && *retain != Retain::Share(1.0)) {
            Some(retain) => format!("the target reads {retain} of the visual tokens"),
            None => "the target reads all visual tokens".to_owned(),
        }
    }

    fn explain(&self, out: &Path) -> Result<Vec<PathBuf>, Failure> {
        let Some((outcome, n_pictures)) = &self.last else {
            return Err(usage("there is no answer to explain; ask something first"));
        };
        if *n_pictures == 0 {
            return Err(usage("the last answer was about no picture; add one with /image and ask again"));
        }
        let pictures = &self.conversation.pictures()[..*n_pictures];
        heat::write(outcome, &self.conversation.question(), pictures, self.conversation.settings().policy, out)
    }
}
