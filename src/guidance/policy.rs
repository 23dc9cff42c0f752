use std::fmt;
use std::str::FromStr;

use super::{GuidanceError, Importance, Retain, first_of_each, ranking, serde_as_text};

/// Which visual tokens are kept.
///
/// Text forms: `global`, `layer:INDEX`, `random:SEED`, `uniform`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// SGP: the highest attention summed over all layers and heads of the guide.
    #[default]
    Global,
    /// The highest attention of one layer, by the model's layer index.
    Layer(u32),
    /// Baseline: drawn without replacement from this seed.
    ///
    /// A smaller budget keeps a subset of a larger one. The draw depends on the seed and the number of tokens only.
    Random(u64),
    /// Baseline: evenly spaced in prompt order.
    Uniform,
}

impl Policy {
    /// Whether [`Policy::select`] needs an [`Importance`] for this retention.
    ///
    /// The baselines need it to count tokens by mass; no policy needs it when everything is kept.
    pub fn needs_attention(&self, retain: Retain) -> bool {
        match self {
            Policy::Global | Policy::Layer(_) => !retain.keeps_all(),
            Policy::Random(_) | Policy::Uniform => matches!(retain, Retain::Mass(_)),
        }
    }

    /// The visual tokens of one picture, or of several in one ranking, that the target reads: [`Policy::select_of`]
    /// without a floor.
    ///
    /// # Errors
    /// As there.
    pub fn select(
        &self,
        n_visual: usize,
        importance: Option<&Importance>,
        retain: Retain,
    ) -> Result<Kept, GuidanceError> {
        self.select_of(&[n_visual], importance, retain, 0.0)
    }

    /// The visual tokens that the target reads of several pictures, `pictures` being the number of visual tokens of each
    /// in prompt order. One joint ranking, in which each picture keeps at least `floor` of its proportional share
    /// ([`first_of_each`]); [`Policy::Uniform`] keeps that share anyway.
    ///
    /// The budget by mass comes from the scores that rank, and for the baselines from the global scores, so that they
    /// keep as many tokens as [`Policy::Global`] would.
    ///
    /// # Errors
    /// An importance of another length than there are visual tokens; no attention, or none but zeros, where it is needed; a layer
    /// that has recorded none.
    pub fn select_of(
        &self,
        pictures: &[usize],
        importance: Option<&Importance>,
        retain: Retain,
        floor: f64,
    ) -> Result<Kept, GuidanceError> {
        let n_visual = pictures.iter().sum();
        if let Some(found) = importance.map(Importance::n_visual).filter(|&found| found != n_visual) {
            return Err(GuidanceError::VisualCount { n_visual, found });
        }
        if n_visual == 0 || retain.keeps_all() {
            return Ok(Kept::all(n_visual));
        }
        let scores = if self.needs_attention(retain) { self.scores(importance, retain)? } else { vec![0.0; n_visual] };
        let budget = retain.budget(&scores);
        let indices = match *self {
            Policy::Global | Policy::Layer(_) => first_of_each(&ranking(&scores), pictures, budget, floor),
            Policy::Random(seed) => first_of_each(&shuffled(n_visual, seed), pictures, budget, floor),
            Policy::Uniform => uniform(n_visual, budget),
        };
        Ok(Kept { indices, n_visual })
    }

    /// Scores that rank, and that the budget by mass is taken from. `[n_visual]`
    fn scores(&self, importance: Option<&Importance>, retain: Retain) -> Result<Vec<f64>, GuidanceError> {
        let importance = importance
            .filter(|importance| importance.layers().next().is_some())
            .ok_or(GuidanceError::NoAttention { policy: *self, retain })?;
        let scores = match *self {
            Policy::Layer(layer) => importance
                .layer(layer)
                .ok_or_else(|| GuidanceError::UnknownLayer {
                    layer,
                    layers: importance.layers().map(|(layer, _)| layer).collect(),
                })?
                .to_vec(),
            Policy::Global | Policy::Random(_) | Policy::Uniform => importance.global(),
        };
        if scores.iter().all(|&score| score == 0.0) {
            return Err(GuidanceError::ZeroAttention { policy: *self, n_visual: scores.len() });
        }
        Ok(scores)
    }
}

