//! Probabilities from logits, in the time that decoding allows: vocabularies have 150,000 tokens.

use super::model::Token;
use wide::f32x8;

/// `ln p(token)` under the softmax of `logits` (`[n_vocab]`); negative infinity for a token that does not exist.
pub fn log_probability(logits: &[f32], token: Token) -> f64 {
    log_probabilities(logits)(token)
}

/// [`log_probability`] of several tokens of one row.
pub fn log_probabilities(logits: &[f32]) -> impl Fn(Token) -> f64 {
    let sum = log_sum_exp(logits);
    move |token| {
        let logit = usize::try_from(token).ok().and_then(|token| logits.get(token));
        logit.map_or(f64::NEG_INFINITY, |&logit| f64::from(logit) - sum)
    }
}

/// `ln(sum of exp(x))`, to about 1e-7; NaN where a value is.
fn log_sum_exp(values: &[f32]) -> f64 {
    // Few enough exponentials are added in 32 bits that their rounding does not add up.
    const BLOCK: usize = 8;
    let (eights, rest) = values.as_chunks::<8>();
    let max = max(values);
    let block = |eights: &[[f32; 8]]| -> f64 {
        let exp = |&eight: &[f32; 8]| (f32x8::new(eight) - max).exp();
        f64::from(eights.iter().map(exp).fold(f32x8::ZERO, |sum, exp| sum + exp).reduce_add())
    };
    let sum: f64 = eights.chunks(BLOCK).map(block).sum();
    let rest: f64 = rest.iter().map(|&value| f64::from(value - max).exp()).sum();
    f64::from(max) + (sum + rest).ln()
}

/// The most probable token, the lowest among equals.
pub fn most_probable(logits: &[f32]) -> Token {
    let max = max(logits);
    logits.iter().position(|&logit| logit == max).unwrap_or_default() as Token
}

/// The `n` most probable tokens of `logits` (`[n_vocab]`), best first, the lower id first among equals.
pub fn most_probable_tokens(logits: &[f32], n: usize) -> Vec<Token> {
    let better = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
    let mut order: Vec<usize> = (0..logits.len()).collect();
    let n = n.min(order.len());
    if n > 0 && n < order.len() {
        order.select_nth_unstable_by(n - 1, better);
    }
    order.truncate(n);
    order.sort_unstable_by(better);
    order.into_iter().map(|token| token as Token).collect()
}

/// The greatest number; negative infinity if there is none.
fn max(values: &[f32]) -> f32 {
    let (eights, rest) = values.as_chunks::<8>();
    let max = eights.iter().fold(f32x8::splat(f32::NEG_INFINITY), |max, &eight| max.max(f32x8::new(eight)));
    max.to_array().iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(logits: &[f32], token: usize) -> f64 {
        let max = logits.iter().copied().map(f64::from).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - max).exp()).sum();
        f64::from(logits[token]) - max - sum.ln()
    }

    proptest! {
        #[test]
        fn equals_the_definition(logits in prop::collection::vec(-120f32..120.0, 1..700), token in any::<prop::sample::Index>()) {
            let token = token.index(logits.len());
            let found = log_probability(&logits, token as Token);
            let expected = exact(&logits, token);
            prop_assert!((found - expected).abs() <= 1e-6 + 1e-7 * expected.abs(), "{found} {expected}");
        }
    }

    #[test]
    fn a_whole_vocabulary() {
        let mut random = fastrand::Rng::with_seed(1);
        let logits: Vec<f32> = (0..151_655).map(|_| 16.0 * random.f32() - 8.0).collect();
        assert!((log_probability(&logits, 7) - exact(&logits, 7)).abs() < 1e-6);
    }

    #[test]
    fn the_first_of_the_best() {
        assert_eq!(most_probable(&[]), 0);
        assert_eq!(most_probable(&[f32::NEG_INFINITY; 3]), 0);
        for place in 0..20 {
            let mut logits = [1.0; 20];
            logits[place..].fill(2.0);
            assert_eq!(most_probable(&logits), place as Token);
            logits[if place < 10 { 19 } else { 0 }] = f32::NAN;
            assert_eq!(most_probable(&logits), place as Token);
        }
    }

    #[test]
    fn the_most_probable_tokens_come_in_order() {
        let logits = [0.5, 2.0, -1.0, 2.0, 1.0];
        assert_eq!(most_probable_tokens(&logits, 3), [1, 3, 4]);
        assert_eq!(most_probable_tokens(&logits, 9), [1, 3, 4, 0, 2]);
        assert!(most_probable_tokens(&logits, 0).is_empty());
    }

    #[test]
    fn extremes() {
        assert_eq!(log_probability(&[1.0, 2.0], 2), f64::NEG_INFINITY);
        assert_eq!(log_probability(&[1.0, 2.0], -1), f64::NEG_INFINITY);
        assert_eq!(log_probability(&[3.0], 0), 0.0);
        let masked = [f32::NEG_INFINITY; 9];
        let masked: Vec<f32> = masked.into_iter().chain([5.0]).collect();
        assert_eq!(log_probability(&masked, 9), 0.0);
        assert_eq!(log_probability(&masked, 0), f64::NEG_INFINITY);
        let mut logits = [0.0; 20];
        logits[3] = f32::NAN;
        assert!(log_probability(&logits, 0).is_nan());
    }
}
