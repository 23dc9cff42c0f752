//! The bodies of `/tokenize` and `/detokenize`, as llama-server takes them.

use super::fields::{Fields, whole, wrong};
use super::json;
use crate::llama::Token;
use crate::server::error::ApiError;
use crate::vlm::Role;

/// A text to cut into tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizeRequest {
    /// The text.
    pub content: String,
    /// Whether the names of special tokens stand for them.
    pub parse_special: bool,
    /// Whether the text of each token is wanted too.
    pub with_pieces: bool,
    /// Whose vocabulary.
    pub role: Role,
}

/// Tokens to put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetokenizeRequest {
    /// The tokens.
    pub tokens: Vec<Token>,
    /// Whose vocabulary.
    pub role: Role,
}

impl TokenizeRequest {
    /// # Errors
    /// 400, naming the field.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let value = json(body)?;
        let fields = Fields::of(&value, "")?;
        let content = fields.text("content")?;
        let missing = || ApiError::field("content", "content is missing; send the text");
        Ok(Self {
            content: content.ok_or_else(missing)?.to_owned(),
            parse_special: fields.switch("parse_special")?.unwrap_or(true),
            with_pieces: fields.switch("with_pieces")?.unwrap_or(false),
            role: role(&fields)?,
        })
    }
}

impl DetokenizeRequest {
    /// # Errors
    /// 400, naming the field.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let value = json(body)?;
        let fields = Fields::of(&value, "")?;
        let missing = || ApiError::field("tokens", "tokens is missing; send a list of token numbers");
        let list = fields.list("tokens")?.ok_or_else(missing)?;
        let token = |(index, value): (usize, &serde_json::Value)| {
            let token = whole(value).and_then(|token| Token::try_from(token).ok()).filter(|token| *token >= 0);
            token.ok_or_else(|| wrong(&format!("tokens[{index}]"), value, "the number of a token"))
        };
        Ok(Self { tokens: list.iter().enumerate().map(token).collect::<Result<_, _>>()?, role: role(&fields)? })
    }
}

fn role(fields: &Fields<'_>) -> Result<Role, ApiError> {
    match fields.text("role")? {
        None | Some("target") => Ok(Role::Target),
        Some("guide") => Ok(Role::Guide),
        Some(role) => Err(ApiError::field("role", format!("role is {role:?}; it must be target or guide"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let parsed = TokenizeRequest::parse(br#"{"content": "a b", "with_pieces": true, "role": "guide"}"#).unwrap();
        assert_eq!((parsed.content.as_str(), parsed.with_pieces, parsed.role), ("a b", true, Role::Guide));
        assert_eq!(DetokenizeRequest::parse(br#"{"tokens": [1, 2.0]}"#).unwrap().tokens, [1, 2]);
        for (body, param) in
            [("{}", "content"), (r#"{"content": 1}"#, "content"), (r#"{"content": "", "role": "x"}"#, "role")]
        {
            assert_eq!(TokenizeRequest::parse(body.as_bytes()).unwrap_err().param.as_deref(), Some(param));
        }
        for tokens in ["[-1]", "[1.5]", "[99999999999]", "[\"1\"]", "[null]"] {
            let body = format!(r#"{{"tokens": {tokens}}}"#);
            assert_eq!(DetokenizeRequest::parse(body.as_bytes()).unwrap_err().param.as_deref(), Some("tokens[0]"));
        }
    }
}
