//! Exit codes, and how each error of the library becomes one.

use sgl::explain::ExplainError;
use sgl::gguf::GgufError;
use sgl::guidance::GuidanceError;
use sgl::llama::{LlamaError, QuantizeError};
use sgl::media::MediaError;
use sgl::pair::DemoPairError;
use sgl::pipeline::PipelineError;
use sgl::profile::ProfileError;
use sgl::vlm::VlmError;
use std::process::ExitCode;

/// How the program ends; the codes are part of its interface.
///
/// | Code | Meaning |
/// |---|---|
/// | 0 | done |
/// | 2 | the command line is wrong |
/// | 3 | an input file is missing, unreadable or not what it should be |
/// | 4 | the models do not fit together, or one cannot do what is asked of it |
/// | 5 | the prompt does not fit the context |
/// | 6 | llama.cpp failed while loading or computing |
/// | 7 | the output cannot be written |
/// | 8 | the judge of answers cannot be reached, or gives no grades |
/// | 130 | interrupted |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Usage = 2,
    Input = 3,
    Models = 4,
    Context = 5,
    Llama = 6,
    Output = 7,
    Judge = 8,
    Interrupted = 130,
}

impl Exit {
    /// What another process of this program ended with.
    #[cfg(unix)]
    pub fn of(code: i32) -> Option<Self> {
        let known =
            [Self::Done, Self::Usage, Self::Input, Self::Models, Self::Context, Self::Llama, Self::Output, Self::Judge];
        known.into_iter().chain([Self::Interrupted]).find(|exit| *exit as i32 == code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the program ends early: what is wrong, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    /// The library's messages end in `; <fix>` where there is a fix.
    pub fn new(exit: Exit, error: impl ToString) -> Self {
        let text = error.to_string();
        match text.rsplit_once("; ") {
            Some((message, hint)) => Self { exit, message: message.to_owned(), hint: Some(hint.to_owned()) },
            None => Self::verbatim(exit, text),
        }
    }

    /// For fixes that are lists, with semicolons of their own.
    pub fn listing(exit: Exit, error: impl ToString) -> Self {
        let text = error.to_string();
        match text.split_once("; ") {
            Some((message, hint)) => Self { exit, message: message.to_owned(), hint: Some(hint.to_owned()) },
            None => Self::verbatim(exit, text),
        }
    }

    /// Somebody else has said why.
    #[cfg(unix)]
    pub fn told(exit: Exit) -> Self {
        Self { exit, message: String::new(), hint: None }
    }

    /// For messages that quote others, semicolons and all.
    fn verbatim(exit: Exit, error: impl ToString) -> Self {
        Self { exit, message: error.to_string(), hint: None }
    }
}

impl From<PipelineError> for Failure {
    fn from(error: PipelineError) -> Self {
        let exit = match &error {
            PipelineError::Vlm { source, .. } => return Self::of_model(source, &error),
            PipelineError::Guidance(source) => guidance(source),
            PipelineError::NoAttention => Exit::Models,
            PipelineError::Bug { .. } | PipelineError::Threads(_) => Exit::Llama,
        };
        Self::new(exit, error)
    }
}

impl Failure {
    /// `shown` is what wraps `error` and names the model.
    fn of_model(error: &VlmError, shown: &PipelineError) -> Self {
        match error {
            VlmError::Gguf(error) => Self::new(gguf(error), shown),
            VlmError::Chat(_) => Self::new(Exit::Models, shown),
            VlmError::Guidance(error) => Self::new(guidance(error), shown),
            VlmError::ContextTooSmall { .. } | VlmError::PromptTooLong { .. } | VlmError::TooFarApart { .. } => {
                Self::new(Exit::Context, shown)
            }
            VlmError::Llama(error) => match error {
                LlamaError::Cancelled => Self::verbatim(Exit::Interrupted, "interrupted"),
                LlamaError::UnknownDevice { .. } | LlamaError::Grammar { .. } => Self::new(Exit::Usage, shown),
                LlamaError::ContextFull { .. } | LlamaError::BatchTooSmall { .. } => Self::new(Exit::Context, shown),
                LlamaError::Tokenize { .. } => Self::new(Exit::Input, shown),
                LlamaError::CreateContext { .. } => Self::new(Exit::Llama, shown),
                _ => Self::verbatim(Exit::Llama, shown),
            },
        }
    }
}

impl From<GuidanceError> for Failure {
    fn from(error: GuidanceError) -> Self {
        Self::new(guidance(&error), error)
    }
}

impl From<GgufError> for Failure {
    fn from(error: GgufError) -> Self {
        Self::new(gguf(&error), error)
    }
}

impl From<MediaError> for Failure {
    fn from(error: MediaError) -> Self {
        Self::new(Exit::Input, error)
    }
}

impl From<DemoPairError> for Failure {
    fn from(error: DemoPairError) -> Self {
        Self::new(Exit::Output, error)
    }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        Self::new(Exit::Input, error)
    }
}

impl From<ExplainError> for Failure {
    fn from(error: ExplainError) -> Self {
        let exit = if matches!(error, ExplainError::NotSeen) { Exit::Models } else { Exit::Output };
        Self::new(exit, error)
    }
}

impl From<QuantizeError> for Failure {
    fn from(error: QuantizeError) -> Self {
        match error {
            QuantizeError::Cancelled => Self::verbatim(Exit::Interrupted, "interrupted"),
            QuantizeError::Write(_) => Self::new(Exit::Output, error),
            _ => Self::new(Exit::Input, error),
        }
    }
}

fn gguf(error: &GgufError) -> Exit {
    match error {
        GgufError::WidthMismatch { .. } | GgufError::NoAttention { .. } => Exit::Models,
        _ => Exit::Input,
    }
}

fn guidance(error: &GuidanceError) -> Exit {
    match error {
        GuidanceError::UnknownLayer { .. } | GuidanceError::NoExpectation { .. } => Exit::Usage,
        _ => Exit::Models,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fix_becomes_the_hint() {
        let failure = Failure::new(Exit::Input, "a; b is wrong; do c");
        assert_eq!((failure.message.as_str(), failure.hint.as_deref()), ("a; b is wrong", Some("do c")));
        assert_eq!(Failure::new(Exit::Input, "a is wrong").hint, None);
    }
}
