//! Fields that clients know and this server cannot honour: it says so instead of answering as if it had.

use super::fields::Fields;
use crate::server::error::ApiError;
use serde_json::Value;

/// A field, and the values of it that ask for nothing.
type Refused = (&'static str, fn(&Value) -> bool, &'static str);

const REFUSED: &[Refused] = &[
    ("tools", is_empty, "functions are not called here"),
    ("functions", is_empty, "functions are not called here"),
    ("tool_choice", is_no_choice, "functions are not called here"),
    ("function_call", is_no_choice, "functions are not called here"),
    ("audio", never, "answers are text"),
    ("modalities", is_text_alone, "answers are text"),
    ("n", is_one, "one answer is given to a request; send it again with another seed"),
    ("best_of", is_one, "one answer is given to a request"),
    ("logit_bias", is_empty, "tokens have no bias"),
    ("frequency_penalty", is_zero, "repetition is not punished"),
    ("presence_penalty", is_zero, "repetition is not punished"),
    ("repeat_penalty", is_one, "repetition is not punished"),
    ("repetition_penalty", is_one, "repetition is not punished"),
    ("dry_multiplier", is_zero, "repetition is not punished"),
    ("typical_p", is_one, "temperature, top_k, top_p and min_p are all samplers"),
    ("xtc_probability", is_zero, "temperature, top_k, top_p and min_p are all samplers"),
    ("dynatemp_range", is_zero, "temperature, top_k, top_p and min_p are all samplers"),
    ("mirostat", is_zero, "temperature, top_k, top_p and min_p are all samplers"),
    ("samplers", is_empty, "their order is fixed"),
    ("lora", is_empty, "adapters are not loaded"),
    ("prediction", never, "the guide's answer is the draft"),
    ("web_search_options", never, "the server does not search"),
];

/// Refuses what would change the answer and cannot be done.
///
/// # Errors
/// 400, naming the field.
pub fn check(fields: &Fields<'_>) -> Result<(), ApiError> {
    for (name, asks_nothing, why) in REFUSED {
        if fields.get(name).is_some_and(|value| !asks_nothing(value)) {
            return Err(ApiError::field(*name, format!("{name} is not supported: {why}; leave {name} out")));
        }
    }
    Ok(())
}

fn never(_: &Value) -> bool {
    false
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn is_no_choice(value: &Value) -> bool {
    matches!(value.as_str(), Some("none" | "auto"))
}

fn is_text_alone(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.iter().all(|kind| kind == "text"))
}

fn is_one(value: &Value) -> bool {
    value.as_f64() == Some(1.0)
}

fn is_zero(value: &Value) -> bool {
    value.as_f64() == Some(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_done_is_named() {
        for value in [
            json!({"tools": [{"type": "function"}]}),
            json!({"n": 2}),
            json!({"n": "1"}),
            json!({"audio": {}}),
            json!({"modalities": ["text", "audio"]}),
            json!({"tool_choice": "required"}),
            json!({"frequency_penalty": 0.5}),
            json!({"logit_bias": {"50256": -100}}),
        ] {
            let error = check(&Fields::of(&value, "").unwrap()).unwrap_err();
            let name = value.as_object().unwrap().keys().next().unwrap();
            assert_eq!(error.param.as_ref(), Some(name));
            assert!(error.message.starts_with(&format!("{name} is not supported")), "{}", error.message);
        }
    }

    #[test]
    fn what_asks_for_nothing_is_accepted() {
        let value = json!({
            "n": 1, "tools": [], "tool_choice": "none", "modalities": ["text"], "logit_bias": {}, "frequency_penalty": 0,
            "presence_penalty": 0.0, "audio": null, "repeat_penalty": 1.0, "user": "x", "store": false, "unheard_of": [1],
        });
        assert_eq!(check(&Fields::of(&value, "").unwrap()), Ok(()));
    }
}
