//! How numbers are written: one rounding everywhere, in tables, sentences and plots.

/// A value that does not exist.
pub(super) const MISSING: &str = "–";

const UNIT_SPACE: char = '\u{a0}';
const DIGIT_SPACE: char = '\u{202f}';

/// A share as percent with one decimal.
pub(super) fn percent(share: f64) -> String {
    unit(&fixed(share * 100.0, 1), "%")
}

/// Two shares, the ends of an interval.
pub(super) fn percent_range(ends: [f64; 2]) -> String {
    unit(&bare_range(ends), "%")
}

/// The same below a number that has the unit.
pub(super) fn bare_range([low, high]: [f64; 2]) -> String {
    format!("{}–{}", fixed(low * 100.0, 1), fixed(high * 100.0, 1))
}

/// A share that somebody chose, with as many decimals as it has, two at most.
pub(super) fn retention(share: f64) -> String {
    let text = fixed(share * 100.0, 2);
    unit(text.trim_end_matches('0').trim_end_matches('.'), "%")
}

/// A difference of shares in percentage points.
pub(super) fn points(difference: f64) -> String {
    fixed(difference * 100.0, 1)
}

/// Two differences, the ends of an interval.
pub(super) fn points_range([low, high]: [f64; 2]) -> String {
    format!("{} to {}", points(low), points(high))
}

/// Milliseconds, with a decimal below 10.
pub(super) fn milliseconds(ms: f64) -> String {
    if ms.abs() < 9.95 {
        return fixed(ms, 1);
    }
    let digits = fixed(ms, 0);
    let n_digits = digits.chars().count();
    let grouped = digits.chars().enumerate().flat_map(|(index, digit)| {
        let separated = index > 0 && (n_digits - index).is_multiple_of(3);
        separated.then_some(DIGIT_SPACE).into_iter().chain([digit])
    });
    grouped.collect()
}

/// A mean number of things.
pub(super) fn mean_count(n: f64) -> String {
    fixed(n, 1)
}

/// A ratio, a threshold, a correlation, or a figure in a unit of its own.
pub(super) fn decimal(value: f64) -> String {
    fixed(value, 2)
}

/// A p value as it stands in a table.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 { format!("<{UNIT_SPACE}0.001") } else { fixed(p, 3) }
}

/// A p value as it stands in a sentence.
pub(super) fn p_phrase(p: f64) -> String {
    if p < 0.001 { format!("p {}", p_value(p)) } else { format!("p = {}", p_value(p)) }.replace(' ', "\u{a0}")
}

fn unit(text: &str, unit: &str) -> String {
    if text == MISSING { text.to_owned() } else { format!("{text}{UNIT_SPACE}{unit}") }
}

fn fixed(value: f64, n_decimals: usize) -> String {
    if !value.is_finite() {
        return MISSING.to_owned();
    }
    let text = format!("{:.n_decimals$}", value.abs());
    let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if value < 0.0 && !is_zero { format!("−{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_alike_and_knows_no_negative_zero() {
        assert_eq!(percent(0.923_49), "92.3\u{a0}%");
        assert_eq!(percent(1.0), "100.0\u{a0}%");
        assert_eq!(percent_range([0.861, 0.9219]), "86.1–92.2\u{a0}%");
        assert_eq!(points(-0.0004), "0.0");
        assert_eq!(points_range([-0.002, 0.01]), "−0.2 to 1.0");
        assert_eq!(percent(f64::NAN), MISSING);
    }

    #[test]
    fn retentions_have_the_decimals_that_they_need() {
        let texts = [1.0, 0.5, 0.1, 0.09, 0.125, 0.0333].map(retention);
        assert_eq!(texts.map(|text| text.replace('\u{a0}', "")), ["100%", "50%", "10%", "9%", "12.5%", "3.33%"]);
    }

    #[test]
    fn milliseconds_are_grouped() {
        let texts = [0.26, 9.94, 9.96, 999.6, 12_345.6, 1_234_567.0].map(milliseconds);
        assert_eq!(
            texts.map(|text| text.replace('\u{202f}', "'")),
            ["0.3", "9.9", "10", "1'000", "12'346", "1'234'567"]
        );
    }

    #[test]
    fn small_p_values_are_bounded() {
        assert_eq!(p_value(0.0004), "<\u{a0}0.001");
        assert_eq!(p_phrase(0.21), "p\u{a0}=\u{a0}0.210");
        assert_eq!(p_phrase(0.0), "p\u{a0}<\u{a0}0.001");
    }
}
