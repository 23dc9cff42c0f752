//! Several pictures in one budget.

/// The part of its proportional share that no picture falls below unless told otherwise.
pub const DEFAULT_PICTURE_FLOOR: f64 = 0.25;

/// The first `budget` of `ranking` (indices of visual tokens, best first), except that each picture keeps at least
/// `floor` of the share that it would get in proportion to its tokens, rounded down, and at least one token where the
/// budget has one for each. Returns increasing indices.
///
/// `pictures` holds the number of visual tokens of each picture, in prompt order. A floor of 0 is one joint ranking; at 1
/// every picture keeps the same share. No more of `ranking` is asked for than it takes.
pub fn first_of_each(
    ranking: impl IntoIterator<Item = usize>,
    pictures: &[usize],
    budget: usize,
    floor: f64,
) -> Vec<usize> {
    let n_visual: usize = pictures.iter().sum();
    let least_one = usize::from(floor > 0.0 && budget >= pictures.len());
    let mut reserved: Vec<usize> = pictures
        .iter()
        .map(|&n| {
            let share = budget as f64 * n as f64 / n_visual.max(1) as f64;
            ((floor * share) as usize).max(least_one).min(n)
        })
        .collect();
    // The ones for the smallest come from the largest.
    while reserved.iter().sum::<usize>() > budget {
        let Some(most) = reserved.iter_mut().max() else { break };
        *most -= 1;
    }
    let mut ends = Vec::with_capacity(pictures.len());
    let mut end = 0;
    for n in pictures {
        end += n;
        ends.push(end);
    }
    let budget = budget.min(n_visual);
    let mut free = budget.saturating_sub(reserved.iter().sum());
    let mut kept = Vec::with_capacity(budget);
    let mut ranking = ranking.into_iter();
    while kept.len() < budget {
        let Some(index) = ranking.next() else { break };
        let picture = ends.partition_point(|&end| end <= index);
        let Some(reserved) = reserved.get_mut(picture) else { continue };
        if *reserved > 0 {
            *reserved -= 1;
        } else if free > 0 {
            free -= 1;
        } else {
            continue;
        }
        kept.push(index);
    }
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::ranking;
    use proptest::prelude::*;

    fn counts(kept: &[usize], pictures: &[usize]) -> Vec<usize> {
        let mut start = 0;
        let mut count = |&n: &usize| {
            start += n;
            kept.iter().filter(|&&index| (start - n..start).contains(&index)).count()
        };
        pictures.iter().map(&mut count).collect()
    }

    #[test]
    fn a_floor_keeps_a_picture_that_the_guide_ignored() {
        let scores: Vec<f64> = (0..30).map(|index| if index < 20 { 100.0 - index as f64 } else { 0.1 }).collect();
        let kept = |floor| counts(&first_of_each(ranking(&scores), &[20, 10], 12, floor), &[20, 10]);
        assert_eq!(kept(0.0), [12, 0]);
        assert_eq!(kept(0.1), [11, 1]);
        assert_eq!(kept(0.5), [10, 2]);
        assert_eq!(kept(1.0), [8, 4]);
    }

    #[test]
    fn a_budget_below_the_number_of_pictures_is_kept() {
        assert_eq!(first_of_each([4, 0, 1, 2, 3], &[2, 2, 1], 2, 0.5), [0, 4]);
        assert!(first_of_each([], &[], 3, 0.5).is_empty());
    }

    proptest! {
        #[test]
        fn floors_hold_and_the_rest_is_the_best(
            scores in prop::collection::vec(0.0..10.0f64, 3..80),
            cuts in (0.0..1.0f64, 0.0..1.0f64),
            share in 0.0..1.0f64,
            floor in 0.0..=1.0f64,
        ) {
            let n = scores.len();
            let (a, b) = ((cuts.0 * n as f64) as usize, (cuts.1 * n as f64) as usize);
            let pictures = [a.min(b), a.max(b) - a.min(b), n - a.max(b)];
            let budget = ((share * n as f64) as usize).max(3);
            let order = ranking(&scores);
            let kept = first_of_each(order, &pictures, budget, floor);
            prop_assert_eq!(kept.len(), budget.min(n));
            prop_assert!(kept.is_sorted_by(|a, b| a < b));
            let floors = pictures.map(|all| ((floor * budget as f64 * all as f64 / n as f64) as usize).min(all));
            // What the smallest get beyond their floor comes from the largest.
            let n_lent = floors.iter().zip(pictures).filter(|&(&floor, all)| floor == 0 && all > 0).count();
            for (count, least) in counts(&kept, &pictures).iter().zip(floors) {
                prop_assert!(count + n_lent >= least);
                prop_assert!(floor == 0.0 || least == 0 || *count > 0);
            }
            if floor == 0.0 {
                prop_assert_eq!(kept, crate::guidance::top(&scores, budget));
            }
        }

        #[test]
        fn one_picture_is_the_plain_ranking(scores in prop::collection::vec(0.0..10.0f64, 1..60), n in 1usize..60, floor in 0.0..=1.0f64) {
            let n = n.min(scores.len());
            prop_assert_eq!(first_of_each(ranking(&scores), &[scores.len()], n, floor), crate::guidance::top(&scores, n));
        }
    }
}