/// The kept visual tokens, sorted and unique, as indices into the `n_visual` tokens of the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    indices: Vec<usize>,
    n_visual: usize,
}

impl Kept {
    /// Every one of `n_visual` tokens: no pruning.
    pub fn all(n_visual: usize) -> Self {
        Self { indices: (0..n_visual).collect(), n_visual }
    }

    /// The listed tokens of `n_visual`; `None` unless the indices increase and lie below `n_visual`.
    pub fn from_indices(n_visual: usize, indices: Vec<usize>) -> Option<Self> {
        let increasing = indices.is_sorted_by(|left, right| left < right);
        let inside = indices.last().is_none_or(|&last| last < n_visual);
        (increasing && inside).then_some(Self { indices, n_visual })
    }

    /// Increasing indices of the kept tokens.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// V: visual tokens before pruning.
    pub fn n_visual(&self) -> usize {
        self.n_visual
    }

    /// Number of kept tokens.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no visual token to read, which is so only for a prompt without any.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// How many are kept of each of several pictures, of which `pictures` holds the number of visual tokens.
    pub fn counts(&self, pictures: &[usize]) -> Vec<usize> {
        let mut rest = self.indices.as_slice();
        let mut end = 0;
        let mut count = |n: &usize| {
            end += n;
            let (these, others) = rest.split_at(rest.partition_point(|&index| index < end));
            rest = others;
            these.len()
        };
        pictures.iter().map(&mut count).collect()
    }

    /// Kept share of the visual tokens; 1 for a prompt without any.
    pub fn share(&self) -> f64 {
        if self.is_all() { 1.0 } else { self.len() as f64 / self.n_visual as f64 }
    }

    /// Whether nothing was dropped.
    pub fn is_all(&self) -> bool {
        self.len() == self.n_visual
    }
}

/// A seeded permutation.
fn shuffled(n_visual: usize, seed: u64) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..n_visual).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut indices);
    indices
}

/// `floor((i + 0.5) * V / n)`: the middle of each of `n` equal stretches, in whole numbers.
fn uniform(n_visual: usize, n: usize) -> Vec<usize> {
    (0..n).map(|i| (2 * i + 1) * n_visual / (2 * n)).collect()
}

impl FromStr for Policy {
    type Err = GuidanceError;

    fn from_str(text: &str) -> Result<Self, GuidanceError> {
        let policy = match text.split_once(':') {
            Some(("layer", index)) => index.parse().ok().map(Policy::Layer),
            Some(("random", seed)) => seed.parse().ok().map(Policy::Random),
            None if text == "global" => Some(Policy::Global),
            None if text == "uniform" => Some(Policy::Uniform),
            _ => None,
        };
        policy.ok_or_else(|| GuidanceError::PolicyText(text.to_owned()))
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Global => formatter.write_str("global"),
            Policy::Layer(index) => write!(formatter, "layer:{index}"),
            Policy::Random(seed) => write!(formatter, "random:{seed}"),
            Policy::Uniform => formatter.write_str("uniform"),
        }
    }
}

