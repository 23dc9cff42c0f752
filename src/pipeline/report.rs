//! What users see of an answered request.

use super::Selection;
use crate::guidance::ExitDecision;
use crate::timing::Timings;
use crate::vlm::{DraftReport, Finish, Prompt};
use serde::Serialize;
use utoipa::ToSchema;

/// Which model's answer is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Early exit.
    Guide,
    /// The usual case.
    Target,
}

/// What the answering model read of the pictures.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct VisualReport {
    /// Visual tokens of the prompt.
    pub tokens: usize,
    /// How many of them the answering model read.
    pub kept: usize,
    /// `kept / tokens`; 1 without pictures.
    pub retain: f64,
    /// The same for each picture.
    pub pictures: Vec<PictureReport>,
    /// Tiles, whole pictures among them.
    pub tiles: TileReport,
    /// Pictures and tiles that the vision encoders of both models read for this request.
    pub encoded: usize,
    /// Pictures and tiles whose encoder output was still there from an earlier one.
    pub reused: usize,
    /// Pictures and tiles of the target that only had to be projected, since the guide has the same vision tower.
    pub projected: usize,
    /// The target's part of these three.
    #[serde(skip)]
    pub target: Encodings,
    /// The visual tokens that were read, sorted.
    pub kept_indices: Vec<usize>,
}

/// Pictures and tiles by where a model's embeddings of them came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encodings {
    /// Its vision encoder.
    pub encoded: usize,
    /// An earlier request.
    pub reused: usize,
    /// The other model's vision tower.
    pub projected: usize,
}

/// Tiles that the answering model saw. A whole picture that is not cut is one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct TileReport {
    /// Tiles of the prompt.
    pub all: usize,
    /// How many of them it needed.
    pub needed: usize,
    /// Share of the importance on the best visual tokens that was given up to need no more.
    pub lost: f64,
}

impl TileReport {
    pub(super) fn of(prompt: &Prompt, selection: &Selection) -> Self {
        let needed = prompt.needed(&selection.kept);
        Self { all: needed.len(), needed: needed.iter().filter(|&&needed| needed).count(), lost: selection.lost }
    }
}

/// What the answering model read of one picture.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PictureReport {
    /// Its visual tokens.
    pub tokens: usize,
    /// How many of them were read.
    pub kept: usize,
}

/// The guide's own answer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GuideReport {
    /// Its text.
    pub answer: String,
    /// Generated tokens, the end token included.
    pub tokens: usize,
    /// Prompt tokens that were still in its KV cache.
    pub held_tokens: usize,
}

/// File names of the models.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
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
    /// How many of them were still in its KV cache.
    pub held_tokens: usize,
    /// What became of the guide's answer as a draft; `None` where it was not used.
    pub draft: Option<DraftReport>,
    /// Tokens of the final answer, the end token included.
    pub generated_tokens: usize,
    /// Who they are.
    pub models: ModelNames,
}

impl Report {
    /// What the target alone would have taken, in milliseconds: all tiles, all visual tokens, every token of the answer by
    /// itself. That is a lower bound, since attention grows faster than the prompt. Tiles that the guide's vision tower has seen
    /// for it would have taken what the guide's take. `None` where the target did not run.
    pub fn unpruned_ms(&self) -> Option<f64> {
        let times = &self.timings_ms;
        let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
        let Encodings { encoded, reused, projected } = self.visual.target;
        let by_guide = self.visual.encoded.saturating_sub(encoded);
        let tower = if projected == 0 { 0.0 } else { times.guide_encode.unwrap_or(0.0) / by_guide.max(1) as f64 };
        let run = encoded + projected;
        let unseen = self.visual.tiles.all.saturating_sub(run + reused);
        let encode = (times.target_encode.unwrap_or(0.0) + tower * projected as f64) * share(run + unseen, run);
        let n_dropped = self.visual.tokens - self.visual.kept;
        let n_guessed = self.draft.map_or(0, |draft| draft.accepted);
        let prefill =
            times.target_prefill? * share(self.prompt_tokens + n_dropped, self.prompt_tokens - self.held_tokens);
        let decode = times.target_decode? * share(self.generated_tokens, self.generated_tokens - n_guessed);
        Some(encode + prefill + decode)
    }
}
