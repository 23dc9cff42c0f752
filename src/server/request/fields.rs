//! JSON objects read field by field, with errors that say which field is wrong and what it should be.

use crate::server::error::ApiError;
use serde_json::{Map, Value};

/// An object of a request, and where in the request it is.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    at: String,
    fields: &'a Map<String, Value>,
}

type Result<T> = std::result::Result<T, ApiError>;

impl<'a> Fields<'a> {
    /// The object `value`, which is called `at`; the request itself is called nothing.
    ///
    /// # Errors
    /// 400: it is no object.
    pub fn of(value: &'a Value, at: impl Into<String>) -> Result<Self> {
        let at = at.into();
        match value {
            Value::Object(fields) => Ok(Self { at, fields }),
            _ if at.is_empty() => Err(ApiError::field("", "the body must be a JSON object")),
            _ => Err(wrong(&at, value, "an object")),
        }
    }

    /// The full name of a field.
    pub fn path(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// A field, null or not.
    pub fn raw(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name)
    }

    /// A field; `None` also where it is null.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.raw(name).filter(|value| !value.is_null())
    }

    /// The object in a field.
    ///
    /// # Errors
    /// 400, as those of the following.
    pub fn object(&self, name: &str) -> Result<Option<Fields<'a>>> {
        self.get(name).map(|value| Fields::of(value, self.path(name))).transpose()
    }

    /// Text.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>> {
        self.typed(name, "a string", Value::as_str)
    }

    /// A list, and what it is called.
    pub fn list(&self, name: &str) -> Result<Option<&'a [Value]>> {
        self.typed(name, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    /// True or false.
    pub fn switch(&self, name: &str) -> Result<Option<bool>> {
        self.typed(name, "true or false", Value::as_bool)
    }

    /// A finite number that fits.
    pub fn number(&self, name: &str, wanted: &str, fits: impl Fn(f64) -> bool) -> Result<Option<f64>> {
        self.typed(name, wanted, |value| value.as_f64().filter(|number| number.is_finite() && fits(*number)))
    }

    /// A whole number that fits; `4.0` is one.
    pub fn integer(&self, name: &str, wanted: &str, fits: impl Fn(i64) -> bool) -> Result<Option<i64>> {
        self.typed(name, wanted, |value| whole(value).filter(|number| fits(*number)))
    }

    fn typed<T>(&self, name: &str, wanted: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong(&self.path(name), value, wanted))
    }
}

/// 400: the field `at` is `value` and should be something else.
pub fn wrong(at: &str, value: &Value, wanted: &str) -> ApiError {
    ApiError::field(at, format!("{at} is {}; it must be {wanted}", excerpt(value)))
}

/// A number without a fraction.
pub fn whole(value: &Value) -> Option<i64> {
    let float = || value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9e15);
    value.as_i64().or_else(|| float().map(|number| number as i64))
}

/// A value in a message: requests hold pictures of megabytes.
fn excerpt(value: &Value) -> String {
    const LONGEST: usize = 40;
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if text.chars().count() > LONGEST => {
            let start: String = text.chars().take(LONGEST).collect();
            format!("{}...", Value::String(start))
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_have_types() {
        let value = json!({"a": {"b": 4.0, "c": null, "d": 0.5, "e": "x", "f": [1], "g": true}});
        let outer = Fields::of(&value, "").unwrap();
        let fields = outer.object("a").unwrap().unwrap();
        assert_eq!(fields.integer("b", "", |_| true), Ok(Some(4)));
        assert_eq!(fields.integer("c", "", |_| true), Ok(None));
        assert_eq!(fields.number("d", "", |_| true), Ok(Some(0.5)));
        assert_eq!((fields.text("e"), fields.switch("g")), (Ok(Some("x")), Ok(Some(true))));
        assert_eq!(fields.list("f").unwrap().unwrap().len(), 1);
        let error = fields.integer("d", "a whole number", |_| true).unwrap_err();
        assert_eq!(
            (error.message.as_str(), error.param.as_deref()),
            ("a.d is 0.5; it must be a whole number", Some("a.d"))
        );
        assert_eq!(fields.text("f").unwrap_err().message, "a.f is a list; it must be a string");
        assert!(Fields::of(&json!([1]), "").is_err());
    }

    #[test]
    fn long_values_are_cut() {
        let error = wrong("a", &json!("é".repeat(100)), "short");
        assert_eq!(error.message, format!("a is \"{}\"...; it must be short", "é".repeat(40)));
    }

    #[test]
    fn numbers_out_of_range_are_no_integers() {
        let value: Value = serde_json::from_str(r#"{"a": 1e300, "b": 99999999999999999999, "c": 1e999}"#).unwrap();
        let fields = Fields::of(&value, "").unwrap();
        for name in ["a", "b", "c"] {
            assert!(fields.integer(name, "", |_| true).is_err(), "{name}");
        }
        assert!(fields.number("c", "", |_| true).is_err());
    }
}
