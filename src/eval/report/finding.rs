//! What the numbers say, in sentences.
//!
//! The rules are fixed, so no retention and no policy is picked because it looks well: sentences are about the retention
//! nearest to a tenth and about the guide's global ranking, and the others follow from the best down.

use super::grid::{Grid, SIGNIFICANT, is_same};
use super::number::{decimal, milliseconds, p_phrase, percent, percent_range, points, points_range, retention};
use crate::eval::summary::{ExitRow, Loss, OverlapRow, Row, Summary};

/// How much accuracy an early exit may cost and still be called free.
const EXIT_TOLERANCE: f64 = 0.005;

const INTERVAL: &str = "95\u{a0}% interval";

/// One sentence or two on each question that the summary answers, the most important first.
pub(super) fn findings(summary: &Summary) -> Vec<String> {
    let grid = Grid::of(summary);
    let mut findings = Vec::new();
    let subject = grid.lead().zip(grid.focus());
    if let Some((lead, focus)) = subject {
        findings.extend(lead_at(&grid, lead, focus));
        findings.extend(others_at(&grid, lead, focus));
    }
    findings.extend(references(&grid));
    if let Some((lead, focus)) = subject {
        findings.extend(significance(&grid, lead));
        findings.extend(cost(&grid, lead, focus));
        findings.extend(overlap(summary, focus));
    }
    findings.extend(early_exit(&summary.exit_curve));
    let impossible = grid.impossible();
    if !impossible.is_empty() {
        findings.push(format!("Not possible on this benchmark: {}.", impossible.join(", ")));
    }
    findings
}

fn references(grid: &Grid) -> Option<String> {
    let reached = |row: &Row| Some(format!("{}{}", percent(row.accuracy?), interval(row)));
    let unpruned = grid.unpruned.and_then(reached);
    let guide = grid.guide.and_then(reached);
    match (unpruned, guide) {
        (Some(unpruned), Some(guide)) => {
            Some(format!("Unpruned, the target reaches {unpruned}; the guide alone reaches {guide}."))
        }
        (Some(unpruned), None) => Some(format!("Unpruned, the target reaches {unpruned}.")),
        (None, Some(guide)) => Some(format!("The guide alone reaches {guide}.")),
        (None, None) => None,
    }
}

fn lead_at(grid: &Grid, lead: &str, focus: f64) -> Option<String> {
    let (row, accuracy) = grid.accuracy(lead, focus)?;
    let mut sentence =
        format!("At {} of the visual tokens, {lead} reaches {}{}", retention(focus), percent(accuracy), interval(row));
    if let Some(loss) = &row.loss {
        sentence += ", ";
        sentence += &change(loss);
    }
    Some(sentence + ".")
}

fn change(Loss { mean, ci95: [low, high], p, hurt, rescued }: &Loss) -> String {
    let (what, difference, range) =
        if *mean < 0.0 { ("gain", -mean, [-high, -low]) } else { ("loss", *mean, [*low, *high]) };
    let verdict = if *p < SIGNIFICANT { "significant" } else { "not significant" };
    format!(
        "a {what} of {} points against the unpruned target ({INTERVAL} {}, {}: {verdict}); it made {} of the answers \
         worse and {} better",
        points(difference),
        points_range(range),
        p_phrase(*p),
        percent(*hurt),
        percent(*rescued),
    )
}

fn others_at(grid: &Grid, lead: &str, focus: f64) -> Option<String> {
    let others = grid.policies.iter().filter(|&&policy| policy != lead);
    let mut reached: Vec<(&str, f64)> =
        others.filter_map(|policy| Some((*policy, grid.accuracy(policy, focus)?.1))).collect();
    reached.sort_by(|one, other| other.1.total_cmp(&one.1));
    let ((first, accuracy), rest) = reached.split_first()?;
    let mut sentence = format!("With as many tokens, {first} reaches {}", percent(*accuracy));
    for (policy, accuracy) in rest {
        sentence += &format!(", {policy}\u{a0}{}", percent(*accuracy));
    }
    Some(sentence + ".")
}

