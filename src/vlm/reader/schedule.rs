//! Who gets what of the next batch: pure, so that fairness can be tested.
//!
//! Answers come first, since a person reads along: each gets its next token in every batch that can be shared. Prompts follow
//! in the order in which they came, and while somebody speaks no more of them is read at once than the device computes at once.
//! A picture that has to be read in one piece has a batch of its own, every other one at most while anything else goes on.

/// What can be used of the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vlm) enum Demand {
    /// The last token that was said, and up to `n_guess` guessed ones.
    Speak { n_guess: usize },
    /// Up to `n` tokens of a prompt; `whole`: all of them and nothing else.
    Read { n: usize, whole: bool },
}

/// Most tokens in a batch, and of those that are computed at once.
#[derive(Debug, Clone, Copy)]
pub(in crate::vlm) struct Limits {
    pub n_batch: usize,
    pub n_ubatch: usize,
}

/// Tokens of the next batch for each of `demands`, which stand in the order in which they came and are fewer than `n_ubatch`.
/// `after_whole`: the last batch was one picture's own.
pub(in crate::vlm) fn share_out(demands: &[Demand], limits: Limits, after_whole: bool) -> Vec<usize> {
    let mut shares = vec![0; demands.len()];
    let speaks = |demand: &Demand| matches!(demand, Demand::Speak { .. });
    let n_speaking = demands.iter().filter(|demand| speaks(demand)).count();
    let can_join = |demand: &Demand| !matches!(demand, Demand::Read { whole: true, .. });
    let first_reader = demands.iter().position(|demand| !speaks(demand));
    if let Some(first) = first_reader
        && let Demand::Read { n, whole: true } = demands[first]
        && !(after_whole && demands.iter().any(can_join))
    {
        shares[first] = n;
        return shares;
    }
    let reads = demands.iter().any(|demand| !speaks(demand) && can_join(demand));
    let is_mixed = reads && n_speaking > 0;
    let mut left = if is_mixed { limits.n_ubatch } else { limits.n_batch } - n_speaking;
    // Guesses are worth less than what is known to be read.
    let mut for_guesses = if is_mixed { left / 2 } else { left };
    for (share, demand) in shares.iter_mut().zip(demands) {
        if let Demand::Speak { n_guess } = demand {
            let n = (*n_guess).min(for_guesses);
            *share = 1 + n;
            for_guesses -= n;
            left -= n;
        }
    }
    for (share, demand) in shares.iter_mut().zip(demands) {
        if let Demand::Read { n, whole: false } = demand {
            *share = (*n).min(left);
            left -= *share;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { n_batch: 64, n_ubatch: 16 };

    fn read(n: usize) -> Demand {
        Demand::Read { n, whole: false }
    }

    fn whole(n: usize) -> Demand {
        Demand::Read { n, whole: true }
    }

    fn speak(n_guess: usize) -> Demand {
        Demand::Speak { n_guess }
    }

    #[test]
    fn who_is_alone_gets_all_there_is() {
        assert_eq!(share_out(&[read(100)], LIMITS, false), [64]);
        assert_eq!(share_out(&[speak(100)], LIMITS, false), [64]);
        assert_eq!(share_out(&[whole(16)], LIMITS, true), [16]);
    }

    #[test]
    fn answers_go_on_while_prompts_are_read_in_order() {
        assert_eq!(share_out(&[speak(0), read(100), speak(3), read(1)], LIMITS, false), [1, 11, 4, 0]);
        assert_eq!(share_out(&[read(60), read(100)], LIMITS, false), [60, 4]);
    }

    #[test]
    fn a_whole_picture_has_a_batch_of_its_own_and_then_it_is_the_others_turn() {
        let demands = [whole(9), speak(0), read(5)];
        assert_eq!(share_out(&demands, LIMITS, false), [9, 0, 0]);
        assert_eq!(share_out(&demands, LIMITS, true), [0, 1, 5]);
        assert_eq!(share_out(&[read(5), whole(9)], LIMITS, false), [5, 0]);
    }

    fn demands() -> impl Strategy<Value = Vec<Demand>> {
        let demand =
            prop_oneof![(0..80usize).prop_map(speak), (1..200usize).prop_map(read), (1..=16usize).prop_map(whole),];
        proptest::collection::vec(demand, 1..12)
    }

    proptest! {
        #[test]
        fn batches_are_bounded_and_nobody_starves(demands in demands(), after_whole in any::<bool>()) {
            let shares = share_out(&demands, LIMITS, after_whole);
            let total: usize = shares.iter().sum();
            prop_assert!(total > 0 && total <= LIMITS.n_batch);
            let is_whole = |demand: &Demand| matches!(demand, Demand::Read { whole: true, .. });
            let own: Vec<usize> = (0..demands.len()).filter(|&i| shares[i] > 0 && is_whole(&demands[i])).collect();
            if let [index] = own[..] {
                prop_assert_eq!(Demand::Read { n: total, whole: true }, demands[index], "a whole picture, alone");
            } else {
                prop_assert!(own.is_empty());
                let mut is_short = false;
                for (demand, &share) in demands.iter().zip(&shares) {
                    match demand {
                        Demand::Speak { n_guess } => prop_assert!(share >= 1 && share <= 1 + n_guess),
                        Demand::Read { whole: true, .. } => {}
                        Demand::Read { n, .. } => {
                            prop_assert!(share <= *n && (share == 0 || !is_short), "who came first is read first");
                            is_short |= share < *n;
                        }
                    }
                }
            }
            // Of two batches, one serves each answer and the first prompt.
            let next = share_out(&demands, LIMITS, !own.is_empty());
            let other = share_out(&demands, LIMITS, own.is_empty());
            for (index, demand) in demands.iter().enumerate() {
                let is_first = demands.iter().position(|demand| matches!(demand, Demand::Read { .. })) == Some(index);
                if is_first || matches!(demand, Demand::Speak { .. }) {
                    prop_assert!(shares[index] + next[index] + other[index] > 0);
                }
            }
        }

        #[test]
        fn all_come_to_an_end(demands in demands()) {
            let mut left: Vec<(Demand, usize)> = demands.iter().map(|&demand| (demand, 5)).collect();
            let n_tokens: usize = demands.iter().map(|d| if let Demand::Read { n, .. } = d { *n } else { 5 }).sum();
            let (mut after_whole, mut n_steps) = (false, 0);
            while !left.is_empty() {
                let demands: Vec<Demand> = left.iter().map(|(demand, _)| *demand).collect();
                let shares = share_out(&demands, LIMITS, after_whole);
                after_whole = (0..demands.len()).any(|i| shares[i] > 0 && matches!(demands[i], Demand::Read { whole: true, .. }));
                for ((demand, n_said), share) in left.iter_mut().zip(shares) {
                    match demand {
                        Demand::Read { n, .. } => *n -= share,
                        Demand::Speak { .. } => *n_said -= share.min(1),
                    }
                }
                left.retain(|(demand, n_said)| *n_said > 0 && !matches!(demand, Demand::Read { n: 0, .. }));
                n_steps += 1;
                prop_assert!(n_steps <= n_tokens);
            }
        }
    }
}
