/// Name and block layout of a tensor type.
#[derive(Debug)]
pub(super) struct TensorType {
    pub name: &'static str,
    /// Elements that are stored together.
    pub block_elements: u64,
    /// Bytes that they take.
    pub block_bytes: u64,
}

/// The tensor type with this number in a GGUF file; `None` for a removed or unknown one (`ggml_type`, `type_traits`).
pub(super) fn tensor_type(kind: u32) -> Option<&'static TensorType> {
    let tensor_type = TENSOR_TYPES.get(usize::try_from(kind).ok()?)?;
    (tensor_type.block_elements > 0).then_some(tensor_type)
}

/// The tensor type of this name, in capitals or not.
pub(super) fn tensor_type_named(name: &str) -> Option<&'static TensorType> {
    TENSOR_TYPES
        .iter()
        .find(|tensor_type| tensor_type.block_elements > 0 && tensor_type.name.eq_ignore_ascii_case(name))
}

/// Name of a `general.file_type` (`llama_ftype`), as people write it in file names.
pub(super) fn file_type(number: u64) -> Option<&'static str> {
    let name = FILE_TYPES.get(usize::try_from(number).ok()?)?;
    (!name.is_empty()).then_some(name)
}

const fn layout(name: &'static str, block_elements: u64, block_bytes: u64) -> TensorType {
    TensorType { name, block_elements, block_bytes }
}

const REMOVED: TensorType = layout("", 0, 0);

static TENSOR_TYPES: [TensorType; 43] = [
    layout("F32", 1, 4),
    layout("F16", 1, 2),
    layout("Q4_0", 32, 18),
    layout("Q4_1", 32, 20),
    REMOVED,
    REMOVED,
    layout("Q5_0", 32, 22),
    layout("Q5_1", 32, 24),
    layout("Q8_0", 32, 34),
    layout("Q8_1", 32, 36),
    layout("Q2_K", 256, 84),
    layout("Q3_K", 256, 110),
    layout("Q4_K", 256, 144),
    layout("Q5_K", 256, 176),
    layout("Q6_K", 256, 210),
    layout("Q8_K", 256, 292),
    layout("IQ2_XXS", 256, 66),
    layout("IQ2_XS", 256, 74),
    layout("IQ3_XXS", 256, 98),
    layout("IQ1_S", 256, 50),
    layout("IQ4_NL", 32, 18),
    layout("IQ3_S", 256, 110),
    layout("IQ2_S", 256, 82),
    layout("IQ4_XS", 256, 136),
    layout("I8", 1, 1),
    layout("I16", 1, 2),
    layout("I32", 1, 4),
    layout("I64", 1, 8),
    layout("F64", 1, 8),
    layout("IQ1_M", 256, 56),
    layout("BF16", 1, 2),
    REMOVED,
    REMOVED,
    REMOVED,
    layout("TQ1_0", 256, 54),
    layout("TQ2_0", 256, 66),
    REMOVED,
    REMOVED,
    REMOVED,
    layout("MXFP4", 32, 17),
    layout("NVFP4", 64, 36),
    layout("Q1_0", 128, 18),
    layout("Q2_0", 64, 18),
];

static FILE_TYPES: [&str; 42] = [
    "F32",
    "F16",
    "Q4_0",
    "Q4_1",
    "",
    "",
    "",
    "Q8_0",
    "Q5_0",
    "Q5_1",
    "Q2_K",
    "Q3_K_S",
    "Q3_K_M",
    "Q3_K_L",
    "Q4_K_S",
    "Q4_K_M",
    "Q5_K_S",
    "Q5_K_M",
    "Q6_K",
    "IQ2_XXS",
    "IQ2_XS",
    "Q2_K_S",
    "IQ3_XS",
    "IQ3_XXS",
    "IQ1_S",
    "IQ4_NL",
    "IQ3_S",
    "IQ3_M",
    "IQ2_S",
    "IQ2_M",
    "IQ4_XS",
    "IQ1_M",
    "BF16",
    "",
    "",
    "",
    "TQ1_0",
    "TQ2_0",
    "MXFP4_MOE",
    "NVFP4",
    "Q1_0",
    "Q2_0",
];