fn significance(grid: &Grid, lead: &str) -> Option<String> {
    let losses = grid.retains.iter().filter_map(|&retain| Some((retain, grid.row(lead, retain)?.loss.as_ref()?)));
    let (significant, others): (Vec<_>, Vec<_>) = losses.partition(|(_, loss)| loss.p < SIGNIFICANT && loss.mean > 0.0);
    let list =
        |losses: &[(f64, &Loss)]| losses.iter().map(|(retain, _)| retention(*retain)).collect::<Vec<_>>().join(", ");
    let (bound, significant, others) = (format!("p\u{a0}<\u{a0}{SIGNIFICANT}"), list(&significant), list(&others));
    match (significant.as_str(), others.as_str()) {
        ("", "") => None,
        ("", others) => Some(format!("No loss of {lead} is significant ({bound}) at {others}.")),
        (significant, "") => Some(format!("The loss of {lead} is significant ({bound}) at {significant}.")),
        (significant, others) => {
            Some(format!("The loss of {lead} is significant ({bound}) at {significant}, and not at {others}."))
        }
    }
}

fn cost(grid: &Grid, lead: &str, focus: f64) -> Option<String> {
    let row = grid.row(lead, focus)?;
    let unpruned_ms = grid.unpruned?.total_ms_median?;
    Some(format!(
        "With {lead} at {}, a question takes a median of {} ms, all that the policy needs included, instead of {} ms \
         unpruned: {} of the time.",
        retention(focus),
        milliseconds(row.total_ms_median?),
        milliseconds(unpruned_ms),
        decimal(row.cost?),
    ))
}

fn overlap(summary: &Summary, focus: f64) -> Option<String> {
    let rows: Vec<_> = summary.overlap.iter().filter(|row| is_same(row.retain, focus)).collect();
    let names = |row: &&OverlapRow| {
        let overlap = percent(row.top_k_overlap);
        let correlation =
            row.rank_correlation.map(|correlation| format!(" (rank correlation {})", decimal(correlation)));
        format!("{} names {overlap}{}", row.policy, correlation.unwrap_or_default())
    };
    let named: Vec<String> = rows.iter().map(names).collect();
    Some(format!(
        "Of the {} of the visual tokens that the target itself ranks first, {}; chance would name {}.",
        retention(focus),
        named.join(", "),
        percent(rows.first()?.chance)
    ))
}

fn early_exit(curve: &[ExitRow]) -> Option<String> {
    let signal = curve.iter().find(|row| row.signal == "mean").or(curve.first())?.signal.as_str();
    let mut rows: Vec<&ExitRow> = curve.iter().filter(|row| row.signal == signal).collect();
    rows.sort_by(|one, other| other.threshold.total_cmp(&one.threshold));
    let strictest = rows.first()?;
    let free = rows.iter().take_while(|row| row.accuracy >= strictest.accuracy - EXIT_TOLERANCE).last();
    let Some(row) = free.filter(|row| row.exited > strictest.exited) else {
        let next = rows.iter().find(|row| row.exited > strictest.exited)?;
        return Some(format!(
            "Early exit by {signal} costs more than {} points against the {} of the strictest threshold already at {}.",
            points(EXIT_TOLERANCE),
            percent(strictest.accuracy),
            decimal(next.threshold)
        ));
    };
    Some(format!(
        "Down to a threshold of {}, early exit by {signal} costs at most {} points against the {} of the strictest \
         threshold: {} of the questions end with the guide, accuracy is {} ({}), and time {} of the unpruned target's. \
         That threshold was found on these same questions.",
        decimal(row.threshold),
        points(EXIT_TOLERANCE),
        percent(strictest.accuracy),
        percent(row.exited),
        percent(row.accuracy),
        percent_range(row.ci95),
        decimal(row.cost)
    ))
}

