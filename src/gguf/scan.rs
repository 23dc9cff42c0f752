//! One bounded pass over a GGUF header. Nothing is allocated or skipped on the word of the file alone: a length is
//! first held against the bytes the file still has, and against the limits below.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek};

use super::GgufError;
use super::source::Source;
use super::types::{TensorType, tensor_type};

/// One entry of the tensor table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Elements along each axis in ggml's order: the fastest axis (a matrix's input width) first.
    pub dims: Vec<u64>,
    /// Storage format, for example `Q4_K`.
    pub type_name: &'static str,
    /// Product of `dims`.
    pub n_elements: u64,
    /// Size in the file, padding excluded.
    pub bytes: u64,
    /// `ggml_type`.
    pub(crate) kind: u32,
    /// Where it begins, from the beginning of all tensors' data.
    pub(crate) offset: u64,
}

/// Where an array's elements lie in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Array {
    pub n_elements: u64,
    pub item: u32,
    position: u64,
}

/// The key-value section.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// The pairs worth decoding, in GGUF's own encoding.
    pub kept: Vec<u8>,
    pub n_kept: u64,
    /// Every array, kept or not.
    pub arrays: BTreeMap<String, Array>,
    /// GGUF type of every value.
    pub types: BTreeMap<String, u32>,
    /// Where the value of [`FILE_TYPE`] lies in the file, if it is a number of 32 bits.
    pub file_type: Option<u64>,
    /// Estimate of what the kept pairs and all keys take once decoded.
    memory_bytes: u64,
}

/// Limit on the number of pairs, and of tensors. Large mixture models have a few thousand tensors.
const MAX_ENTRIES: u64 = 1 << 17;
/// Limit on decoded metadata in memory.
const MAX_MEMORY_BYTES: u64 = 64 << 20;
/// What a decoded value costs beside its text.
const VALUE_BYTES: u64 = 64;
/// Longer texts (a whole tokenizer as JSON) are not kept.
const MAX_KEPT_TEXT_BYTES: u64 = 1 << 20;
/// Longer arrays (vocabulary, merges) are not kept, only their length and place.
const MAX_KEPT_ELEMENTS: u64 = 4096;
const MAX_KEY_BYTES: u64 = u16::MAX as u64;
const MAX_TOKEN_BYTES: u64 = u16::MAX as u64;
/// Limit on the tokens held against each other, eight times the largest vocabularies: bounds the memory.
const MAX_COMPARED_TOKENS: u64 = 1 << 21;
/// `GGML_MAX_NAME`, less its terminating zero.
const MAX_TENSOR_NAME_BYTES: u64 = 63;
/// `GGML_MAX_DIMS`.
const MAX_DIMENSIONS: u32 = 4;

const FILE_TYPE: &str = "general.file_type";

pub(super) const NUMBER: u32 = 4;
pub(super) const REAL: u32 = 6;
pub(super) const STRING: u32 = 8;
const ARRAY: u32 = 9;

