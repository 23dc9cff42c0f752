//! What is remembered of an asked sample: one line of a journal.

use serde::{Deserialize, Serialize};

/// Everything that was asked about one sample. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Place in the benchmark, by which merged journals are put in order.
    pub index: usize,
    /// [`super::sample::Sample::id`].
    pub sample: String,
    /// [`super::sample::Sample::group`].
    pub group: String,
    /// [`super::sample::Sample::kind`].
    pub kind: String,
    /// Visual tokens of the target.
    pub n_visual: usize,
    /// The guide's part, if there is one.
    pub guide: Option<GuideLook>,
    /// What the target's own attention cost, if it was taken.
    pub own: Option<OwnLook>,
    /// One for each contender, retention and draw that could be run; the unpruned target first.
    pub runs: Vec<Run>,
    /// How far the guide's rankings agree with the target's own.
    pub overlap: Vec<Overlap>,
}

/// The guide's answer and how sure it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuideLook {
    /// Its answer.
    pub answer: String,
    /// Score of it; `None` until a judge has spoken.
    pub score: Option<f64>,
    /// See [`crate::guidance::confidence`].
    pub confidence: f64,
    /// See [`crate::guidance::Consistency`].
    pub consistency: f64,
    /// The guide's vision encoder.
    pub encode_ms: f64,
    /// Prompt and answer.
    pub answer_ms: f64,
    /// The consistency pass.
    pub consistency_ms: f64,
}

/// A pass of the unpruned target that exports its attention.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnLook {
    /// Reading the prompt.
    pub prefill_ms: f64,
    /// Answering.
    pub decode_ms: f64,
}

/// One answer of the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Text form of the contender.
    pub policy: String,
    /// Share of visual tokens asked for; 1 for the unpruned target.
    pub retain: f64,
    /// Which draw, from 0 on.
    pub draw: u32,
    /// Visual tokens that were read.
    pub kept: usize,
    /// Tiles that hold any of them.
    #[serde(default)]
    pub tiles: usize,
    /// The answer.
    pub answer: String,
    /// Score of it; `None` until a judge has spoken.
    pub score: Option<f64>,
    /// Ranking, beyond the attention.
    pub select_ms: f64,
    /// The vision encoder: of the tiles that are needed, in proportion to the time for all of them.
    pub encode_ms: f64,
    /// Reading the prompt.
    pub prefill_ms: f64,
    /// Answering.
    pub decode_ms: f64,
}

impl Run {
    /// Encoder, prompt and answer of the target.
    pub fn target_ms(&self) -> f64 {
        self.encode_ms + self.prefill_ms + self.decode_ms
    }
}

impl GuideLook {
    /// What it takes until the guide's attention is known.
    pub fn ms(&self) -> f64 {
        self.encode_ms + self.answer_ms
    }
}

/// How far a ranking of the guide's agrees with the target's own attention of all layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// The guide's ranking.
    pub policy: String,
    /// Share of the visual tokens.
    pub retain: f64,
    /// The number of tokens in it.
    pub k: usize,
    /// Share of the k best that both name.
    pub overlap: f64,
    /// Spearman's; `None` where one side is constant.
    pub rank_correlation: Option<f64>,
}