fn interval(row: &Row) -> String {
    row.ci95.map(|ci95| format!(" ({INTERVAL} {})", percent_range(ci95))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn sentences(summary: &Summary) -> Vec<String> {
        findings(summary).into_iter().map(|sentence| sentence.replace(['\u{a0}', '\u{202f}'], " ")).collect()
    }

    #[test]
    fn the_sentences_of_a_summary() {
        assert_eq!(
            sentences(&fixture::summary()),
            [
                "At 10 % of the visual tokens, global reaches 88.9 % (95 % interval 85.8–92.0 %), a loss of 0.5 points \
                 against the unpruned target (95 % interval −1.0 to 2.0, p = 0.472: not significant); it made 1.5 % of \
                 the answers worse and 1.0 % better.",
                "With as many tokens, oracle reaches 89.5 %, global+debias 88.6 %, global+diversity 87.1 %, \
                 target-layer:2 61.2 %, layer:2 51.2 %, layer:1 45.4 %, diversity 34.2 %, uniform 30.8 %, random:3 \
                 27.0 %.",
                "Unpruned, the target reaches 89.4 % (95 % interval 86.4–92.4 %); the guide alone reaches 71.0 % (95 % \
                 interval 66.6–75.4 %).",
                "The loss of global is significant (p < 0.05) at 5 %, and not at 50 %, 25 %, 10 %, 9 %.",
                "With global at 10 %, a question takes a median of 5 053 ms, all that the policy needs included, \
                 instead of 9 812 ms unpruned: 0.52 of the time.",
                "Of the 10 % of the visual tokens that the target itself ranks first, global names 80.0 % (rank \
                 correlation 0.93), layer:1 names 30.8 % (rank correlation 0.21), layer:2 names 39.0 % (rank \
                 correlation 0.35); chance would name 10.0 %.",
                "Down to a threshold of 0.75, early exit by mean costs at most 0.5 points against the 88.9 % of the \
                 strictest threshold: 43.8 % of the questions end with the guide, accuracy is 88.6 % (85.6–91.6 %), \
                 and time 0.44 of the unpruned target's. That threshold was found on these same questions.",
                "Not possible on this benchmark: lowres.",
            ]
        );
    }

    #[test]
    fn a_gain_is_called_one() {
        let mut summary = fixture::summary();
        let row = summary.rows.iter_mut().find(|row| row.policy == "global" && row.retain == 0.1).unwrap();
        row.loss = Some(Loss { mean: -0.02, ci95: [-0.03, -0.01], p: 0.0002, hurt: 0.0, rescued: 0.02 });
        let first = &sentences(&summary)[0];
        let gain =
            "a gain of 2.0 points against the unpruned target (95 % interval 1.0 to 3.0, p < 0.001: significant)";
        assert!(first.contains(gain), "{first}");
    }

    #[test]
    fn an_early_exit_that_costs_from_the_start_is_called_so() {
        let mut summary = fixture::summary();
        summary.exit_curve.iter_mut().filter(|row| row.exited > 0.0).for_each(|row| row.accuracy -= 0.1);
        let found = sentences(&summary);
        let expected = "Early exit by mean costs more than 0.5 points against the 88.9 % of the strictest threshold already at 0.95.";
        assert!(found.iter().any(|sentence| sentence == expected), "{found:?}");
        summary.exit_curve.retain(|row| row.exited == 0.0);
        assert!(!sentences(&summary).iter().any(|sentence| sentence.contains("arly exit")));
    }

    #[test]
    fn what_was_not_measured_is_not_told() {
        let mut summary = fixture::summary();
        summary.overlap.clear();
        summary.exit_curve.clear();
        summary.rows.truncate(1);
        assert_eq!(sentences(&summary), ["Unpruned, the target reaches 89.4 % (95 % interval 86.4–92.4 %)."]);
        summary.rows.clear();
        assert!(sentences(&summary).is_empty());
    }
}
