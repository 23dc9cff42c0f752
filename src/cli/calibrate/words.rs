//! A calibration as a table and in plain words.

use crate::cli::error::{Exit, Failure};
use crate::cli::eval::share;
use sgl::eval::calibrate::{Calibration, Candidate, Options};
use sgl::eval::journal::Header;

/// Pruning alone, then exits before the chosen retention.
pub fn table(header: &Header, calibration: &Calibration, options: &Options) -> String {
    let by = if options.agreement { "agreement with the unpruned target" } else { &header.settings.metric };
    let mut table = format!(
        "{}: {} pictures, {} questions, {by}; losses in percentage points\n\n\
         | target reads | guide exits from | exits, % | loss | test holds from | time | verdict |\n|---|---|---|---|---|---|---|\n",
        header.settings.benchmark, calibration.n, calibration.n_questions
    );
    let behind = calibration.choice.as_ref().map_or(1.0, |choice| choice.retain);
    let shown = |candidate: &&Candidate| candidate.exit_threshold.is_none() || candidate.retain == behind;
    for candidate in calibration.candidates.iter().filter(shown) {
        let verdict = match (Some(candidate) == calibration.choice.as_ref(), candidate.established) {
            (true, _) => "chosen",
            (false, true) => "holds",
            (false, false) => "refused",
        };
        table += &format!(
            "| {} | {} | {} | {} | {} | {:.2} | {verdict} |\n",
            tokens(candidate.retain),
            threshold(candidate.exit_threshold),
            points(candidate.exited),
            points(candidate.loss),
            points(candidate.bound),
            candidate.cost,
        );
    }
    table
}

/// What was chosen, and what was not.
pub fn in_words(calibration: &Calibration, choice: &Candidate, options: &Options) -> String {
    let exit = match choice.exit_threshold {
        Some(threshold) => format!(
            "the guide's answer is final from score {threshold} on, which are {} % of the questions",
            points(choice.exited)
        ),
        None => "the guide's answer is never final".to_owned(),
    };
    let validated = &calibration.cross_validated;
    let mut text = format!(
        "The target reads {} of the visual tokens, and {exit}. On these pictures that loses {} points, and on others like \
         them, with a confidence of {} %, no more than the {} that are allowed. Choices made from part of the pictures lose {} points \
         on the rest, and no more than is allowed on {} of {} parts.\n",
        tokens(choice.retain),
        points(choice.loss),
        share(options.confidence),
        share(options.max_loss),
        points(validated.loss),
        validated.kept,
        validated.folds.len(),
    );
    let refused =
        calibration.candidates.iter().find(|candidate| candidate.exit_threshold.is_none() && !candidate.established);
    if let Some(refused) = refused {
        text += &format!(
            "Refused: to read {}, which loses {} points here; its test would have held from {} on.\n",
            tokens(refused.retain),
            points(refused.loss),
            points(refused.bound)
        );
    }
    if let Some(needed) = calibration.needed_for_exit.filter(|&needed| calibration.n < needed) {
        text += &format!(
            "No exit can be promised from fewer than {needed} pictures, however well it goes; with fewer candidates in --retain, fewer \
             are enough.\n"
        );
    }
    text
}

/// Why there is no profile.
pub fn nothing(calibration: &Calibration, options: &Options) -> Failure {
    let mildest = match calibration.candidates.first() {
        Some(mildest) => format!(
            ": even reading {} loses {} points here, and its test would have held from {} on",
            tokens(mildest.retain),
            points(mildest.loss),
            points(mildest.bound)
        ),
        None => String::new(),
    };
    Failure::new(
        Exit::Models,
        format!(
            "neither pruning nor an exit keeps a loss of at most {} % with a confidence of {} %{mildest}; allow more with --max-loss, ask \
             more questions, or use another pair",
            share(options.max_loss),
            share(options.confidence)
        ),
    )
}

fn tokens(retain: f64) -> String {
    if retain == 1.0 { "all".to_owned() } else { format!("{} %", share(retain)) }
}

fn threshold(threshold: Option<f64>) -> String {
    threshold.map_or("never".to_owned(), |threshold| threshold.to_string())
}

/// Percent with two decimals.
fn points(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}
