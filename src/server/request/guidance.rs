//! The object `sgl` of a request: what a server of other models does not know.

use super::fields::{Fields, wrong};
use crate::guidance::{Policy, Retain};
use crate::server::error::ApiError;
use serde_json::Value;

/// What is to be shown of the guide's attention.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Explain {
    /// Nothing.
    #[default]
    No,
    /// A heat map of each picture, as PNG in a data URL.
    Image,
    /// Rectangles and values of the visual tokens.
    Tokens,
}

/// What a request changes of the guidance; `None` in the outer place: as the server was told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GuidanceRequest {
    /// How many visual tokens the target reads; `Some(None)`: all.
    pub retain: Option<Option<Retain>>,
    /// The score from which the guide's answer is final; `Some(None)`: never.
    pub exit_threshold: Option<Option<f64>>,
    /// What ranks visual tokens.
    pub policy: Option<Policy>,
    /// What is to be shown.
    pub explain: Explain,
}

impl GuidanceRequest {
    /// Reads the field `sgl`.
    ///
    /// # Errors
    /// 400, naming the field.
    pub fn parse(fields: &Fields<'_>) -> Result<Self, ApiError> {
        let Some(fields) = fields.object("sgl")? else { return Ok(Self::default()) };
        let retain = |value| retain(&fields.path("retain"), value);
        let threshold = "a number from 0 to 1, or null for never";
        let exit_threshold = fields.number("exit_threshold", threshold, |number| (0.0..=1.0).contains(&number))?;
        let policy = fields.text("policy")?.map(str::parse).transpose();
        Ok(Self {
            retain: fields.raw("retain").map(retain).transpose()?,
            exit_threshold: fields.raw("exit_threshold").map(|_| exit_threshold),
            policy: policy.map_err(|error| ApiError::field(fields.path("policy"), error))?,
            explain: explain(&fields)?,
        })
    }

    /// A field that only a guide can honour, if the request has one.
    pub fn needs_guide(&self) -> Option<&'static str> {
        match self {
            Self { retain: Some(Some(retain)), .. } if !retain.keeps_all() => Some("sgl.retain"),
            Self { exit_threshold: Some(Some(_)), .. } => Some("sgl.exit_threshold"),
            Self { policy: Some(_), .. } => Some("sgl.policy"),
            Self { explain: Explain::Image | Explain::Tokens, .. } => Some("sgl.explain"),
            _ => None,
        }
    }
}

/// A share as a number up to 1, a count as a whole number above, or a text as `--retain` takes it.
fn retain(at: &str, value: &Value) -> Result<Option<Retain>, ApiError> {
    let wanted = "a share above 0 and at most 1, a number of tokens, a text such as \"25%\", or null for all";
    match value {
        Value::Null => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(|error| ApiError::field(at, error)),
        _ => match value.as_f64() {
            Some(share) if share > 0.0 && share <= 1.0 => Ok(Some(Retain::Share(share))),
            Some(count) if count > 1.0 && count.fract() == 0.0 && count < 1e9 => {
                Ok(Some(Retain::Count(count as usize)))
            }
            _ => Err(wrong(at, value, wanted)),
        },
    }
}

fn explain(fields: &Fields<'_>) -> Result<Explain, ApiError> {
    match fields.get("explain") {
        None | Some(Value::Bool(false)) => Ok(Explain::No),
        Some(Value::Bool(true)) => Ok(Explain::Image),
        Some(Value::String(what)) if what == "image" => Ok(Explain::Image),
        Some(Value::String(what)) if what == "tokens" => Ok(Explain::Tokens),
        Some(other) => Err(wrong(&fields.path("explain"), other, "true, false, \"image\" or \"tokens\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(sgl: Value) -> Result<GuidanceRequest, ApiError> {
        let body = json!({ "sgl": sgl });
        GuidanceRequest::parse(&Fields::of(&body, "").unwrap())
    }

    #[test]
    fn retention_is_a_share_a_count_or_a_text() {
        for (value, retain) in [
            (json!(0.1), Some(Retain::Share(0.1))),
            (json!(1), Some(Retain::Share(1.0))),
            (json!(64), Some(Retain::Count(64))),
            (json!("25%"), Some(Retain::Share(0.25))),
            (json!("90%mass"), Some(Retain::Mass(0.9))),
            (json!("64t"), Some(Retain::Count(64))),
            (json!(null), None),
        ] {
            assert_eq!(parse(json!({ "retain": value.clone() })).unwrap().retain, Some(retain), "{value}");
        }
        assert_eq!(parse(json!({})).unwrap(), GuidanceRequest::default());
        for value in [json!(0), json!(-1), json!(1.5), json!(true), json!("0"), json!("all"), json!([1]), json!(1e300)]
        {
            let error = parse(json!({ "retain": value.clone() })).unwrap_err();
            assert_eq!(error.param.as_deref(), Some("sgl.retain"), "{value}");
        }
    }

    #[test]
    fn null_is_never_and_nothing_is_as_the_server_was_told() {
        assert_eq!(parse(json!({"exit_threshold": null})).unwrap().exit_threshold, Some(None));
        assert_eq!(parse(json!({"exit_threshold": 0.5})).unwrap().exit_threshold, Some(Some(0.5)));
        assert_eq!(parse(json!(null)).unwrap(), GuidanceRequest::default());
        for (sgl, param) in [
            (json!({"exit_threshold": 1.1}), "sgl.exit_threshold"),
            (json!({"exit_threshold": "0.5"}), "sgl.exit_threshold"),
            (json!({"policy": "best"}), "sgl.policy"),
            (json!({"policy": 1}), "sgl.policy"),
            (json!({"explain": "heat"}), "sgl.explain"),
            (json!([]), "sgl"),
        ] {
            assert_eq!(parse(sgl).unwrap_err().param.as_deref(), Some(param));
        }
    }

    #[test]
    fn what_needs_a_guide_is_known() {
        let needs = |sgl| parse(sgl).unwrap().needs_guide();
        assert_eq!(needs(json!({"retain": 0.5})), Some("sgl.retain"));
        assert_eq!(needs(json!({"retain": 1, "exit_threshold": null, "explain": false})), None);
        assert_eq!(needs(json!({"explain": true})), Some("sgl.explain"));
        assert_eq!(needs(json!({"policy": "uniform"})), Some("sgl.policy"));
    }
}
