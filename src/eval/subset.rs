//! Which samples are asked: a drawn part of the benchmark, and a shard's part of that. Groups stay whole.

use super::sample::Sample;
use super::settings::Shard;

/// Samples of one group, which follow each other in every loader.
fn groups(samples: &[Sample]) -> impl Iterator<Item = &[Sample]> {
    samples.chunk_by(|one, next| one.group == next.group)
}

/// `n` of so many indices, drawn by `seed`, in increasing order.
pub fn drawn(n_all: usize, n: usize, seed: u64) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..n_all).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut indices);
    indices.truncate(n);
    indices.sort_unstable();
    indices
}

/// `limit` groups, drawn by `seed` and left in order; all if there are no more.
pub fn limited(samples: Vec<Sample>, limit: Option<usize>, seed: u64) -> Vec<Sample> {
    let n_groups = groups(&samples).count();
    let Some(limit) = limit.filter(|&limit| limit < n_groups) else { return samples };
    let mut drawn = drawn(n_groups, limit, seed).into_iter().peekable();
    let kept = groups(&samples).enumerate().filter(|(index, _)| drawn.next_if_eq(index).is_some());
    kept.flat_map(|(_, group)| group.to_vec()).collect()
}

/// The samples of a shard with their places in the whole. Parts follow each other, so that questions about one picture
/// stay together.
pub fn of_shard(samples: &[Sample], shard: Shard) -> Vec<(usize, &Sample)> {
    let n_groups = groups(samples).count();
    let mut indexed = samples.iter().enumerate();
    let mut part = Vec::new();
    for (group, members) in groups(samples).enumerate() {
        let members = indexed.by_ref().take(members.len());
        if group * shard.of / n_groups == shard.part - 1 {
            part.extend(members);
        } else {
            members.for_each(drop);
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::sample::Gold;
    use proptest::prelude::*;

    fn samples(sizes: &[usize]) -> Vec<Sample> {
        let of_group = |(group, &size): (usize, &usize)| {
            (0..size).map(move |pass| Sample {
                id: format!("{group}/{pass}"),
                group: group.to_string(),
                kind: String::new(),
                pictures: Vec::new(),
                question: String::new(),
                hint: None,
                choices: Vec::new(),
                gold: Gold::Unknown,
            })
        };
        sizes.iter().enumerate().flat_map(of_group).collect()
    }

    proptest! {
        #[test]
        fn shards_divide_the_samples_and_no_group(sizes in prop::collection::vec(1usize..4, 0..30), of in 1usize..6) {
            let all = samples(&sizes);
            let parts: Vec<_> = (1..=of).map(|part| of_shard(&all, Shard { part, of })).collect();
            let joined: Vec<usize> = parts.iter().flatten().map(|&(index, _)| index).collect();
            prop_assert_eq!(joined, (0..all.len()).collect::<Vec<_>>());
            for pair in parts.windows(2) {
                if let (Some((_, last)), Some((_, first))) = (pair[0].last(), pair[1].first()) {
                    prop_assert_ne!(&last.group, &first.group);
                }
            }
        }

        #[test]
        fn a_limit_counts_groups_and_keeps_the_order(sizes in prop::collection::vec(1usize..4, 0..30), limit in 0usize..40, seed in any::<u64>()) {
            let all = samples(&sizes);
            let kept = limited(all.clone(), Some(limit), seed);
            prop_assert_eq!(groups(&kept).count(), limit.min(sizes.len()));
            let mut rest = all.iter();
            prop_assert!(kept.iter().all(|sample| rest.any(|other| other == sample)));
            prop_assert_eq!(&kept, &limited(all, Some(limit), seed));
        }
    }
}
