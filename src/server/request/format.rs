//! The field `response_format`.

use super::fields::{Fields, wrong};
use crate::grammar::Grammar;
use crate::server::error::ApiError;
use serde_json::Value;

/// What form the answer has.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum ResponseFormat {
    /// Any.
    #[default]
    Text,
    /// Any JSON object.
    Object,
    /// JSON that this schema allows.
    Schema(Value),
}

impl ResponseFormat {
    /// Reads the field.
    ///
    /// # Errors
    /// 400, naming the field.
    pub fn parse(fields: &Fields<'_>) -> Result<Self, ApiError> {
        let Some(format) = fields.object("response_format")? else { return Ok(Self::Text) };
        let at = format.path("type");
        let kind = format.text("type")?;
        match kind.ok_or_else(|| ApiError::field(&at, format!("{at} is missing; it must be {KINDS}")))? {
            "text" => Ok(Self::Text),
            // llama-server takes a schema here too.
            "json_object" => match format.get("schema") {
                Some(schema) => schema_of(schema, &format.path("schema")),
                None => Ok(Self::Object),
            },
            "json_schema" => {
                let at = format.path("json_schema");
                let missing = || ApiError::field(&at, format!("{at} is missing; send {{\"schema\": ...}}"));
                let named = format.object("json_schema")?.ok_or_else(missing)?;
                match named.get("schema") {
                    Some(schema) => schema_of(schema, &named.path("schema")),
                    None => {
                        Err(ApiError::field(named.path("schema"), format!("{at}.schema is missing; send a schema")))
                    }
                }
            }
            other => Err(ApiError::field(&at, format!("{at} is {other:?}; it must be {KINDS}"))),
        }
    }

    /// What the models' answers must obey.
    ///
    /// # Errors
    /// 400: the schema is none, or says what a grammar cannot.
    pub fn grammar(&self) -> Result<Option<Grammar>, ApiError> {
        match self {
            Self::Text => Ok(None),
            Self::Object => Ok(Some(Grammar::json_object())),
            Self::Schema(schema) => {
                Grammar::json_schema(schema).map(Some).map_err(|error| ApiError::field(SCHEMA, error))
            }
        }
    }
}

/// The schema's name in the request, for errors.
const SCHEMA: &str = "response_format";
const KINDS: &str = "text, json_object or json_schema";

fn schema_of(value: &Value, at: &str) -> Result<ResponseFormat, ApiError> {
    match value {
        Value::Object(_) => Ok(ResponseFormat::Schema(value.clone())),
        _ => Err(wrong(at, value, "a JSON schema, which is an object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(format: Value) -> Result<ResponseFormat, ApiError> {
        let body = json!({ "response_format": format });
        ResponseFormat::parse(&Fields::of(&body, "").unwrap())
    }

    #[test]
    fn formats() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
        assert_eq!(parse(json!(null)), Ok(ResponseFormat::Text));
        assert_eq!(parse(json!({"type": "text"})), Ok(ResponseFormat::Text));
        assert_eq!(parse(json!({"type": "json_object"})), Ok(ResponseFormat::Object));
        for format in [
            json!({"type": "json_object", "schema": schema}),
            json!({"type": "json_schema", "json_schema": {"name": "count", "strict": true, "schema": schema}}),
        ] {
            assert_eq!(parse(format), Ok(ResponseFormat::Schema(schema.clone())));
        }
        for (format, param) in [
            (json!("json"), "response_format"),
            (json!({}), "response_format.type"),
            (json!({"type": "xml"}), "response_format.type"),
            (json!({"type": "json_schema"}), "response_format.json_schema"),
            (json!({"type": "json_schema", "json_schema": {}}), "response_format.json_schema.schema"),
            (json!({"type": "json_schema", "json_schema": {"schema": 1}}), "response_format.json_schema.schema"),
        ] {
            assert_eq!(parse(format).unwrap_err().param.as_deref(), Some(param));
        }
    }
}