serde_as_text!(Policy);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn random(n_visual: usize, n: usize, seed: u64) -> Vec<usize> {
        let kept = Policy::Random(seed).select(n_visual, None, Retain::Count(n));
        kept.unwrap().indices().to_vec()
    }

    /// Two layers that disagree: token 0 wins in layer 1, token 3 in layer 4 and globally.
    fn importance() -> Importance {
        let mut importance = Importance::new(4);
        importance.add(1, &[4.0, 1.0, 0.0, 3.0]).unwrap();
        importance.add(4, &[0.0, 3.0, 1.0, 8.0]).unwrap();
        importance
    }

    fn indices(policy: Policy, retain: Retain) -> Vec<usize> {
        policy.select(4, Some(&importance()), retain).unwrap().indices().to_vec()
    }

    #[test]
    fn global_sums_layers_and_a_layer_stands_alone() {
        let half = Retain::Share(0.5);
        assert_eq!(importance().global(), [4.0, 4.0, 1.0, 11.0]);
        assert_eq!(indices(Policy::Global, half), [0, 3]);
        assert_eq!(indices(Policy::Layer(1), half), [0, 3]);
        assert_eq!(indices(Policy::Layer(4), half), [1, 3]);
        assert_eq!(indices(Policy::Layer(1), Retain::Count(1)), [0]);
        assert_eq!(indices(Policy::Global, Retain::Count(1)), [3]);
    }

    #[test]
    fn mass_is_taken_from_the_ranking_scores_and_globally_for_baselines() {
        let mass = Retain::Mass(0.75);
        assert_eq!(indices(Policy::Global, mass), [0, 3]); // 15 of 20
        assert_eq!(indices(Policy::Layer(4), mass), [1, 3]); // 8 of 12 is too little
        assert_eq!(indices(Policy::Layer(4), Retain::Mass(0.6)), [3]);
        assert_eq!(indices(Policy::Uniform, mass), [1, 3]);
        assert_eq!(indices(Policy::Random(7), mass).len(), 2);
    }

    #[test]
    fn uniform_takes_the_middle_of_equal_stretches() {
        assert_eq!(uniform(8, 2), [2, 6]);
        assert_eq!(uniform(10, 4), [1, 3, 6, 8]);
        assert_eq!(uniform(5, 5), [0, 1, 2, 3, 4]);
        assert_eq!(uniform(7, 1), [3]);
    }

    #[test]
    fn attention_is_needed_only_where_it_decides_something() {
        let [half, all, mass] = [Retain::Share(0.5), Retain::Share(1.0), Retain::Mass(1.0)];
        for (policy, expected) in [
            (Policy::Global, [true, false, true]),
            (Policy::Layer(9), [true, false, true]),
            (Policy::Random(1), [false, false, true]),
            (Policy::Uniform, [false, false, true]),
        ] {
            for (retain, needed) in [half, all, mass].into_iter().zip(expected) {
                assert_eq!(policy.needs_attention(retain), needed, "{policy} {retain}");
                let without = policy.select(4, None, retain);
                let missing = Err(GuidanceError::NoAttention { policy, retain });
                assert_eq!(without == missing, needed, "{without:?}");
                assert_eq!(policy.select(4, Some(&Importance::new(4)), retain) == missing, needed);
            }
        }
    }

    #[test]
    fn a_missing_layer_names_the_layers_there_are() {
        let error = Policy::Layer(2).select(4, Some(&importance()), Retain::Count(1)).unwrap_err();
        assert_eq!(error.to_string(), "there is no attention layer 2; use one of 1, 4");
    }

    #[test]
    fn zero_attention_ranks_nothing() {
        let mut importance = Importance::new(2);
        importance.add(0, &[0.0, 0.0]).unwrap();
        importance.add(1, &[1.0, 2.0]).unwrap();
        let one = Retain::Count(1);
        assert_eq!(
            Policy::Layer(0).select(2, Some(&importance), one),
            Err(GuidanceError::ZeroAttention { policy: Policy::Layer(0), n_visual: 2 })
        );
        assert_eq!(Policy::Global.select(2, Some(&importance), one).unwrap().indices(), [1]);
    }

    #[test]
    fn importance_of_another_prompt_is_refused() {
        for policy in [Policy::Global, Policy::Uniform] {
            assert_eq!(
                policy.select(5, Some(&importance()), Retain::Share(1.0)),
                Err(GuidanceError::VisualCount { n_visual: 5, found: 4 })
            );
        }
    }

    #[test]
    fn kept_tells_how_much_was_kept() {
        let kept = Policy::Uniform.select(8, None, Retain::Count(2)).unwrap();
        assert_eq!((kept.len(), kept.n_visual(), kept.share(), kept.is_all()), (2, 8, 0.25, false));
        assert_eq!(Kept::from_indices(8, vec![1, 5, 6]).unwrap().counts(&[2, 3, 0, 3]), [1, 0, 0, 2]);
        let none = Policy::Global.select(0, None, Retain::Count(2)).unwrap();
        assert_eq!((none.len(), none.share(), none.is_all(), none.is_empty()), (0, 1.0, true, true));
    }

    #[test]
    fn other_text_is_refused_with_the_forms() {
        for text in ["", "Global", "layer", "layer:", "layer:-1", "layer:x", "random", "random:", "uniform:3", "top"] {
            let error = text.parse::<Policy>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("layer:INDEX"), "{error}");
        }
    }

    #[test]
    fn json_is_the_text() {
        assert_eq!(serde_json::to_string(&Policy::Layer(1)).unwrap(), r#""layer:1""#);
        assert_eq!(serde_json::from_str::<Policy>(r#""random:7""#).unwrap(), Policy::Random(7));
    }

    fn policies() -> impl Strategy<Value = Policy> {
        prop_oneof![
            Just(Policy::Global),
            any::<u32>().prop_map(Policy::Layer),
            any::<u64>().prop_map(Policy::Random),
            Just(Policy::Uniform),
        ]
    }

    proptest! {
        #[test]
        fn text_round_trips(policy in policies()) {
            prop_assert_eq!(policy.to_string().parse(), Ok(policy));
        }

        #[test]
        fn every_policy_keeps_a_sorted_unique_set_of_the_asked_size(
            mass in prop::collection::vec(0.01f32..1.0, 1..200),
            seed in any::<u64>(),
            count in 1usize..250,
        ) {
            let n_visual = mass.len();
            let mut importance = Importance::new(n_visual);
            importance.add(3, &mass).unwrap();
            for policy in [Policy::Global, Policy::Layer(3), Policy::Random(seed), Policy::Uniform] {
                let kept = policy.select(n_visual, Some(&importance), Retain::Count(count)).unwrap();
                prop_assert_eq!(kept.len(), count.min(n_visual));
                prop_assert!(kept.indices().is_sorted_by(|a, b| a < b));
                prop_assert!(kept.indices().iter().all(|&index| index < n_visual));
                prop_assert_eq!(kept.is_all(), count >= n_visual);
                let all = policy.select(n_visual, Some(&importance), Retain::Share(1.0)).unwrap();
                prop_assert_eq!(all, Kept::all(n_visual));
            }
        }

        #[test]
        fn baselines_keep_as_many_as_global_by_mass(
            mass in prop::collection::vec(0.01f32..1.0, 1..200),
            share in 0.01..1.0f64,
        ) {
            let mut importance = Importance::new(mass.len());
            importance.add(0, &mass).unwrap();
            let [global, random, uniform] = [Policy::Global, Policy::Random(1), Policy::Uniform]
                .map(|policy| policy.select(mass.len(), Some(&importance), Retain::Mass(share)).unwrap().len());
            prop_assert_eq!((random, uniform), (global, global));
        }

        #[test]
        fn a_seed_fixes_the_draw_and_nests_budgets(n_visual in 1usize..300, n in 1usize..300, seed in any::<u64>()) {
            let n = n.min(n_visual);
            let kept = random(n_visual, n, seed);
            prop_assert_eq!(&kept, &random(n_visual, n, seed));
            let larger = random(n_visual, n_visual.min(n + 5), seed);
            prop_assert!(kept.iter().all(|index| larger.contains(index)));
        }

        #[test]
        fn uniform_gaps_differ_by_at_most_one(n_visual in 1usize..3000, n in 1usize..3000) {
            let n = n.min(n_visual);
            let kept = uniform(n_visual, n);
            let gaps: Vec<usize> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
            if let (Some(least), Some(most)) = (gaps.iter().min(), gaps.iter().max()) {
                prop_assert!(most - least <= 1 && *least >= 1);
            }
            prop_assert!(kept[n - 1] < n_visual);
        }
    }

    #[test]
    fn seeds_differ_and_every_token_can_be_drawn() {
        assert_ne!(random(100, 10, 1), random(100, 10, 2));
        let mut drawn = [false; 16];
        for seed in 0..200 {
            for index in random(16, 2, seed) {
                drawn[index] = true;
            }
        }
        assert_eq!(drawn, [true; 16]);
    }
}