impl<R: Read + Seek> Source<'_, R> {
    /// A number of entries.
    pub fn count(&mut self, what: &str) -> Result<u64, GgufError> {
        let n = self.u64()?;
        if n > MAX_ENTRIES {
            return Err(self.damaged(format!("it claims {n} {what}, and {MAX_ENTRIES} is the limit")));
        }
        Ok(n)
    }

    /// Reads `n_pairs` key-value pairs. Keys are unique and not empty, arrays do not nest.
    pub fn pairs(&mut self, n_pairs: u64) -> Result<Pairs, GgufError> {
        let mut pairs = Pairs::default();
        let mut keys = HashSet::new();
        for _ in 0..n_pairs {
            let key = self.text(MAX_KEY_BYTES, "a key")?;
            if key.is_empty() {
                return Err(self.damaged("a key is empty".into()));
            }
            self.charge(&mut pairs, VALUE_BYTES + key.len() as u64)?;
            let start = pairs.kept.len();
            pairs.kept.extend((key.len() as u64).to_le_bytes());
            pairs.kept.extend(key.as_bytes());
            if self.value(&key, &mut pairs)? {
                pairs.n_kept += 1;
            } else {
                pairs.kept.truncate(start);
            }
            if let Some(key) = keys.replace(key) {
                return Err(self.damaged(format!("the key {key:?} occurs twice")));
            }
        }
        Ok(pairs)
    }

    /// Reads the tensor table and checks that the file holds all the data it describes, contiguous as llama.cpp wants
    /// it: each tensor begins where the one before ends, rounded up to `alignment` (a power of two).
    pub fn tensors(&mut self, n_tensors: u64, alignment: u64) -> Result<BTreeMap<String, Tensor>, GgufError> {
        let mut tensors = BTreeMap::new();
        let mut data_bytes = 0;
        let mut next_offset = 0;
        for _ in 0..n_tensors {
            let name = self.text(MAX_TENSOR_NAME_BYTES, "a tensor name")?;
            let tensor = self.tensor(&name)?;
            let offset = tensor.offset;
            if offset != next_offset {
                return Err(self.damaged(format!("tensor {name:?} starts at {offset} instead of {next_offset}")));
            }
            let end = offset.checked_add(tensor.bytes);
            let next = end.and_then(|end| end.checked_next_multiple_of(alignment));
            let (Some(end), Some(next)) = (end, next) else {
                return Err(self.damaged(format!("tensor {name:?} ends beyond the largest possible file")));
            };
            (data_bytes, next_offset) = (end, next);
            if tensors.insert(name.clone(), tensor).is_some() {
                return Err(self.damaged(format!("the tensor {name:?} occurs twice")));
            }
        }
        if data_bytes > 0 {
            let data_start = self.position().checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
            self.require(data_start.saturating_add(data_bytes))?;
        }
        Ok(tensors)
    }

    /// One element of an array of texts: `None` if it is something else, or too short.
    pub fn element(&mut self, array: Array, index: u64) -> Result<Option<String>, GgufError> {
        if array.item != STRING || index >= array.n_elements {
            return Ok(None);
        }
        self.go_to(array.position)?;
        for _ in 0..index {
            let length = self.u64()?;
            self.skip(length)?;
        }
        self.text(MAX_TOKEN_BYTES, "a token").map(Some)
    }

    /// A text that occurs twice among the first [`MAX_COMPARED_TOKENS`] elements of an array. As for llama.cpp, a text
    /// ends at its first zero byte, and empty ones do not count: it gives each a name of its own.
    pub fn repeated(&mut self, array: Array) -> Result<Option<String>, GgufError> {
        if array.item != STRING {
            return Ok(None);
        }
        self.go_to(array.position)?;
        let mut seen = HashSet::new();
        let mut token = Vec::new();
        for _ in 0..array.n_elements.min(MAX_COMPARED_TOKENS) {
            let length = self.u64()?;
            if length > MAX_TOKEN_BYTES {
                self.skip(length)?;
                continue;
            }
            token.clear();
            self.copy(length, &mut token)?;
            let text = token.split(|&byte| byte == 0).next().unwrap_or_default();
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            if !text.is_empty() && !seen.insert(hasher.finish()) {
                return Ok(Some(String::from_utf8_lossy(text).into_owned()));
            }
        }
        Ok(None)
    }

    /// Reads a value with its type before it; whether it was kept.
    fn value(&mut self, key: &str, pairs: &mut Pairs) -> Result<bool, GgufError> {
        let kind = self.u32()?;
        pairs.kept.extend(kind.to_le_bytes());
        pairs.types.insert(key.to_owned(), kind);
        if key == FILE_TYPE && kind == NUMBER {
            pairs.file_type = Some(self.position());
        }
        match kind {
            STRING => self.text_value(pairs),
            ARRAY => self.array_value(key, pairs),
            scalar => {
                let bytes = self.scalar_bytes(key, scalar)?;
                self.copy(bytes, &mut pairs.kept)?;
                Ok(true)
            }
        }
    }

    fn text_value(&mut self, pairs: &mut Pairs) -> Result<bool, GgufError> {
        let length = self.u64()?;
        if length > MAX_KEPT_TEXT_BYTES {
            self.skip(length)?;
            return Ok(false);
        }
        self.charge(pairs, length)?;
        pairs.kept.extend(length.to_le_bytes());
        self.copy(length, &mut pairs.kept)?;
        Ok(true)
    }

    fn array_value(&mut self, key: &str, pairs: &mut Pairs) -> Result<bool, GgufError> {
        let item = self.u32()?;
        let n_elements = self.u64()?;
        let array = Array { n_elements, item, position: self.position() };
        pairs.arrays.insert(key.to_owned(), array);
        pairs.kept.extend(item.to_le_bytes());
        pairs.kept.extend(n_elements.to_le_bytes());
        let mut keep = n_elements <= MAX_KEPT_ELEMENTS;
        if keep {
            self.charge(pairs, n_elements * VALUE_BYTES)?;
        }
        if item == STRING {
            self.require(self.position().saturating_add(n_elements.saturating_mul(8)))?;
            for _ in 0..n_elements {
                if keep {
                    keep = self.text_value(pairs)?;
                } else {
                    let length = self.u64()?;
                    self.skip(length)?;
                }
            }
            return Ok(keep);
        }
        let bytes = n_elements.saturating_mul(self.scalar_bytes(key, item)?);
        if keep {
            self.copy(bytes, &mut pairs.kept)?
        } else {
            self.skip(bytes)?
        }
        Ok(keep)
    }

    fn scalar_bytes(&self, key: &str, kind: u32) -> Result<u64, GgufError> {
        match kind {
            0 | 1 | 7 => Ok(1),
            2 | 3 => Ok(2),
            4..=6 => Ok(4),
            10..=12 => Ok(8),
            ARRAY => Err(self.damaged(format!("the value of {key:?} is an array of arrays"))),
            _ => Err(self.damaged(format!("the value of {key:?} has the unknown type {kind}"))),
        }
    }

    fn charge(&self, pairs: &mut Pairs, bytes: u64) -> Result<(), GgufError> {
        pairs.memory_bytes = pairs.memory_bytes.saturating_add(bytes);
        if pairs.memory_bytes > MAX_MEMORY_BYTES {
            return Err(self.damaged(format!("its metadata take more than {MAX_MEMORY_BYTES} bytes")));
        }
        Ok(())
    }

    fn tensor(&mut self, name: &str) -> Result<Tensor, GgufError> {
        let n_dimensions = self.u32()?;
        if n_dimensions > MAX_DIMENSIONS {
            return Err(self.damaged(format!("tensor {name:?} has {n_dimensions} dimensions, and 4 is the limit")));
        }
        let dims = (0..n_dimensions).map(|_| self.u64()).collect::<Result<Vec<_>, _>>()?;
        let kind = self.u32()?;
        let layout = tensor_type(kind).ok_or_else(|| self.unknown_type(name, kind))?;
        let Some((n_elements, bytes)) = tensor_size(&dims, layout) else {
            return Err(self.damaged(format!("tensor {name:?} cannot have the shape {dims:?} in {}", layout.name)));
        };
        let offset = self.u64()?;
        Ok(Tensor { dims, type_name: layout.name, n_elements, bytes, kind, offset })
    }
}

/// Elements and bytes; `None` if rows do not consist of whole blocks, or a number does not fit ggml's signed ones.
fn tensor_size(dims: &[u64], layout: &TensorType) -> Option<(u64, u64)> {
    let fits = |&number: &u64| i64::try_from(number).is_ok();
    let row = dims.first().copied().unwrap_or(1);
    let n_elements = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim)).filter(fits)?;
    let bytes = (n_elements / layout.block_elements).checked_mul(layout.block_bytes)?;
    (row % layout.block_elements == 0 && dims.iter().all(fits)).then_some((n_elements, bytes))
}
