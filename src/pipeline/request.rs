//! What is asked of a pipeline, and how.

use crate::chat::Message;
use crate::geometry::Expectation;
use crate::grammar::Grammar;
use crate::guidance::{Consistency, DEFAULT_PICTURE_FLOOR, GuidanceError, Policy, Retain, Tiles};
use crate::llama::SamplingOptions;
use crate::media::Picture;
use crate::vlm::GenerationOptions;
use std::sync::Arc;

/// Share of visual tokens that the target reads unless told otherwise: on the demo pair's held-out questions 0.9 points
/// fewer right answers than with all tokens, while a tenth costs 4.5.
pub const DEFAULT_RETAIN: Retain = Retain::Share(0.25);
/// Score from which the guide's answer is final unless told otherwise: on the demo pair's held-out questions, where half of
/// the answers end early and 99 % of those are right, more than of the unpruned target's.
pub const DEFAULT_EXIT_THRESHOLD: f64 = 0.9;
/// Importance that may be given up to encode fewer tiles, unless told otherwise: on the demo pair's large pictures a quarter of
/// the target's tiles is spared, and not one answer in a hundred changes for the worse.
pub const DEFAULT_TILES: Tiles = Tiles::Loss(0.05);
/// Share of visual tokens in the consistency pass (the paper's public code: 0.05).
pub const DEFAULT_CONSISTENCY_RETAIN: Retain = Retain::Share(0.05);

/// What is asked, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The conversation; its picture parts stand for `pictures` in order.
    pub messages: Vec<Message>,
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// How many visual tokens the target reads; `None`: all.
    pub retain: Option<Retain>,
    /// What ranks them.
    pub policy: Policy,
    /// What the guide's attention is expected to be whatever is asked, for [`Policy::GlobalDebias`].
    pub expectation: Option<Arc<Expectation>>,
    /// The part of its proportional share that each of several pictures keeps at least, 0 to 1.
    pub picture_floor: f64,
    /// How far kept tokens are moved together, so that fewer tiles have to be encoded.
    pub tiles: Tiles,
    /// When the guide's answer is final; `None`: never.
    pub exit: Option<ExitOptions>,
    /// Run the guide even where nothing depends on it, for its importance.
    pub always_guide: bool,
    /// Offer the guide's answer to the target as a draft.
    pub draft: bool,
    /// Go on after end tokens, for measurements.
    pub ignore_end: bool,
    /// Most tokens to generate, for guide and target each.
    pub n_predict: usize,
    /// How the target's tokens are drawn; the guide always answers greedily.
    pub sampling: SamplingOptions,
    /// Texts that end the answer and are not part of it.
    pub stop: Vec<String>,
    /// What both models' answers must obey.
    pub grammar: Option<Grammar>,
    /// Tell the probability of each token of the final answer, beside so many of the most probable ones, at most
    /// [`MAX_ALTERNATIVES`](crate::vlm::MAX_ALTERNATIVES); `None`: no probabilities.
    pub n_alternatives: Option<usize>,
}

/// SEE's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExitOptions {
    /// The guide's answer is final at this score or above.
    pub threshold: f64,
    /// How the consistency pass is summed up.
    pub consistency: Consistency,
    /// What the guide sees in the consistency pass.
    pub retain: Retain,
}

impl Default for ExitOptions {
    fn default() -> Self {
        let retain = DEFAULT_CONSISTENCY_RETAIN;
        Self { threshold: DEFAULT_EXIT_THRESHOLD, consistency: Consistency::Product, retain }
    }
}

impl Request {
    /// A request with the default guidance and greedy decoding.
    pub fn new(messages: Vec<Message>, pictures: Vec<Picture>) -> Self {
        Self {
            messages,
            pictures,
            retain: Some(DEFAULT_RETAIN),
            policy: Policy::Global,
            expectation: None,
            picture_floor: DEFAULT_PICTURE_FLOOR,
            tiles: DEFAULT_TILES,
            exit: Some(ExitOptions::default()),
            always_guide: false,
            draft: true,
            ignore_end: false,
            n_predict: 256,
            sampling: SamplingOptions::default(),
            stop: Vec::new(),
            grammar: None,
            n_alternatives: None,
        }
    }

    /// What both models' answers have in common.
    pub(super) fn generation(&self) -> GenerationOptions {
        GenerationOptions {
            n_predict: self.n_predict,
            ignore_end: self.ignore_end,
            stop: self.stop.clone(),
            grammar: self.grammar.clone(),
            n_alternatives: self.n_alternatives,
            ..GenerationOptions::default()
        }
    }

    /// Whether the policy has what only the request can give it.
    ///
    /// # Errors
    /// [`GuidanceError::NoExpectation`].
    pub fn check(&self) -> Result<(), GuidanceError> {
        let policy = self.policy;
        let needs_expectation = self.retain.is_some_and(|retain| policy.needs_expectation(retain));
        if needs_expectation && self.expectation.is_none() {
            return Err(GuidanceError::NoExpectation { policy });
        }
        Ok(())
    }
}
