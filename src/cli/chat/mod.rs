//! `sgl chat`: a conversation about pictures.
//!
//! At a terminal, lines are edited and remembered. From a pipe, they are read as they are: standard output gets the
//! answers alone, everything else goes to standard error, and a line that fails does not keep the next from being read.

mod command;
mod completion;
mod conversation;
mod heat;
mod history;
mod lines;
mod session;
mod stats;

use super::args::ChatArgs;
use super::error::{Exit, Failure};
use super::interrupt::Interrupt;
use super::output::Console;
use super::resolve::{is_stdin, settings, usage};
use super::run::{load, open};
use command::Input;
use conversation::Conversation;
use lines::{Line, Lines};
use session::Session;

pub fn run(args: &ChatArgs, console: &Console) -> Result<(), Failure> {
    let images = &args.conversation.image;
    if images.iter().any(|path| is_stdin(path)) {
        return Err(usage("standard input holds the conversation and no picture; name a file with --image"));
    }
    let (settings, mut pair) = settings(&args.common, console)?;
    let mut conversation = Conversation::new(settings, args.conversation.system.as_deref());
    open(images)?.into_iter().for_each(|picture| conversation.add(picture));
    pair.warm(&args.conversation.warmth);
    let is_guided = pair.guide.is_some();

    let progress = console.progress();
    let pipeline = load(pair, &progress);
    progress.clear();
    let pipeline = pipeline?;
    let interrupt = Interrupt::install(pipeline.cancel_flag());
    interrupt.ends_program();
    let session = Session::new(pipeline, interrupt, conversation, console, args.report.json, is_guided);
    hold(session, Lines::open(!args.conversation.no_history, console)?, console)
}

/// From the first line to the last.
fn hold(mut session: Session<'_>, mut lines: Lines, console: &Console) -> Result<(), Failure> {
    if lines.is_terminal() {
        console.say("ask, or add a picture with /image; /help lists the commands, Ctrl-D leaves");
        session.say_what_waits();
    }
    let mut failed: Option<(Exit, usize)> = None;
    loop {
        let text = match lines.next()? {
            Line::Text(text) => text,
            Line::Cleared => continue,
            Line::End => break,
        };
        let input = match Input::parse(&text) {
            Ok(Some(Input::Quit)) => break,
            Ok(None) => continue,
            Ok(Some(input)) => Ok(input),
            Err(failure) => Err(failure),
        };
        let is_message = matches!(input, Ok(Input::Message(_)));
        let result = input.and_then(|input| session.take(input));
        if !session.has_reader() {
            return session.finish();
        }
        if let Err(failure) = result {
            if failure.exit == Exit::Interrupted && !lines.is_terminal() {
                return Err(failure);
            }
            console.failure(&failure);
            if is_message {
                console.note("the conversation is as it was before this message");
            }
            let (exit, n_failed) = failed.unwrap_or((failure.exit, 0));
            failed = Some((exit, n_failed + 1));
        }
    }
    match failed {
        // Who reads a terminal has seen it.
        Some((exit, n_failed)) if !lines.is_terminal() => {
            let lines = if n_failed == 1 { "one line".to_owned() } else { format!("{n_failed} lines") };
            Err(Failure::new(exit, format!("{lines} of the conversation failed")))
        }
        _ => Ok(()),
    }
}
