//! One bounded render in the environment that Hugging Face's `apply_chat_template` gives its templates.
//!
//! A template comes with a model file, so it is not trusted to end: fuel bounds its steps and its memory, a clock bounds
//! what the engine does not meter (comparing lists that share their parts), and each render has a thread of its own, whose
//! stack outlasts the deepest list that the fuel can buy. A render that only the clock ends leaves its thread behind.

use std::error::Error as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, State, Value, context};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::{ChatError, clock, json};

const NAME: &str = "chat";

/// The longest published templates take a third of this.
const MAX_SOURCE_BYTES: usize = 64 << 10;

/// Work that any template may do; one step is an instruction or 64 bytes of data.
const BASE_STEPS: u64 = 200_000;

/// Passes over the messages' text that any template may make.
const MAX_PASSES: u64 = 16;

/// Prompt bytes allowed for each byte of messages, and beside them.
const MAX_GROWTH: usize = 4;
const MAX_OVERHEAD_BYTES: usize = 1 << 20;

const MAX_TIME: Duration = Duration::from_secs(5);
const STACK_BYTES: usize = 128 << 20;
const MAX_REASON_CHARS: usize = 300;

#[derive(Debug)]
pub(super) struct Engine {
    environment: Environment<'static>,
    source: String,
    bos_token: String,
    eos_token: String,
}

impl Engine {
    pub(super) fn new(source: &str, bos_token: &str, eos_token: &str) -> Result<Self, ChatError> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(ChatError::SourceTooLong { bytes: source.len(), max_bytes: MAX_SOURCE_BYTES });
        }
        let source = without_generation_tags(source);
        let owned = source.clone();
        let environment = on_own_thread(MAX_TIME, move || {
            let mut environment = Environment::new();
            let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
            environment.set_syntax(syntax);
            environment.set_unknown_method_callback(python_method);
            environment.add_function("raise_exception", raise_exception);
            environment.add_function("strftime_now", clock::strftime_now);
            environment.add_filter("tojson", json::tojson);
            environment.remove_filter("pprint");
            environment.remove_global("debug");
            environment.add_template_owned(NAME, owned)?;
            Ok(environment)
        })?;
        Ok(Self { environment, source, bos_token: bos_token.to_owned(), eos_token: eos_token.to_owned() })
    }

    /// Every text that can reach the output from elsewhere than the messages.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        [&self.source, &self.bos_token, &self.eos_token].into_iter().map(String::as_str)
    }

    pub(super) fn begins_with_bos(&self, prompt: &str) -> bool {
        !self.bos_token.is_empty() && prompt.starts_with(&self.bos_token)
    }

    /// Renders `messages` that hold `text_bytes` of text.
    pub(super) fn render(
        &self,
        messages: Value,
        add_generation_prompt: bool,
        text_bytes: usize,
    ) -> Result<String, ChatError> {
        let mut environment = self.environment.clone();
        let text_steps = (text_bytes as u64).saturating_mul(MAX_PASSES) / 64;
        environment.set_fuel(Some(BASE_STEPS + text_steps));
        // Neither `tools` nor `documents`: templates take undefined ones for none, but not all take `none` for that.
        let context = context! {
            messages,
            add_generation_prompt,
            bos_token => self.bos_token.as_str(),
            eos_token => self.eos_token.as_str(),
        };
        let prompt = on_own_thread(MAX_TIME, move || environment.get_template(NAME)?.render(context))?;
        let limit = text_bytes.saturating_mul(MAX_GROWTH) + MAX_OVERHEAD_BYTES;
        if prompt.len() > limit {
            return Err(ChatError::PromptTooLong { text_bytes, prompt_bytes: prompt.len() });
        }
        Ok(prompt)
    }
}

/// What the template said itself, told apart from the engine's own errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

fn raise_exception(reason: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, reason.clone()).with_source(Raised(reason)))
}

/// Python's methods of strings, lists and maps. The engine charges for their results only after they are built, so those
/// whose results outgrow their arguments are charged here.
fn python_method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let text = value.as_str().unwrap_or_default();
    let bytes = match (method, args) {
        ("replace", [old, new, ..]) => {
            let old = old.as_str().unwrap_or_default();
            let new = new.as_str().unwrap_or_default();
            text.matches(old).count().saturating_mul(new.len())
        }
        ("join", [items, ..]) => items.len().unwrap_or(0).saturating_mul(text.len()),
        // Any number in a format may be a width.
        ("format", _) => text
            .split(|character: char| !character.is_ascii_digit())
            .filter(|digits| !digits.is_empty())
            .map(|digits| digits.parse().unwrap_or(usize::MAX))
            .fold(0, usize::saturating_add),
        _ => 0,
    };
    state.consume_fuel((bytes / 64) as u64)?;
    unknown_method_callback(state, value, method, args)
}

/// Turns transformers' `{% generation %}` blocks, which only mark answers for training, into blocks that always hold.
fn without_generation_tags(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut pieces = source.split("{%");
    plain.extend(pieces.next());
    for piece in pieces {
        plain.push_str("{%");
        let (tag, rest) = piece.split_at(piece.find("%}").unwrap_or(0));
        match tag.trim_matches(|c: char| c == '-' || c == '+' || c.is_whitespace()) {
            "generation" => plain.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => plain.push_str(&tag.replace("endgeneration", "endif")),
            _ => plain.push_str(tag),
        }
        plain.push_str(rest);
    }
    plain
}

pub(super) fn on_own_thread<T: Send + 'static>(
    max_time: Duration,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, ChatError> {
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new()
        .name("chat template".to_owned())
        .stack_size(STACK_BYTES)
        // The receiver is gone after `max_time`; nobody wants the result then.
        .spawn(move || drop(sender.send(work().map_err(|error| chat_error(&error)))))
        .map_err(|error| ChatError::NoThread { reason: error.to_string() })?;
    receiver.recv_timeout(max_time).unwrap_or_else(|error| match error {
        RecvTimeoutError::Timeout => Err(ChatError::Endless),
        RecvTimeoutError::Disconnected => {
            Err(ChatError::Failed { line: 1, reason: "the template engine panicked".to_owned() })
        }
    })
}

fn chat_error(error: &Error) -> ChatError {
    let raised = error.source().and_then(|source| source.downcast_ref());
    let reason = match (raised, error.detail()) {
        (Some(Raised(reason)), _) => reason.clone(),
        (None, Some(detail)) => format!("{}: {detail}", error.kind()),
        (None, None) => error.kind().to_string(),
    };
    let reason = reason.chars().take(MAX_REASON_CHARS).collect();
    let line = error.line().unwrap_or(1);
    match error.kind() {
        _ if raised.is_some() => ChatError::Refused { reason },
        ErrorKind::OutOfFuel => ChatError::Endless,
        ErrorKind::SyntaxError => ChatError::Syntax { line, reason },
        _ => ChatError::Failed { line, reason },
    }
}
