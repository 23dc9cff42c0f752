//! Whether a guide pays, in words.

use sgl::bench::{Baseline, BreakEven, Measurement, TOTAL};

/// The verdict, and from when on it would be another.
pub fn text(measured: &Measurement) -> String {
    let baseline = match measured.settings.baseline {
        Baseline::Unpruned => "the target alone",
        Baseline::Stock => "stock llama.cpp with the target alone",
    };
    let total = measured.baseline().get(TOTAL).unwrap_or_default();
    let ratio = if total > 0.0 { measured.measured_ms / total } else { 1.0 };
    let Some(even) = measured.break_even else {
        return format!(
            "On this machine the guide's answer, final here, takes {ratio:.2} of the time of {baseline}; what pruning brings is not \
             measured with it.\n"
        );
    };
    if ratio <= 1.0 {
        return format!(
            "This guide pays for this target on this machine: a guided answer takes {ratio:.2} of the time of {baseline}, without any \
             early exit. {}\n",
            by_pruning(&even)
        );
    }
    format!(
        "This guide does not pay for this target on this machine: without early exits, a guided answer takes {ratio:.2} times as long \
         as {baseline}. {} {}\n",
        by_pruning(&even),
        by_exits(&even)
    )
}

fn by_pruning(even: &BreakEven) -> String {
    match even.retain {
        None => "No pruning, however strong, makes up for the rest.".to_owned(),
        Some(1.0) => "It would be no slower even if the target read all visual tokens.".to_owned(),
        Some(retain) => {
            format!("It is no slower while the target reads at most {:.1} % of the visual tokens.", 100.0 * retain)
        }
    }
}

fn by_exits(even: &BreakEven) -> String {
    match even.exits {
        None => "Nor would early exits help: the guide's answer alone takes longer.".to_owned(),
        Some(share) => format!(
            "It would pay on the whole if the guide's answer were final for at least {:.0} % of the questions.",
            (100.0 * share).ceil()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn break_even_has_words() {
        let even = BreakEven { retain: Some(0.331), exits: Some(0.401) };
        assert!(by_pruning(&even).contains("at most 33.1 %"));
        assert!(by_exits(&even).contains("41 %"));
        let never = BreakEven { retain: None, exits: None };
        assert!(by_pruning(&never).starts_with("No pruning") && by_exits(&never).starts_with("Nor would"));
        assert!(by_pruning(&BreakEven { retain: Some(1.0), exits: None }).contains("all visual tokens"));
    }
}
