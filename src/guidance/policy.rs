use std::fmt;
use std::str::FromStr;

use super::diversity::Greedy;
use super::retain::decimal;
use super::{Evidence, GuidanceError, Retain, first_of_each, ranking, serde_as_text};

/// Weight of the attention in `global+diversity` unless told otherwise.
const DEFAULT_WEIGHT: f64 = 0.5;

/// Which visual tokens are kept.
///
/// Text forms: `global`, `global+diversity` or `global+diversity:WEIGHT`, `global+debias`, `layer:INDEX`, `diversity`,
/// `random:SEED`, `uniform`. Without a floor, all but the last keep a subset of what
/// they would keep with a larger budget.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Policy {
    /// SGP: the highest attention summed over all layers and heads of the guide.
    #[default]
    Global,
    /// Attention against redundancy: each token is the best addition to those before it, by
    /// `weight * ln q[i] + (1 - weight) * ln d2[i]`.
    ///
    /// `q` is the attention summed over all layers and heads, and `d2[i]` the squared length of the part of token `i`'s unit
    /// embedding that is no combination of the embeddings taken before. This is greedy MAP of a determinantal point process
    /// (Kulesza & Taskar, arXiv 1207.6083; Chen et al., arXiv 1709.05135) for `weight * sum of ln q + (1 - weight) * ln det S`,
    /// S being the cosine similarities. The weight is within `0..=1`: 1 is [`Policy::Global`], 0 is [`Policy::Diversity`].
    GlobalDiversity(f64),
    /// The highest attention summed over all layers and heads, divided by what its place gets whatever is asked: a model's
    /// attention favours some places.
    GlobalDebias,
    /// The highest attention of one layer, by the model's layer index.
    Layer(u32),
    /// Baseline: tokens that differ most from each other, in the manner of CDPruner (arXiv 2506.10967) and DART (arXiv
    /// 2502.11494), by the similarity of their embeddings alone.
    Diversity,
    /// Baseline: drawn without replacement from this seed.
    ///
    /// The draw depends on the seed and the number of tokens only.
    Random(u64),
    /// Baseline: evenly spaced in prompt order.
    Uniform,
}

impl Policy {
    /// Whether [`Policy::select`] needs [`Evidence::importance`] for this retention.
    ///
    /// The baselines need it to count tokens by mass; no policy needs it when everything is kept.
    pub fn needs_attention(&self, retain: Retain) -> bool {
        match self {
            Policy::Random(_) | Policy::Uniform => matches!(retain, Retain::Mass(_)),
            _ if self.weight() == 0.0 => matches!(retain, Retain::Mass(_)),
            _ => !retain.keeps_all(),
        }
    }

    /// Whether [`Policy::select`] needs [`Evidence::embeddings`] for this retention.
    pub fn needs_embeddings(&self, retain: Retain) -> bool {
        self.weight() < 1.0 && !retain.keeps_all()
    }

    /// Whether [`Policy::select`] needs [`Evidence::expected`] for this retention.
    pub fn needs_expectation(&self, retain: Retain) -> bool {
        matches!(self, Policy::GlobalDebias) && !retain.keeps_all()
    }

    /// The visual tokens of one picture, or of several in one ranking, that the target reads: [`Policy::select_of`]
    /// without a floor.
    ///
    /// # Errors
    /// As there.
    pub fn select(&self, n_visual: usize, evidence: Evidence<'_>, retain: Retain) -> Result<Kept, GuidanceError> {
        self.select_of(&[n_visual], evidence, retain, 0.0)
    }

