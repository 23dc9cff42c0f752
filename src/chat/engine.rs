//! One bounded render in the environment that Hugging Face's `apply_chat_template` gives its templates.

use std::error::Error as _;
use std::thread;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value, context};

use super::{ChatError, clock, json};

const NAME: &str = "chat";

/// Work that any template may do; one step is an instruction or 64 bytes of data.
const BASE_FUEL: u64 = 200_000;
const STACK_BYTES: usize = 64 << 20;

/// Prompt bytes allowed for each byte of messages, and beside them.
const MAX_GROWTH: usize = 4;
const MAX_OVERHEAD_BYTES: usize = 1 << 20;

/// Half the engine's own limit, for threads whose stack is already deep.
const MAX_RECURSION: usize = 250;

#[derive(Debug)]
pub(super) struct Engine {
    environment: Environment<'static>,
    source: String,
    bos_token: String,
    eos_token: String,
}

impl Engine {
    pub(super) fn new(source: &str, bos_token: &str, eos_token: &str) -> Result<Self, ChatError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(|error| chat_error(&error, BASE_FUEL))?;
        environment.set_syntax(syntax);
        environment.set_recursion_limit(MAX_RECURSION);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", clock::strftime_now);
        environment.add_filter("tojson", json::tojson);
        let source = without_generation_tags(source);
        environment
            .add_template_owned(NAME, source.clone())
            .map_err(|error| chat_error(&error, BASE_FUEL))?;
        Ok(Self {
            environment,
            source,
            bos_token: bos_token.to_owned(),
            eos_token: eos_token.to_owned(),
        })
    }

    /// Every text that can reach the output from elsewhere than the messages.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        [&self.source, &self.bos_token, &self.eos_token]
            .into_iter()
            .map(String::as_str)
    }

    pub(super) fn bos_token(&self) -> &str {
        &self.bos_token
    }

    pub(super) fn is_bos_at_start(&self, prompt: &str) -> bool {
        !self.bos_token.is_empty() && prompt.starts_with(&self.bos_token)
    }

    /// Renders `messages` that hold `text_bytes` of text, which buys the template its work: 64 passes over each byte.
    pub(super) fn render(
        &self,
        messages: Value,
        add_generation_prompt: bool,
        text_bytes: usize,
    ) -> Result<String, ChatError> {
        let fuel = BASE_FUEL.saturating_add(text_bytes as u64 / 4);
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(fuel));
        // Like transformers: `tools` and `documents` are defined, but none.
        let context = context! {
            messages,
            add_generation_prompt,
            bos_token => self.bos_token.as_str(),
            eos_token => self.eos_token.as_str(),
            tools => (),
            documents => (),
        };
        let render = || {
            let template = environment.get_template(NAME)?;
            template.render(context)
        };
        let prompt = on_deep_stack(render).map_err(|error| chat_error(&error, fuel))?;
        let limit = text_bytes.saturating_mul(MAX_GROWTH) + MAX_OVERHEAD_BYTES;
        if prompt.len() > limit {
            return Err(ChatError::TooLong {
                text_bytes,
                prompt_bytes: prompt.len(),
            });
        }
        Ok(prompt)
    }
}

/// Lists nested by a hostile template are dropped recursively, level by level; fuel bounds the levels, this stack fits them.
fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        match thread.spawn_scoped(scope, work) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => todo!(),
        }
    })
}

/// What the template said itself, told apart from the engine's own errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

fn raise_exception(reason: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, reason.clone()).with_source(Raised(reason)))
}

fn chat_error(error: &Error, fuel: u64) -> ChatError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(Raised(reason)) = inner.downcast_ref() {
            let reason = reason.clone();
            return ChatError::Refused { reason };
        }
        cause = inner.source();
    }
    let line = error.line().unwrap_or(1);
    let reason = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    match error.kind() {
        ErrorKind::OutOfFuel => ChatError::Endless { fuel },
        ErrorKind::SyntaxError => ChatError::Syntax { line, reason },
        _ => ChatError::Failed { line, reason },
    }
}

/// Turns transformers' `{% generation %}` blocks, which only mark answers for training, into blocks that always hold.
fn without_generation_tags(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut pieces = source.split("{%");
    plain.extend(pieces.next());
    for piece in pieces {
        plain.push_str("{%");
        let tag = piece.split("%}").next().unwrap_or_default();
        let rest = piece.get(tag.len()..).unwrap_or_default();
        match tag.trim_matches(['-', '+', ' ', '\t', '\n', '\r']) {
            "generation" => plain.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => plain.push_str(&tag.replace("endgeneration", "endif")),
            _ => plain.push_str(tag),
        }
        plain.push_str(rest);
    }
    plain
}
