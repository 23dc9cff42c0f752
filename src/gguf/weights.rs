//! Element types of weights.

use std::fmt;
use std::str::FromStr;

/// Element type of the matrices of a file. Vectors, norms, positions and convolutions stay F32, as llama.cpp and clip.cpp
/// want them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightType {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats.
    F16,
    /// 16-bit floats with the range of 32-bit ones.
    Bf16,
    /// Blocks of 32 values of 8 bits.
    Q8_0,
    /// Blocks of 32 values of 4 bits.
    Q4_0,
    /// Blocks of 256 values of 4 bits, of which every 32 have a scale and a minimum of 6 bits.
    Q4K,
}

impl WeightType {
    /// Names as llama.cpp's tools have them.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("f32", Self::F32),
        ("bf16", Self::Bf16),
        ("f16", Self::F16),
        ("q8_0", Self::Q8_0),
        ("q4_0", Self::Q4_0),
        ("q4_k", Self::Q4K),
    ];

    /// `ggml_type`.
    pub(crate) fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 8,
            Self::Q4K => 12,
            Self::Bf16 => 30,
        }
    }

    /// `llama_ftype`, the value of `general.file_type`.
    pub(crate) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 7,
            Self::Q4K => 14,
            Self::Bf16 => 32,
        }
    }
}

impl FromStr for WeightType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|&(_, kind)| kind);
        found.ok_or_else(|| format!("`{text}` is not one of {}", Self::NAMES.map(|(name, _)| name).join(", ")))
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, kind)| kind == self).map_or("", |&(name, _)| name);
        formatter.pad(name)
    }
}
