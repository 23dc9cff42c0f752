//! What can go wrong with a chat template.

/// Why there is no prompt. Line numbers count from 1 in the template's source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// The template does not parse.
    #[error("chat template, line {line}: {reason}; give another template")]
    Syntax {
        /// Where.
        line: usize,
        /// The parser's reason.
        reason: String,
    },
    /// The template parses but fails.
    #[error("chat template, line {line}: {reason}; give another template")]
    Failed {
        /// Where.
        line: usize,
        /// The engine's reason.
        reason: String,
    },
    /// The template itself called `raise_exception`.
    #[error("the chat template refuses these messages: {reason}")]
    Refused {
        /// The template's own words.
        reason: String,
    },
    /// The template does more work, or takes more memory or time, than a conversation of this size can need.
    #[error("the chat template does not end; give another template")]
    Endless,
    /// The template's source is longer than any real one.
    #[error("the chat template has {bytes} bytes, more than {max_bytes}; give another template")]
    SourceTooLong {
        /// Size of the source, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        max_bytes: usize,
    },
    /// The template blows the conversation up.
    #[error("the chat template turns {text_bytes} bytes of messages into {prompt_bytes}; give another template")]
    PromptTooLong {
        /// Size of the messages, in bytes.
        text_bytes: usize,
        /// Size of the prompt, in bytes.
        prompt_bytes: usize,
    },
    /// The system gives no thread to render on.
    #[error("cannot start a thread for the chat template: {reason}")]
    NoThread {
        /// The system's reason.
        reason: String,
    },
    /// Neither a string nor typed parts come out of the template.
    #[error("the chat template shows no user text, given as a string or as typed parts; give another template")]
    Unusable,
    /// A message does not come out of the template.
    #[error("the chat template drops message {index} ({role}); give another template")]
    Dropped {
        /// Index of the message, from 0.
        index: usize,
        /// Its role, as templates write it.
        role: &'static str,
    },
    /// The pictures do not come out of the template once each and in order.
    #[error(
        "the chat template shows the pictures {found:?} where the messages have {expected}, counted from 0; give another template"
    )]
    Pictures {
        /// Pictures in the messages.
        expected: usize,
        /// The pictures as they came out.
        found: Vec<usize>,
    },
    /// There is nothing to render.
    #[error("there are no messages; give at least one")]
    NoMessages,
    /// The messages use every character that could mark a picture.
    #[error("the messages use every private character of the last Unicode plane; leave one out")]
    NoMarker,
}
