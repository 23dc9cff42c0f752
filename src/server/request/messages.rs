//! Messages: who says what, and which pictures are shown.

use super::fields::{Fields, wrong};
use super::{Detail, PictureRef};
use crate::chat::{Message, Part, Role};
use crate::server::error::ApiError;
use serde_json::Value;

/// A conversation whose picture parts stand for `pictures` in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conversation {
    /// The messages.
    pub messages: Vec<Message>,
    /// Their pictures, not yet fetched.
    pub pictures: Vec<PictureRef>,
}

impl Conversation {
    /// Reads the field `messages`.
    ///
    /// # Errors
    /// 400, naming the message.
    pub fn parse(fields: &Fields<'_>) -> Result<Self, ApiError> {
        let missing = || ApiError::field("messages", "messages is missing; send a list of messages");
        let list = fields.list("messages")?.ok_or_else(missing)?;
        if list.is_empty() {
            return Err(ApiError::field("messages", "messages is empty; send at least one message"));
        }
        let mut conversation = Self::default();
        for (index, value) in list.iter().enumerate() {
            let message = conversation.message(&Fields::of(value, format!("messages[{index}]"))?)?;
            conversation.messages.push(message);
        }
        Ok(conversation)
    }

    fn message(&mut self, fields: &Fields<'_>) -> Result<Message, ApiError> {
        let role = role(fields)?;
        if role == Role::Assistant && fields.get("tool_calls").is_some_and(|calls| calls != &Value::Array(Vec::new())) {
            return Err(refused(&fields.path("tool_calls"), "functions are not called here"));
        }
        let at = fields.path("content");
        let parts = match fields.get("content") {
            Some(Value::String(text)) => vec![Part::Text(text.clone())],
            Some(Value::Array(list)) => {
                let part = |(index, value)| self.part(role, &Fields::of(value, format!("{at}[{index}]"))?);
                list.iter().enumerate().map(part).collect::<Result<_, _>>()?
            }
            Some(other) => return Err(wrong(&at, other, "a string or a list of parts")),
            None if role == Role::Assistant => vec![Part::Text(String::new())],
            None => return Err(ApiError::field(&at, format!("{at} is missing; send a string or a list of parts"))),
        };
        Ok(Message { role, parts })
    }

    fn part(&mut self, role: Role, fields: &Fields<'_>) -> Result<Part, ApiError> {
        let at = fields.path("type");
        let kind = fields.text("type")?;
        match kind.ok_or_else(|| ApiError::field(&at, format!("{at} is missing; it must be text or image_url")))? {
            "text" => {
                let at = fields.path("text");
                let text = fields.text("text")?;
                let text = text.ok_or_else(|| ApiError::field(&at, format!("{at} is missing; send the text")))?;
                Ok(Part::Text(text.to_owned()))
            }
            "image_url" if role == Role::User => {
                self.pictures.push(picture(fields)?);
                Ok(Part::Picture)
            }
            "image_url" => Err(refused(&at, "only the user shows pictures; move it to a message of the user")),
            kind @ ("input_audio" | "input_video" | "video_url" | "file" | "refusal") => {
                Err(refused(&at, &format!("{kind} parts are not read; send text or image_url")))
            }
            kind => Err(ApiError::field(&at, format!("{at} is {kind:?}; it must be text or image_url"))),
        }
    }
}

fn role(fields: &Fields<'_>) -> Result<Role, ApiError> {
    let at = fields.path("role");
    let role = fields.text("role")?;
    match role.ok_or_else(|| ApiError::field(&at, format!("{at} is missing; it must be system, user or assistant")))? {
        "system" | "developer" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" | "function" => Err(refused(&at, "functions are not called here")),
        role => Err(ApiError::field(&at, format!("{at} is {role:?}; it must be system, user or assistant"))),
    }
}

