use std::path::PathBuf;

use super::{GgufError, Header, Kind, Split};

/// Whether `text` can be a target and `mmproj` its vision encoder.
///
/// # Errors
///
/// The first reason why not: a wrong or exchanged role, an architecture that does not generate text, missing weights or
/// parts, no vision, values that no working model has, or embeddings of another width than the model reads. An architecture that is not known here
/// passes; llama.cpp decides.
pub fn check_target(text: &Header, mmproj: &Header) -> Result<(), GgufError> {
    check_model(text, mmproj)?;
    check_mmproj(mmproj)?;
    text.check_values()?;
    mmproj.check_values()?;
    check_width(text, mmproj)
}

/// Whether `text` can be a guide and `mmproj` its vision encoder: all that [`check_target`] asks, and attention layers.
/// Hybrid models have some and pass.
///
/// # Errors
///
/// As [`check_target`], and [`GgufError::NoAttention`].
pub fn check_guide(text: &Header, mmproj: &Header) -> Result<(), GgufError> {
    check_target(text, mmproj)?;
    let summary = text.summary();
    let no_heads = summary.text.as_ref().is_some_and(|text| {
        [&text.n_heads, &text.n_key_value_heads].into_iter().flatten().any(|heads| heads.is_zero())
    });
    if no_heads || is_recurrent(&summary.architecture) {
        return Err(GgufError::NoAttention { path: text.path().into(), architecture: summary.architecture.clone() });
    }
    Ok(())
}

fn check_model(text: &Header, mmproj: &Header) -> Result<(), GgufError> {
    let summary = text.summary();
    let path = || PathBuf::from(text.path());
    match (text.kind(), mmproj.kind()) {
        (Kind::TextModel, _) => {}
        (Kind::Projector, Kind::TextModel) => {
            return Err(GgufError::Swapped { model: path(), mmproj: mmproj.path().into() });
        }
        (Kind::Projector, _) => return Err(GgufError::MmprojAsModel { path: path() }),
        (Kind::Other(kind), _) => {
            return Err(GgufError::NotAModel { path: path(), kind: kind.clone() });
        }
    }
    if let Some(role) = other_role(&summary.architecture) {
        return Err(GgufError::NotGenerative { path: path(), architecture: summary.architecture.clone(), role });
    }
    match summary.split {
        Some(split) => check_parts(text, split),
        None if summary.n_tensors == 0 => Err(GgufError::NoWeights { path: path() }),
        None => Ok(()),
    }
}

fn check_parts(first: &Header, split: Split) -> Result<(), GgufError> {
    for sibling in part_paths(first, split)? {
        Header::read(&sibling)?;
    }
    Ok(())
}

/// The other parts of a split model: llama.cpp opens the first one and finds them by name (`llama_split_path`).
///
/// # Errors
/// It is not the first part, or another one is missing.
pub(super) fn part_paths(first: &Header, Split { part, parts }: Split) -> Result<Vec<PathBuf>, GgufError> {
    let path = first.path();
    if part != 1 {
        return Err(GgufError::NotFirstPart { path: path.into(), part, parts });
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let suffix = |part: u64| format!("-{part:05}-of-{parts:05}.gguf");
    let Some(prefix) = name.strip_suffix(&suffix(1)) else {
        let prefix = name.strip_suffix(".gguf").unwrap_or(&name);
        let missing = path.with_file_name(format!("{prefix}{}", suffix(1)));
        return Err(GgufError::MissingPart { path: path.into(), parts, missing });
    };
    let sibling = |part| {
        let sibling = path.with_file_name(format!("{prefix}{}", suffix(part)));
        match sibling.exists() {
            true => Ok(sibling),
            false => Err(GgufError::MissingPart { path: path.into(), parts, missing: sibling }),
        }
    };
    (2..=parts).map(sibling).collect()
}

fn check_mmproj(mmproj: &Header) -> Result<(), GgufError> {
    let path = mmproj.path().into();
    let summary = mmproj.summary();
    match (mmproj.kind(), &summary.projector) {
        (Kind::Projector, Some(projector)) if projector.has_vision => Ok(()),
        (Kind::Projector, projector) => {
            let has_audio = projector.as_ref().is_some_and(|projector| projector.has_audio);
            Err(GgufError::NoVision { path, has_audio })
        }
        (Kind::TextModel, _) => Err(GgufError::ModelAsMmproj { path, architecture: summary.architecture.clone() }),
        (Kind::Other(kind), _) => Err(GgufError::NotAProjector { path, kind: kind.clone() }),
    }
}

/// The comparison that `mtmd_init_from_file` makes after loading everything.
fn check_width(text: &Header, mmproj: &Header) -> Result<(), GgufError> {
    let model_width = text.summary().text.as_ref().and_then(|text| text.input_width);
    let mmproj_width = mmproj.summary().projector.as_ref().and_then(|projector| projector.output_width);
    match (model_width, mmproj_width) {
        (Some(model_width), Some(mmproj_width)) if model_width != mmproj_width => Err(GgufError::WidthMismatch {
            model: text.path().into(),
            model_width,
            mmproj: mmproj.path().into(),
            mmproj_width,
        }),
        _ => Ok(()),
    }
}

/// What the architectures of llama.cpp that do not generate text by themselves are for.
fn other_role(architecture: &str) -> Option<&'static str> {
    match architecture {
        "bert" | "modern-bert" | "nomic-bert" | "nomic-bert-moe" | "neo-bert" | "jina-bert-v2" | "jina-bert-v3"
        | "eurobert" | "t5encoder" | "gemma-embedding" | "llama-embed" => Some("an embedding model"),
        "t5" => Some("an encoder-decoder model"),
        "eagle3" | "dflash" | "gemma4-assistant" => Some("a draft model for speculative decoding"),
        "wavtokenizer-dec" => Some("an audio decoder"),
        _ => None,
    }
}

/// `llm_arch_is_recurrent`, and relatives by name.
fn is_recurrent(architecture: &str) -> bool {
    matches!(architecture, "mamba" | "mamba2") || architecture.starts_with("rwkv") || architecture.starts_with("arwkv")
}
