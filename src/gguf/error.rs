use std::io;
use std::path::{Path, PathBuf};

/// Why a file, or a model and its mmproj, cannot be used. Every message names the file, the fact and, where there is
/// one, the fix.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields are what the messages print
pub enum GgufError {
    /// The operating system refused to open or read the file.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Read { path: PathBuf, source: io::Error },

    /// A directory, pipe or device.
    #[error("{} is not a regular file; give the path of one .gguf file", path.display())]
    NotAFile { path: PathBuf },

    /// Another format, or nothing at all.
    #[error("{} is not a GGUF file: {found}; {fix}", path.display())]
    NotGguf { path: PathBuf, found: &'static str, fix: &'static str },

    /// Written for a big-endian machine.
    #[error("{} is a big-endian GGUF file; convert it again for a little-endian machine", path.display())]
    BigEndian { path: PathBuf },

    /// A container version that llama.cpp does not read.
    #[error("{} is a GGUF file of version {version}, and versions 2 and 3 are supported; {}", path.display(),
        if *version < 2 { "convert the model again with a current llama.cpp" } else { "update sgl" })]
    Version { path: PathBuf, version: u32 },

    /// Shorter than its own header says.
    #[error("{} is truncated: its header asks for at least {expected} bytes and it has {actual}; download it again",
        path.display())]
    Truncated { path: PathBuf, expected: u64, actual: u64 },

    /// A header that contradicts itself or exceeds the limits.
    #[error("the header of {} is damaged: {fact}; download or convert the file again", path.display())]
    Damaged { path: PathBuf, fact: String },

    /// A header that fits the format and describes no model that can run.
    #[error("{what:?} of {} is {value} and must be {right}; the file is damaged or was converted wrongly, convert or \
        download it again", path.display())]
    Impossible { path: PathBuf, what: String, value: String, right: String },

    /// A weight format unknown to this build of llama.cpp.
    #[error("tensor {tensor:?} of {} has type {kind}, which this version of llama.cpp cannot read; \
        update sgl, or use another quantization", path.display())]
    TensorType { path: PathBuf, tensor: String, kind: u32 },

    /// The two paths were exchanged.
    #[error("the model {} is an mmproj and the mmproj {} is a text model; swap the two paths",
        model.display(), mmproj.display())]
    Swapped { model: PathBuf, mmproj: PathBuf },

    /// An mmproj where the text model belongs.
    #[error("{} is an mmproj (vision projector), not a text model; pass it as the mmproj, and as the model the text \
        model it belongs to", path.display())]
    MmprojAsModel { path: PathBuf },

    /// A text model where the mmproj belongs.
    #[error("{} is a text model ({architecture:?}), not an mmproj; swap the two paths, or download the mmproj that \
        belongs to the model", path.display())]
    ModelAsMmproj { path: PathBuf, architecture: String },

    /// An adapter, an importance matrix or another GGUF file without a complete model.
    #[error("{} is not a complete model but of kind {kind:?}; give the base model's GGUF file", path.display())]
    NotAModel { path: PathBuf, kind: String },

    /// An adapter or another kind of GGUF file where the mmproj belongs.
    #[error("{} is not an mmproj but of kind {kind:?}; download the mmproj that belongs to the model", path.display())]
    NotAProjector { path: PathBuf, kind: String },

    /// An architecture that llama.cpp runs but that does not write text on its own.
    #[error("{} has the architecture {architecture:?}, {role}, which cannot answer a question; use a vision-language \
        model", path.display())]
    NotGenerative { path: PathBuf, architecture: String, role: &'static str },

    /// Metadata and vocabulary without tensors.
    #[error("{} holds a vocabulary but no weights; download the full model", path.display())]
    NoWeights { path: PathBuf },

    /// A later part of a split model.
    #[error("{} is part {part} of {parts}; give part 1, the others are found beside it", path.display())]
    NotFirstPart { path: PathBuf, part: u64, parts: u64 },

    /// A part of a split model is not beside the first one.
    #[error("{} is part 1 of {parts} and {} is missing; put all parts into one folder under their original names",
        path.display(), missing.display())]
    MissingPart { path: PathBuf, parts: u64, missing: PathBuf },

    /// An mmproj that encodes sound only.
    #[error("the mmproj {} has no vision encoder{}; download the mmproj with vision",
        path.display(), if *has_audio { " (audio only)" } else { "" })]
    NoVision { path: PathBuf, has_audio: bool },

    /// Model and mmproj belong to different models.
    #[error("the mmproj {} writes embeddings of width {mmproj_width} and the model {} reads width {model_width}; \
        use the mmproj that was converted from the same model", mmproj.display(), model.display())]
    WidthMismatch { model: PathBuf, model_width: u64, mmproj: PathBuf, mmproj_width: u64 },

    /// A guide that never computes attention.
    #[error("{} cannot be a guide: its architecture {architecture:?} has no attention layers to rank visual tokens \
        with; use a transformer or hybrid model", path.display())]
    NoAttention { path: PathBuf, architecture: String },
}

impl GgufError {
    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.into(), source }
    }
}
