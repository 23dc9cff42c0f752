//! Grammars that an answer must obey, in llama.cpp's notation (GBNF), and how they are made from JSON schemas.

mod schema;

pub use schema::SchemaError;

use serde_json::Value;

/// A grammar in GBNF whose start rule is `root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grammar {
    text: String,
}

impl Grammar {
    /// From GBNF of a trusted author: llama.cpp bounds neither the time nor the memory that a grammar takes. What is no grammar
    /// is refused when it is used.
    pub fn gbnf(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// Any JSON object.
    pub fn json_object() -> Self {
        Self { text: schema::any_object() }
    }

    /// The documents of a JSON schema, or some of them: properties come in the order in which the schema has them, and beside
    /// declared properties there are no others. See `SchemaError::Unsupported` for what cannot be expressed.
    ///
    /// # Errors
    /// [`SchemaError`].
    pub fn json_schema(schema: &Value) -> Result<Self, SchemaError> {
        Ok(Self { text: schema::grammar(schema)? })
    }

    /// The grammar's text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests;
