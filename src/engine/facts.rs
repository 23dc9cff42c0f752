//! What a loaded pair is, for those who ask a server.

use crate::gguf::{Header, Summary};
use crate::llama::Model;
use crate::pipeline::{Pipeline, PipelineError};
use crate::vlm::{Role, Vlm};
use std::sync::Arc;

/// The models of an engine.
pub struct PairFacts {
    /// `None`: the target answers alone.
    pub guide: Option<ModelFacts>,
    /// The one that has the last word.
    pub target: ModelFacts,
}

/// What one model is.
pub struct ModelFacts {
    /// Guide or target.
    pub role: Role,
    /// Name of the text model's file.
    pub file_name: String,
    /// The text model's header: parameters, sizes, types.
    pub model: Summary,
    /// The projector's header.
    pub mmproj: Summary,
    /// Context length in training, in tokens.
    pub n_ctx_train: u32,
    /// Tokens in the vocabulary.
    pub n_vocab: usize,
    pub(super) vocabulary: Arc<Model>,
}

impl PairFacts {
    pub(super) fn of(pipeline: &mut Pipeline) -> Result<Self, PipelineError> {
        let guide = pipeline.guide_mut().map(|guide| ModelFacts::of(Role::Guide, guide)).transpose()?;
        Ok(Self { guide, target: ModelFacts::of(Role::Target, pipeline.target_mut())? })
    }

    /// The model of a role, if there is one.
    pub fn of_role(&self, role: Role) -> Option<&ModelFacts> {
        match role {
            Role::Guide => self.guide.as_ref(),
            Role::Target => Some(&self.target),
        }
    }
}

impl ModelFacts {
    fn of(role: Role, vlm: &Vlm) -> Result<Self, PipelineError> {
        let summary = |path| {
            let header = Header::read(path).map_err(|error| PipelineError::Vlm { role, source: error.into() })?;
            Ok::<Summary, PipelineError>(header.summary().clone())
        };
        let (model, mmproj) = (summary(vlm.path())?, summary(vlm.mmproj_path())?);
        let file_name = vlm.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (n_ctx_train, n_vocab) = (vlm.model().n_ctx_train(), vlm.model().n_vocab());
        Ok(Self { role, file_name, model, mmproj, n_ctx_train, n_vocab, vocabulary: vlm.model().clone() })
    }

    /// Parameters of text model and projector.
    pub fn n_parameters(&self) -> u64 {
        self.model.n_parameters.saturating_add(self.mmproj.n_parameters)
    }

    /// Size of both files.
    pub fn file_bytes(&self) -> u64 {
        self.model.file_bytes.saturating_add(self.mmproj.file_bytes)
    }

    /// What a person would call it, for example `qwen2vl 2B Q4_K_M`.
    pub fn description(&self) -> String {
        let Summary { architecture, size_label, quantization, main_tensor_type, .. } = &self.model;
        let types = quantization.as_deref().or(*main_tensor_type);
        [Some(architecture.as_str()), size_label.as_deref(), types]
            .into_iter()
            .flatten()
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }
}