/// `image_url` is an object with a `url`, or the URL itself as some clients send it.
fn picture(fields: &Fields<'_>) -> Result<PictureRef, ApiError> {
    let param = fields.path("image_url");
    if let Some(Value::String(url)) = fields.get("image_url") {
        return Ok(PictureRef { url: url.clone(), detail: Detail::Auto, param });
    }
    let missing = || ApiError::field(&param, format!("{param} is missing; send {{\"url\": ...}}"));
    let image = fields.object("image_url")?.ok_or_else(missing)?;
    let at = image.path("url");
    let url = image.text("url")?.ok_or_else(|| ApiError::field(&at, format!("{at} is missing; send a data URL")))?;
    let at = image.path("detail");
    let detail = match image.text("detail")? {
        None | Some("auto") => Detail::Auto,
        Some("low") => Detail::Low,
        Some("high") => Detail::High,
        Some(detail) => return Err(ApiError::field(&at, format!("{at} is {detail:?}; it must be low, high or auto"))),
    };
    Ok(PictureRef { url: url.to_owned(), detail, param: image.path("url") })
}

fn refused(at: &str, why: &str) -> ApiError {
    ApiError::field(at, format!("{at} is not supported: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(messages: Value) -> Result<Conversation, ApiError> {
        let body = json!({ "messages": messages });
        Conversation::parse(&Fields::of(&body, "").unwrap())
    }

    #[test]
    fn conversations_keep_their_order() {
        let conversation = parse(json!([
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "Compare "},
                {"type": "image_url", "image_url": {"url": "data:a", "detail": "low"}},
                {"type": "image_url", "image_url": "data:b"},
            ]},
            {"role": "assistant", "content": null},
            {"role": "user", "content": "So?"},
        ]))
        .unwrap();
        let roles: Vec<_> = conversation.messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::User]);
        assert_eq!(conversation.messages[1].parts, [Part::Text("Compare ".into()), Part::Picture, Part::Picture]);
        let [first, second] = &conversation.pictures[..] else { panic!("{conversation:?}") };
        assert_eq!((first.url.as_str(), first.detail), ("data:a", Detail::Low));
        assert_eq!((second.url.as_str(), second.detail), ("data:b", Detail::Auto));
        assert_eq!(first.param, "messages[1].content[1].image_url.url");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let picture = json!({"type": "image_url", "image_url": {"url": "x"}});
        for (messages, param) in [
            (json!("hello"), "messages"),
            (json!([]), "messages"),
            (json!(["hello"]), "messages[0]"),
            (json!([{"content": "x"}]), "messages[0].role"),
            (json!([{"role": "tool", "content": "x"}]), "messages[0].role"),
            (json!([{"role": "USER", "content": "x"}]), "messages[0].role"),
            (json!([{"role": 1, "content": "x"}]), "messages[0].role"),
            (json!([{"role": "user"}]), "messages[0].content"),
            (json!([{"role": "user", "content": 5}]), "messages[0].content"),
            (json!([{"role": "user", "content": ["x"]}]), "messages[0].content[0]"),
            (json!([{"role": "user", "content": [{"text": "x"}]}]), "messages[0].content[0].type"),
            (json!([{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content[0].text"),
            (json!([{"role": "user", "content": [{"type": "input_audio"}]}]), "messages[0].content[0].type"),
            (json!([{"role": "user", "content": [{"type": "image_url"}]}]), "messages[0].content[0].image_url"),
            (
                json!([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]),
                "messages[0].content[0].image_url.url",
            ),
            (
                json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "detail": "most"}}]}]),
                "messages[0].content[0].image_url.detail",
            ),
            (json!([{"role": "system", "content": [picture]}]), "messages[0].content[0].type"),
            (json!([{"role": "assistant", "content": "", "tool_calls": [1]}]), "messages[0].tool_calls"),
        ] {
            let error = parse(messages.clone()).unwrap_err();
            assert_eq!((error.status.as_u16(), error.param.as_deref()), (400, Some(param)), "{messages}: {error:?}");
        }
    }
}