    /// The visual tokens that the target reads of several pictures, `pictures` being the number of visual tokens of each
    /// in prompt order. One joint ranking, in which each picture keeps at least `floor` of its proportional share
    /// ([`first_of_each`]); [`Policy::Uniform`] keeps that share anyway.
    ///
    /// The budget by mass comes from the attention that ranks, and for the baselines from the global one, so that they
    /// keep as many tokens as [`Policy::Global`] would.
    ///
    /// # Errors
    /// Evidence of another length than there are visual tokens, or none where it is needed; attention of nothing but zeros;
    /// a layer that has recorded none; an expectation that is not above 0.
    pub fn select_of(
        &self,
        pictures: &[usize],
        evidence: Evidence<'_>,
        retain: Retain,
        floor: f64,
    ) -> Result<Kept, GuidanceError> {
        let n_visual = pictures.iter().sum();
        evidence.check(n_visual)?;
        if n_visual == 0 || retain.keeps_all() {
            return Ok(Kept::all(n_visual));
        }
        let scores = if self.needs_attention(retain) { self.scores(evidence, retain)? } else { vec![0.0; n_visual] };
        let budget = retain.budget(&scores);
        if budget == n_visual {
            return Ok(Kept::all(n_visual));
        }
        let first = |ranking| first_of_each(ranking, pictures, budget, floor);
        let indices = match *self {
            _ if self.needs_embeddings(retain) => {
                let missing = GuidanceError::NoEmbeddings { policy: *self };
                let embeddings = evidence.embeddings.ok_or(missing)?;
                first_of_each(Greedy::new(embeddings, &scores, self.weight()), pictures, budget, floor)
            }
            Policy::Random(seed) => first(shuffled(n_visual, seed)),
            Policy::Uniform => uniform(n_visual, budget),
            _ => first(ranking(&scores)),
        };
        Ok(Kept { indices, n_visual })
    }

    /// Of what else ranks, against diversity.
    fn weight(&self) -> f64 {
        match *self {
            Policy::GlobalDiversity(weight) if weight > 0.0 => weight.min(1.0),
            Policy::GlobalDiversity(_) | Policy::Diversity => 0.0,
            _ => 1.0,
        }
    }

