//! What users see of an answered request.

use crate::guidance::ExitDecision;
use crate::timing::Timings;
use crate::vlm::Finish;
use serde::Serialize;

/// Which model's answer is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Early exit.
    Guide,
    /// The usual case.
    Target,
}

/// What the answering model read of the pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VisualReport {
    /// Visual tokens of the prompt.
    pub tokens: usize,
    /// How many of them the answering model read.
    pub kept: usize,
    /// `kept / tokens`; 1 without pictures.
    pub retain: f64,
    /// The same for each picture.
    pub pictures: Vec<PictureReport>,
    /// Pictures and tiles that the vision encoders of both models read for this request.
    pub encoded: usize,
    /// Pictures and tiles whose encoder output was still there from an earlier one.
    pub reused: usize,
    /// Which ones, sorted.
    pub kept_indices: Vec<usize>,
}

/// What the answering model read of one picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PictureReport {
    /// Its visual tokens.
    pub tokens: usize,
    /// How many of them were read.
    pub kept: usize,
}

/// The guide's own answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuideReport {
    /// Its text.
    pub answer: String,
    /// Generated tokens, the end token included.
    pub tokens: usize,
}

/// File names of the models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelNames {
    /// The guide's, if there is one.
    pub guide: Option<String>,
    /// The target's.
    pub target: String,
}

/// The result of a request, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The final answer.
    pub answer: String,
    /// Who gave it.
    pub source: Source,
    /// Why it ended.
    pub finish: Finish,
    /// The early-exit decision; `None` when it was switched off or there was nothing to decide.
    pub exit: Option<ExitDecision>,
    /// What the answering model read.
    pub visual: VisualReport,
    /// The guide's answer, if it ran.
    pub guide: Option<GuideReport>,
    /// Time by phase.
    pub timings_ms: Timings,
    /// Prompt tokens that the answering model read, text and visual.
    pub prompt_tokens: usize,
    /// Tokens of the final answer, the end token included.
    pub generated_tokens: usize,
    /// Who they are.
    pub models: ModelNames,
}
