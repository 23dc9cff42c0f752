//! Element types of weights.

/// Element type of the matrices of a file. Vectors, norms, positions and convolutions stay F32, as llama.cpp and clip.cpp
/// want them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightType {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats.
    F16,
    /// Blocks of 32 values of 8 bits.
    Q8_0,
    /// Blocks of 32 values of 4 bits.
    Q4_0,
}

impl WeightType {
    /// `ggml_type`.
    pub(crate) fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 8,
        }
    }

    /// `llama_ftype`, the value of `general.file_type`.
    pub(crate) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 7,
        }
    }
}
