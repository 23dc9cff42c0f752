//! The algorithm of "A Stitch in Time Saves Nine: Small VLM is a Precise Guidance for Accelerating Large VLMs"
//! (arXiv 2412.03324), on slices and indices only.
//!
//! | Paper | Here |
//! |---|---|
//! | attention a visual token receives, aggregated over layers and heads | [`Importance::add`], [`Importance::global`] |
//! | attention of a single layer (first insight, FastV) | [`Importance::layer`], [`Policy::Layer`] |
//! | retention ratio | [`Retain`], [`Retain::budget`] |
//! | SGP: keep the most attended visual tokens, in prompt order | [`top`], [`Policy::select`] |
//! | beyond it: fewer tiles to encode | [`gather`] |
//! | beyond it: diversity, habits of attention | [`Policy::GlobalDiversity`], [`Policy::GlobalDebias`], [`Evidence`] |
//! | SEE: confidence of the guide's answer | [`confidence`] |
//! | SEE: consistency of that answer under pruning | [`Consistency::of`] |
//! | SEE: early-exit score and threshold | [`ExitDecision::decide`], [`cannot_exit`] |

mod diversity;
mod evidence;
mod exit;
mod importance;
mod policy;
mod retain;
mod share;
mod tiles;

pub use evidence::Evidence;
pub use exit::{Consistency, ExitDecision, cannot_exit, confidence};
pub use importance::Importance;
pub use policy::{Kept, Policy};
pub use retain::{Retain, ranking, top};
pub use share::{DEFAULT_PICTURE_FLOOR, first_of_each};
pub use tiles::{Gathered, Layout, Tiles, gather};

/// What can be wrong with the inputs of the algorithm.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GuidanceError {
    /// A row of attention mass is not one value per visual token.
    #[error("layer {layer} gave {found} attention values for {n_visual} visual tokens")]
    MassLength {
        /// Layer index of the model.
        layer: u32,
        /// Visual tokens of the prompt.
        n_visual: usize,
        /// Values in the row.
        found: usize,
    },
    /// Attention mass is a sum of probabilities, which this value cannot be.
    #[error("layer {layer} gave attention {value} for visual token {token}, which is no sum of probabilities")]
    MassValue {
        /// Layer index of the model.
        layer: u32,
        /// Visual token, counted over the whole prompt.
        token: usize,
        /// The value found.
        value: f32,
    },
    /// Evidence belongs to another prompt.
    #[error("{what} of {found} visual tokens cannot rank the {n_visual} visual tokens of this prompt")]
    VisualCount {
        /// Which evidence: importance, embeddings or expectation.
        what: &'static str,
        /// Visual tokens of the prompt.
        n_visual: usize,
        /// Visual tokens that it covers.
        found: usize,
    },
    /// A policy that ranks by attention got none.
    #[error("policy {policy} with retain {retain} needs attention and none was recorded; run the guide first")]
    NoAttention {
        /// The policy asked for.
        policy: Policy,
        /// The retention asked for.
        retain: Retain,
    },
    /// A policy that compares visual tokens got none of their embeddings.
    #[error("policy {policy} compares the embeddings of the visual tokens and got none; encode the pictures first")]
    NoEmbeddings {
        /// The policy asked for.
        policy: Policy,
    },
    /// A policy that corrects for the place of visual tokens was not told by how much.
    #[error(
        "policy {policy} needs to know how much attention the guide gives each place of any picture, and no profile tells; \
         make one with `sgl calibrate`, or use --policy global"
    )]
    NoExpectation {
        /// The policy asked for.
        policy: Policy,
    },
    /// Attention cannot be divided by this.
    #[error("the expected attention of visual token {token} is {value}, and it must be above 0")]
    ExpectedValue {
        /// Visual token, counted over the whole prompt.
        token: usize,
        /// The value found.
        value: f64,
    },
    /// All scores are zero, so every kept set would be as good as any other.
    #[error("the attention that policy {policy} reads is zero on all {n_visual} visual tokens; use another policy")]
    ZeroAttention {
        /// The policy asked for.
        policy: Policy,
        /// Visual tokens of the prompt.
        n_visual: usize,
    },
    /// The guide has no attention layer of this index.
    #[error("there is no attention layer {layer}; use one of {}", comma_separated(.layers))]
    UnknownLayer {
        /// The layer asked for.
        layer: u32,
        /// The layers that recorded attention, in increasing order.
        layers: Vec<u32>,
    },
    /// Text that is no [`Retain`].
    #[error(
        "retain {0:?} is not understood; use a share above 0 and at most 1 (0.09 or 9%), a count of at least 1 (128t) \
         or a share of the attention mass (90%mass)"
    )]
    RetainText(String),
    /// Text that is no [`Policy`].
    #[error(
        "policy {0:?} is not understood; use global, global+diversity[:WEIGHT], global+debias, layer:INDEX, diversity, \
         random:SEED or uniform"
    )]
    PolicyText(String),
    /// Text that is no [`Consistency`].
    #[error("consistency {0:?} is not understood; use product or geomean")]
    ConsistencyText(String),
}

fn comma_separated(layers: &[u32]) -> String {
    let names: Vec<String> = layers.iter().map(u32::to_string).collect();
    names.join(", ")
}

/// Serde through `Display` and `FromStr`, so that flags, JSON and reports share one spelling.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
use serde_as_text;
