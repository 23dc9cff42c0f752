//! From the bytes of a request to what the models are asked. Pure: nothing is fetched, decoded or computed here.

mod chat;
mod fields;
mod format;
mod guidance;
mod messages;
mod tokenize;
mod unsupported;

pub use chat::{ChatRequest, Defaults, Sampling};
pub use format::ResponseFormat;
pub use guidance::{Explain, GuidanceRequest};
pub use messages::Conversation;
pub use tokenize::{DetokenizeRequest, TokenizeRequest};

use super::error::ApiError;
use serde_json::Value;

/// How closely a picture is to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// [`LOW_DETAIL_TOKENS`] visual tokens a picture.
    Low,
    /// What the server retains.
    #[default]
    Auto,
    /// All visual tokens.
    High,
}

/// Visual tokens that the target reads of a picture of low detail: what OpenAI charges for one.
pub const LOW_DETAIL_TOKENS: usize = 85;

/// A picture that a message names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureRef {
    /// A data URL, base64, or where it is.
    pub url: String,
    /// How closely it is to be read.
    pub detail: Detail,
    /// The field that names it, for errors.
    pub param: String,
}

/// Most values of a body: in memory each takes many times the bytes that it may have there.
const MAX_VALUES: usize = 250_000;

/// The JSON of a body.
///
/// # Errors
/// 400: it is none, is nested too deeply, or has too many values.
pub fn json(body: &[u8]) -> Result<Value, ApiError> {
    if most_values(body) > MAX_VALUES {
        let message = format!("the body has more than {MAX_VALUES} values; send fewer");
        return Err(ApiError::field("", message));
    }
    serde_json::from_slice(body).map_err(|error| ApiError::field("", format!("the body is no JSON: {error}")))
}

/// As many values as a text can have as JSON, without making them: all but the first follow one of these signs.
fn most_values(body: &[u8]) -> usize {
    let (mut n, mut in_text, mut is_escaped) = (1, false, false);
    for byte in body {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b',' | b':' | b'[' | b'{' if !in_text => n += 1,
            _ => {}
        }
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_before_they_are_made() {
        let body = |n: usize| format!(r#"{{"x":[{}1]}}"#, "1,".repeat(n));
        assert!(json(body(MAX_VALUES - 4).as_bytes()).is_ok());
        let error = json(body(MAX_VALUES).as_bytes()).unwrap_err();
        assert!(error.message.contains("more than 250000 values"), "{error:?}");
        // Text is none, however much of it there is.
        let text = format!(r#"{{"x":"{}"}}"#, r#"\"\\,[{:"#.repeat(MAX_VALUES));
        assert!(json(text.as_bytes()).is_ok());
    }
}