    /// Attention that ranks, and that the budget by mass is taken from. `[n_visual]`
    fn scores(&self, evidence: Evidence<'_>, retain: Retain) -> Result<Vec<f64>, GuidanceError> {
        let importance = evidence
            .importance
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
            Policy::GlobalDebias => {
                let expected = evidence.expected.ok_or(GuidanceError::NoExpectation { policy: *self })?;
                importance.global().iter().zip(expected).map(|(mass, expected)| mass / expected).collect()
            }
            _ => importance.global(),
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
        let weight = |text| decimal(text, "").filter(|weight| *weight <= 1.0);
        let policy = match text.split_once(':') {
            Some(("global+diversity", text)) => weight(text).map(Policy::GlobalDiversity),
            Some(("layer", index)) => index.parse().ok().map(Policy::Layer),
            Some(("random", seed)) => seed.parse().ok().map(Policy::Random),
            Some(_) => None,
            None => match text {
                "global" => Some(Policy::Global),
                "global+diversity" => Some(Policy::GlobalDiversity(DEFAULT_WEIGHT)),
                "global+debias" => Some(Policy::GlobalDebias),
                "diversity" => Some(Policy::Diversity),
                "uniform" => Some(Policy::Uniform),
                _ => None,
            },
        };
        policy.ok_or_else(|| GuidanceError::PolicyText(text.to_owned()))
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Global => formatter.write_str("global"),
            Policy::GlobalDiversity(weight) => write!(formatter, "global+diversity:{weight}"),
            Policy::GlobalDebias => formatter.write_str("global+debias"),
            Policy::Diversity => formatter.write_str("diversity"),
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
    use crate::guidance::Importance;

    fn random(n_visual: usize, n: usize, seed: u64) -> Vec<usize> {
        let kept = Policy::Random(seed).select(n_visual, Evidence::default(), Retain::Count(n));
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
        policy.select(4, (&importance()).into(), retain).unwrap().indices().to_vec()
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

    /// Tokens 0 and 1 are the same, and 3 is new.
    const ROWS: [&[f32]; 4] = [&[1.0, 0.0], &[2.0, 0.0], &[1.0, 1.0], &[0.0, 9.0]];

    #[test]
    fn evidence_is_needed_only_where_it_decides_something() {
        const ALL: [Retain; 3] = [Retain::Share(0.5), Retain::Share(1.0), Retain::Mass(0.9)];
        let (importance, expected) = (importance(), [1.0; 4]);
        let full = Evidence { importance: Some(&importance), embeddings: Some(&ROWS), expected: Some(&expected) };
        let [never, by_mass, unless_all] = [[false; 3], [false, false, true], [true, false, true]];
        for (policy, attention, embeddings, expectation) in [
            (Policy::Global, unless_all, never, never),
            (Policy::Layer(4), unless_all, never, never),
            (Policy::GlobalDiversity(0.5), unless_all, unless_all, never),
            (Policy::GlobalDiversity(1.0), unless_all, never, never),
            (Policy::GlobalDiversity(0.0), by_mass, unless_all, never),
            (Policy::GlobalDebias, unless_all, never, unless_all),
            (Policy::Diversity, by_mass, unless_all, never),
            (Policy::Random(1), by_mass, never, never),
            (Policy::Uniform, by_mass, never, never),
        ] {
            for (index, retain) in ALL.into_iter().enumerate() {
                let selected = policy.select(4, full, retain);
                assert!(selected.is_ok(), "{selected:?}");
                let check = |is_needed: bool, claimed: bool, without: Evidence<'_>, missing: GuidanceError| {
                    assert_eq!(claimed, is_needed, "{policy} {retain}: {missing}");
                    let expected = if is_needed { Err(missing) } else { selected.clone() };
                    assert_eq!(policy.select(4, without, retain), expected);
                };
                let none = GuidanceError::NoAttention { policy, retain };
                for unseen in [None, Some(&Importance::new(4))] {
                    let without = Evidence { importance: unseen, ..full };
                    check(attention[index], policy.needs_attention(retain), without, none.clone());
                }
                let (without, none) = (Evidence { embeddings: None, ..full }, GuidanceError::NoEmbeddings { policy });
                check(embeddings[index], policy.needs_embeddings(retain), without, none);
                let (without, none) = (Evidence { expected: None, ..full }, GuidanceError::NoExpectation { policy });
                check(expectation[index], policy.needs_expectation(retain), without, none);
            }
        }
    }

    #[test]
    fn evidence_that_does_not_fit_is_refused() {
        let uniform = |evidence| Policy::Uniform.select(2, evidence, Retain::Count(1)).map(|kept| kept.len());
        let count = |what, found| Err(GuidanceError::VisualCount { what, n_visual: 2, found });
        assert_eq!(uniform(Evidence { embeddings: Some(&ROWS), ..Evidence::default() }), count("embeddings", 4));
        assert_eq!(uniform(Evidence { expected: Some(&[1.0]), ..Evidence::default() }), count("expectation", 1));
        for value in [0.0, -1.0, f64::INFINITY] {
            let expected = [1.0, value];
            let evidence = Evidence { expected: Some(&expected), ..Evidence::default() };
            let refused = Policy::Uniform.select(2, evidence, Retain::Count(1));
            assert_eq!(refused, Err(GuidanceError::ExpectedValue { token: 1, value }));
        }
        assert!(uniform(Evidence { expected: Some(&[f64::NAN, 1.0]), ..Evidence::default() }).is_err());
    }

    #[test]
    fn attention_and_diversity_are_weighed() {
        let importance = importance(); // 4, 4, 1, 11
        let evidence = Evidence { embeddings: Some(&ROWS), ..Evidence::from(&importance) };
        let of = |text: &str, n| {
            let policy: Policy = text.parse().unwrap();
            policy.select(4, evidence, Retain::Count(n)).unwrap().indices().to_vec()
        };
        assert_eq!(of("diversity", 2), [0, 3]);
        assert_eq!(of("global+diversity", 1), [3]);
        assert_eq!(of("global+diversity", 2), [0, 3]);
        assert_eq!(of("global+diversity:1", 3), [0, 1, 3]);
        // By mass: 15 of 20 are two tokens, for the diverse ones too.
        for policy in [Policy::Diversity, Policy::GlobalDiversity(0.3)] {
            assert_eq!(policy.select(4, evidence, Retain::Mass(0.75)).unwrap().len(), 2);
        }
    }

    #[test]
    fn attention_is_divided_by_what_its_place_gets_anyway() {
        let importance = importance(); // 4, 4, 1, 11
        let of = |expected: [f64; 4], retain| {
            let evidence = Evidence { expected: Some(&expected), ..Evidence::from(&importance) };
            Policy::GlobalDebias.select(4, evidence, retain).unwrap().indices().to_vec()
        };
        let two = Retain::Count(2);
        assert_eq!(of([2.0; 4], two), [0, 3]);
        assert_eq!(of([1.0, 1.0, 0.1, 10.0], two), [0, 2]);
        assert_eq!(of([1.0, 1.0, 0.1, 11.0], Retain::Mass(0.5)), [2]); // 10 of 19
    }

    #[test]
    fn a_missing_layer_names_the_layers_there_are() {
        let error = Policy::Layer(2).select(4, (&importance()).into(), Retain::Count(1)).unwrap_err();
        assert_eq!(error.to_string(), "there is no attention layer 2; use one of 1, 4");
    }

    #[test]
    fn zero_attention_ranks_nothing() {
        let mut importance = Importance::new(2);
        importance.add(0, &[0.0, 0.0]).unwrap();
        importance.add(1, &[1.0, 2.0]).unwrap();
        let one = Retain::Count(1);
        assert_eq!(
            Policy::Layer(0).select(2, (&importance).into(), one),
            Err(GuidanceError::ZeroAttention { policy: Policy::Layer(0), n_visual: 2 })
        );
        assert_eq!(Policy::Global.select(2, (&importance).into(), one).unwrap().indices(), [1]);
    }

    #[test]
    fn importance_of_another_prompt_is_refused() {
        for policy in [Policy::Global, Policy::Uniform] {
            assert_eq!(
                policy.select(5, (&importance()).into(), Retain::Share(1.0)),
                Err(GuidanceError::VisualCount { what: "importance", n_visual: 5, found: 4 })
            );
        }
    }

    #[test]
    fn kept_tells_how_much_was_kept() {
        let kept = Policy::Uniform.select(8, Evidence::default(), Retain::Count(2)).unwrap();
        assert_eq!((kept.len(), kept.n_visual(), kept.share(), kept.is_all()), (2, 8, 0.25, false));
        assert_eq!(Kept::from_indices(8, vec![1, 5, 6]).unwrap().counts(&[2, 3, 0, 3]), [1, 0, 0, 2]);
        let none = Policy::Global.select(0, Evidence::default(), Retain::Count(2)).unwrap();
        assert_eq!((none.len(), none.share(), none.is_all(), none.is_empty()), (0, 1.0, true, true));
    }

    #[test]
    fn other_text_is_refused_with_the_forms() {
        for text in [
            "",
            "Global",
            "layer",
            "layer:",
            "layer:-1",
            "layer:x",
            "random",
            "random:",
            "uniform:3",
            "top",
            "diversity:1",
            "global+",
            "global+diversity:",
            "global+diversity:1.1",
            "global+diversity:-0",
            "global+diversity:1e-1",
            "global+diversity:nan",
            "global+debias:1",
            "diversity+global",
        ] {
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
            (0.0..=1.0f64).prop_map(Policy::GlobalDiversity),
            Just(Policy::GlobalDebias),
            Just(Policy::Diversity),
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
            let rows: Vec<&[f32]> = mass.windows(n_visual.min(3)).cycle().take(n_visual).collect();
            let expected = vec![1.0; n_visual];
            let evidence = Evidence { importance: Some(&importance), embeddings: Some(&rows), expected: Some(&expected) };
            for policy in [
                Policy::Global,
                Policy::GlobalDiversity(0.5),
                Policy::GlobalDebias,
                Policy::Layer(3),
                Policy::Diversity,
                Policy::Random(seed),
                Policy::Uniform,
            ] {
                let kept = policy.select(n_visual, evidence, Retain::Count(count)).unwrap();
                prop_assert_eq!(kept.len(), count.min(n_visual));
                prop_assert!(kept.indices().is_sorted_by(|a, b| a < b));
                prop_assert!(kept.indices().iter().all(|&index| index < n_visual));
                prop_assert_eq!(kept.is_all(), count >= n_visual);
                let larger = policy.select(n_visual, evidence, Retain::Count(count + 3)).unwrap();
                let nests = kept.indices().iter().all(|index| larger.indices().contains(index));
                prop_assert!(nests || policy == Policy::Uniform, "{}", policy);
                let all = policy.select(n_visual, evidence, Retain::Share(1.0)).unwrap();
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
                .map(|policy| policy.select(mass.len(), (&importance).into(), Retain::Mass(share)).unwrap().len());
            prop_assert_eq!((random, uniform), (global, global));
        }

        #[test]
        fn a_constant_expectation_changes_nothing(
            mass in prop::collection::vec(0.01f32..1.0, 1..100),
            exponent in -3i32..4,
            count in 1usize..100,
        ) {
            let mut importance = Importance::new(mass.len());
            importance.add(0, &mass).unwrap();
            let expected = vec![f64::from(exponent).exp2(); mass.len()];
            let evidence = Evidence { expected: Some(&expected), ..Evidence::from(&importance) };
            let [global, debias] = [Policy::Global, Policy::GlobalDebias]
                .map(|policy| policy.select(mass.len(), evidence, Retain::Count(count)).unwrap());
            prop_assert_eq!(global, debias);
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
