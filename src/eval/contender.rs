//! What is compared: policies, their baselines, and what they need.

use crate::guidance::{Policy, Retain, Tiles};
use std::fmt;
use std::str::FromStr;

/// Draws of `random` without a number.
const DEFAULT_DRAWS: u32 = 3;

/// One way to choose what the target reads.
///
/// Text forms: `none`, `random:DRAWS`, `target-layer:N`, `oracle`, `lowres`, `global+tiles:LOSS`, and those of [`Policy`] but
/// `random`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Contender {
    /// The target reads everything: what all others are compared with.
    Unpruned,
    /// A policy of [`crate::guidance`], as a run uses it.
    Policy(Policy),
    /// [`Policy::Global`], its tokens moved into fewer tiles as long as this share of the importance is not lost
    /// ([`Tiles::Loss`]).
    Gathered(f64),
    /// [`Policy::Random`], the mean of so many draws, other ones for every sample.
    Random(u32),
    /// FastV's ranking: what the target's own layer `N` put on the visual tokens from the question. The paper prunes
    /// behind that layer; here the target reads everything once to rank, and again pruned from the first layer on.
    TargetLayer(u32),
    /// The target's own attention of all layers, from question and answer: it costs a whole unpruned answer first.
    Oracle,
    /// Everything of a picture that was scaled down until it has no more visual tokens than the budget.
    LowResolution,
}

impl Contender {
    /// Whether it ranks by the guide's attention.
    pub fn needs_guide(self) -> bool {
        match self {
            Self::Policy(policy) => policy.needs_attention(Retain::Share(0.5)),
            Self::Gathered(_) => true,
            _ => false,
        }
    }

    /// Whether it compares attention with what its place gets anyway.
    pub fn needs_expectation(self) -> bool {
        matches!(self, Self::Policy(policy) if policy.needs_expectation(Retain::Share(0.5)))
    }

    /// Whether it ranks by the target's own attention.
    pub fn needs_own_attention(self) -> bool {
        matches!(self, Self::TargetLayer(_) | Self::Oracle)
    }

    /// The guide's ranking by plain attention that it stands for, to compare with the target's own.
    pub fn guide_ranking(self) -> Option<Policy> {
        match self {
            Self::Policy(policy @ (Policy::Global | Policy::Layer(_))) => Some(policy),
            _ => None,
        }
    }

    /// Passes over a sample at one retention.
    pub fn n_draws(self) -> u32 {
        if let Self::Random(n) = self { n } else { 1 }
    }

    /// The paper's method.
    pub const GLOBAL: Self = Self::Policy(Policy::Global);
}

/// Text that is no [`Contender`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "policy {0:?} is not understood; use none, global, layer:N, target-layer:N, oracle, random:DRAWS, uniform, lowres, \
     diversity, global+diversity:WEIGHT, global+debias or global+tiles:LOSS"
)]
pub struct ContenderText(String);

impl FromStr for Contender {
    type Err = ContenderText;

    fn from_str(text: &str) -> Result<Self, ContenderText> {
        let error = || ContenderText(text.to_owned());
        match text.split_once(':').map_or((text, None), |(name, value)| (name, Some(value))) {
            ("none", None) => Ok(Self::Unpruned),
            ("oracle", None) => Ok(Self::Oracle),
            ("lowres", None) => Ok(Self::LowResolution),
            ("random", None) => Ok(Self::Random(DEFAULT_DRAWS)),
            ("random", Some(draws)) => {
                draws.parse().ok().filter(|draws| (1..=100).contains(draws)).map(Self::Random).ok_or_else(error)
            }
            ("global+tiles", Some(loss)) => match loss.parse() {
                Ok(Tiles::Loss(loss)) => Ok(Self::Gathered(loss)),
                _ => Err(error()),
            },
            ("target-layer", Some(layer)) => layer.parse().map(Self::TargetLayer).map_err(|_| error()),
            _ => text.parse().map(Self::Policy).map_err(|_| error()),
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpruned => formatter.write_str("none"),
            Self::Policy(policy) => policy.fmt(formatter),
            Self::Gathered(loss) => write!(formatter, "global+tiles:{loss}"),
            Self::Random(draws) => write!(formatter, "random:{draws}"),
            Self::TargetLayer(layer) => write!(formatter, "target-layer:{layer}"),
            Self::Oracle => formatter.write_str("oracle"),
            Self::LowResolution => formatter.write_str("lowres"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms() {
        for text in [
            "none",
            "global",
            "layer:3",
            "target-layer:2",
            "oracle",
            "random:5",
            "uniform",
            "lowres",
            "diversity",
            "global+tiles:0.05",
        ] {
            assert_eq!(text.parse::<Contender>().unwrap().to_string(), text);
        }
        assert_eq!("random".parse(), Ok(Contender::Random(3)));
        for text in [
            "",
            "random:0",
            "random:x",
            "target-layer",
            "target-layer:-1",
            "none:1",
            "fastest",
            "global+tiles:1",
            "global+tiles:3tiles",
        ] {
            assert!(text.parse::<Contender>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_policy_knows_what_it_needs() {
        let needs = |text: &str| {
            let contender: Contender = text.parse().unwrap();
            (contender.needs_guide(), contender.needs_own_attention())
        };
        for text in ["global", "layer:1", "global+diversity", "global+debias", "global+tiles:5%"] {
            assert_eq!(needs(text), (true, false), "{text}");
        }
        for text in ["none", "uniform", "random:2", "lowres", "diversity"] {
            assert_eq!(needs(text), (false, false), "{text}");
        }
        assert_eq!((needs("oracle"), needs("target-layer:2")), ((false, true), (false, true)));
    }
}
