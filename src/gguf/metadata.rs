use std::collections::BTreeMap;
use std::io::Cursor;

use gguf_rs::{ByteOrder, GGUFContainer};
use serde_json::Value;

use super::scan::{Array, Pairs};

/// Decoded key-value pairs, and the lengths of the arrays that were too long to keep.
#[derive(Debug)]
pub(super) struct Metadata {
    values: BTreeMap<String, Value>,
    arrays: BTreeMap<String, Array>,
    types: BTreeMap<String, u32>,
}

impl Metadata {
    /// Decodes the kept pairs with `gguf_rs`. It gets them as a file without tensors, because it trusts every count and
    /// length, computes wrong sizes for some tensor types and panics on type 40 (NVFP4).
    pub fn decode(pairs: Pairs) -> Result<Self, String> {
        let mut stream = Vec::with_capacity(pairs.kept.len() + 20);
        stream.extend(3u32.to_le_bytes());
        stream.extend(0u64.to_le_bytes());
        stream.extend(pairs.n_kept.to_le_bytes());
        stream.extend(pairs.kept);
        let model = GGUFContainer::new(ByteOrder::LE, Box::new(Cursor::new(stream)), u64::MAX)
            .decode()
            .map_err(|error| error.to_string())?;
        Ok(Self { values: model.metadata().clone(), arrays: pairs.arrays, types: pairs.types })
    }

    /// All that is said of the vision encoder, but for the width of its projector's output, one setting a line.
    pub fn vision_settings(&self) -> String {
        let is_vision = |key: &str| {
            (key.starts_with("clip.vision.") || key.starts_with("clip.use_")) && key != "clip.vision.projection_dim"
        };
        let settings = self.values.iter().filter(|(key, _)| is_vision(key));
        settings.map(|(key, value)| format!("{key} = {value}\n")).collect()
    }

    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    pub fn text(&self, key: &str) -> Option<String> {
        self.values.get(key)?.as_str().map(str::to_owned)
    }

    pub fn number(&self, key: &str) -> Option<u64> {
        self.values.get(key)?.as_u64()
    }

    /// A finite number, whole or not.
    pub fn real(&self, key: &str) -> Option<f64> {
        self.values.get(key)?.as_f64()
    }

    /// Whether there is a value at `key`, of whatever type, that is no array.
    pub fn is_scalar(&self, key: &str) -> bool {
        self.values.get(key).is_some_and(|value| !value.is_array())
    }

    pub fn flag(&self, key: &str) -> bool {
        self.values.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// An array of whole numbers.
    pub fn numbers(&self, key: &str) -> Option<Vec<i64>> {
        self.values.get(key)?.as_array()?.iter().map(Value::as_i64).collect()
    }

    /// GGUF type of the value at `key`, kept or not.
    pub fn type_of(&self, key: &str) -> Option<u32> {
        self.types.get(key).copied()
    }

    pub fn array(&self, key: &str) -> Option<Array> {
        self.arrays.get(key).copied()
    }
}
