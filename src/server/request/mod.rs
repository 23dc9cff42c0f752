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

/// The JSON of a body.
///
/// # Errors
/// 400: it is none, or nested too deeply.
pub fn json(body: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::field("", format!("the body is no JSON: {error}")))
}
