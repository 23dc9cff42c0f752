//! One question as a file has it: named fields, and the place to name in a complaint.

use std::path::Path;

use serde_json::{Map, Value};

use super::error::{At, DataError, Place};
use super::python;

pub(super) struct Record {
    pub(super) place: Place,
    pub(super) fields: Map<String, Value>,
}

impl Record {
    pub(super) fn new(file: &Path, at: At, fields: Map<String, Value>) -> Self {
        Self { place: Place::new(file, at), fields }
    }

    pub(super) fn problem(&self, problem: impl Into<String>) -> DataError {
        self.place.problem(problem)
    }

    /// The field's value; null and blank text (an empty cell of a table) are as good as none.
    fn value(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| match value {
            Value::Null => false,
            Value::String(text) => !text.trim().is_empty(),
            _ => true,
        })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// A text that must be there; a number is taken as it is written.
    pub(super) fn text(&self, name: &str) -> Result<String, DataError> {
        self.maybe(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn maybe(&self, name: &str) -> Result<Option<String>, DataError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        plain(value).map(Some).ok_or_else(|| self.unlike(name, "text", value))
    }

    /// One text, or a list. Of objects, as VQA's annotators' answers are, the field `answer` counts.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, DataError> {
        let texts = match self.value(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => {
                let one = |item: &Value| plain(item.get("answer").unwrap_or(item));
                let texts: Option<Vec<String>> = items.iter().map(one).collect();
                texts.ok_or_else(|| self.problem(format!("field `{name}`: expected a list of texts")))?
            }
            Some(value) => vec![plain(value).ok_or_else(|| self.unlike(name, "text or a list of texts", value))?],
        };
        if texts.is_empty() {
            return Err(self.problem(format!("field `{name}`: the list is empty")));
        }
        Ok(Some(texts))
    }

    /// A finite number, also one written as text.
    pub(super) fn number(&self, name: &str) -> Result<f64, DataError> {
        let value = self.value(name).ok_or_else(|| self.missing(name))?;
        finite(value).ok_or_else(|| self.unlike(name, "a number", value))
    }

    /// Four finite numbers, also as a list in a text.
    pub(super) fn four(&self, name: &str) -> Result<[f64; 4], DataError> {
        let value = self.value(name).ok_or_else(|| self.missing(name))?;
        let numbers: Option<Vec<f64>> = match value {
            Value::Array(items) => items.iter().map(finite).collect(),
            Value::String(text) => python::list(text)
                .and_then(|items| items.iter().map(|item| item.parse().ok().filter(|n: &f64| n.is_finite())).collect()),
            _ => None,
        };
        numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| self.unlike(name, "four numbers", value))
    }

    pub(super) fn missing(&self, name: &str) -> DataError {
        let mut names: Vec<&str> = self.fields.keys().map(String::as_str).take(12).collect();
        names.sort_unstable();
        self.problem(format!("field `{name}` is missing; there is {}", names.join(", ")))
    }

    fn unlike(&self, name: &str, expected: &str, value: &Value) -> DataError {
        let found: String = value.to_string().chars().take(60).collect();
        self.problem(format!("field `{name}`: expected {expected}, found {found}"))
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn finite(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        value => value.as_f64()?,
    };
    number.is_finite().then_some(number)
}
