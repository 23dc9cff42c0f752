//! The paper's three findings and the early exit, as tables and plain sentences.

use super::table::{accuracy_table, by_retention, cost_table, percent, points, share};
use sgl::eval::summary::{Row, Summary};

/// Markdown, ready to be kept.
pub fn study(summary: &Summary) -> String {
    let mut parts = vec![heading(summary), accuracy(summary)];
    parts.extend(single_layers(summary));
    parts.extend(oracle(summary));
    parts.extend(overlap(summary));
    parts.extend(baselines(summary));
    parts.extend(exits(summary));
    parts.extend(kinds(summary));
    parts.push(format!(
        "## Cost\n\nMedian time of a question with everything that a policy needs (the guide's pass, or the target's own), over that \
         of the unpruned target in the same run; encoders included.\n\n{}",
        cost_table(summary)
    ));
    if !summary.notes.is_empty() {
        let notes: Vec<String> = summary.notes.iter().map(|note| format!("- {note}")).collect();
        parts.push(format!("## Notes\n\n{}\n", notes.join("\n")));
    }
    parts.join("\n")
}

fn heading(summary: &Summary) -> String {
    let about = &summary.about;
    let guide = about.guide.as_ref().map(|guide| format!(", guide `{guide}`")).unwrap_or_default();
    format!(
        "# Study: {}\n\n{} of {} questions, metric `{}`, seed {}; target `{}`{guide}; sgl {} on llama.cpp {}, {}.\n\nWritten by `sgl study`.\n",
        about.benchmark,
        about.n_samples,
        about.n_all,
        about.metric,
        about.seed,
        about.target,
        about.version,
        about.llama_cpp,
        about.date
    )
}

fn accuracy(summary: &Summary) -> String {
    format!(
        "## Accuracy by policy and share of visual tokens\n\nPercent, with 95 % intervals; `*` marks what is lower than the unpruned \
         target (`none`) with p < 0.05, paired over the same questions.\n\n{}",
        accuracy_table(summary)
    )
}

/// Rows of a policy, by falling retention.
fn rows<'a>(summary: &'a Summary, policy: &'a str) -> impl Iterator<Item = &'a Row> {
    summary.rows.iter().filter(move |row| row.policy == policy)
}

fn lowest<'a>(summary: &'a Summary, policy: &'a str) -> Option<&'a Row> {
    rows(summary, policy).filter(|row| row.accuracy.is_some()).last()
}

/// Whether a row is worse than `global`, beyond the noise.
fn is_behind_global(row: &Row) -> bool {
    row.behind_global.as_ref().is_some_and(|behind| behind.mean > 0.0 && behind.p < 0.05)
}

fn at(row: &Row) -> String {
    format!("{} %", percent(row.accuracy.unwrap_or(f64::NAN)))
}

/// (i) One layer ranks worse than all, most at low retention.
fn single_layers(summary: &Summary) -> Option<String> {
    let global = lowest(summary, "global")?;
    let layers: Vec<&Row> = summary
        .rows
        .iter()
        .filter(|row| row.policy.starts_with("layer:") && row.retain == global.retain && row.accuracy.is_some())
        .collect();
    let best = layers.iter().max_by(|a, b| a.accuracy.partial_cmp(&b.accuracy).unwrap_or(std::cmp::Ordering::Equal))?;
    let n_below = layers.iter().filter(|layer| is_behind_global(layer)).count();
    let verdict = match n_below {
        0 => "does not hold here: no layer is worse beyond the noise",
        n if n == layers.len() => "holds: every layer is worse, beyond the noise",
        _ => "holds in part: some layers are worse beyond the noise, not all",
    };
    Some(format!(
        "## (i) A single layer ranks badly\n\nThis {verdict}. At {} % of the visual tokens `global` reaches {}, the best of {} single layers \
         (`{}`) {}; {n_below} of {} layers are worse than `global` with p < 0.05, paired over the same questions.\n{}",
        share(global.retain),
        at(global),
        layers.len(),
        best.policy,
        at(best),
        layers.len(),
        against_global(summary, |policy| policy.starts_with("layer:")),
    ))
}

/// By how many points policies are ahead of `global`, or behind it.
fn against_global(summary: &Summary, shown: impl Fn(&str) -> bool) -> String {
    let table = by_retention(summary, shown, |row| match &row.behind_global {
        Some(behind) => format!("{} (p {})", points(-behind.mean), p_value(behind.p)),
        None => "–".to_owned(),
    });
    format!("\nPoints against `global` at the same share:\n\n{table}")
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("= {p:.3}") }
}

/// (ii) The target's own attention keeps accuracy, at the price of a full pass.
fn oracle(summary: &Summary) -> Option<String> {
    let oracle = lowest(summary, "oracle")?;
    let unpruned = rows(summary, "none").next()?;
    let loss = oracle.loss.as_ref()?;
    let is_lost = |row: &&Row| row.loss.as_ref().is_some_and(|loss| loss.p < 0.05 && loss.mean > 0.0);
    let kept: Vec<String> =
        rows(summary, "oracle").take_while(|row| !is_lost(row)).map(|row| share(row.retain)).collect();
    let verdict = match (kept.last(), kept.len() == rows(summary, "oracle").count()) {
        (Some(_), true) => "Nothing that can be told from noise is lost at any share".to_owned(),
        (Some(share), false) => format!("Down to {share} % nothing that can be told from noise is lost"),
        (None, _) => "Something is lost at every share".to_owned(),
    };
    Some(format!(
        "## (ii) The target's own attention as oracle\n\n{verdict}. At {} % of the visual tokens the oracle reaches {}, the unpruned target \
         {}: {} points (95 %: {} to {}, p {}). It costs {:.2} times the unpruned target, because it answers unpruned first.\n",
        share(oracle.retain),
        at(oracle),
        at(unpruned),
        points(-loss.mean),
        points(-loss.ci95[1]),
        points(-loss.ci95[0]),
        p_value(loss.p),
        oracle.cost.unwrap_or(f64::NAN),
    ))
}

/// (iii) The guide's attention of all layers is close to the target's.
fn overlap(summary: &Summary) -> Option<String> {
    let global: Vec<_> = summary.overlap.iter().filter(|row| row.policy == "global").collect();
    let first = global.first()?;
    let mut table =
        "| policy | share of tokens | k | both name | by chance | rank correlation |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for row in &summary.overlap {
        let correlation = row.rank_correlation.map_or("–".to_owned(), |correlation| format!("{correlation:.2}"));
        table += &format!(
            "| {} | {} % | {:.0} | {} % | {} % | {correlation} |\n",
            row.policy,
            share(row.retain),
            row.k,
            percent(row.top_k_overlap),
            percent(row.chance)
        );
    }
    let correlation = first.rank_correlation.map_or("–".to_owned(), |correlation| format!("{correlation:.2}"));
    Some(format!(
        "## (iii) The guide's attention is close to the target's\n\nMean rank correlation over all visual tokens: {correlation}. What counts is \
         what the target can still answer, with its own ranking against the guide's:\n{}\n{table}",
        against_global(summary, |policy| policy == "oracle"),
    ))
}

/// Rankings that are not the paper's.
fn baselines(summary: &Summary) -> Option<String> {
    let is_baseline =
        |policy: &str| !["none", "guide", "global", "oracle"].contains(&policy) && !policy.starts_with("layer:");
    summary.rows.iter().find(|row| is_baseline(&row.policy) && row.behind_global.is_some())?;
    let mut rivals: Vec<(&str, Vec<String>)> = Vec::new();
    for row in summary.rows.iter().filter(|row| is_baseline(&row.policy) && row.behind_global.is_some()) {
        if is_behind_global(row) {
            continue;
        }
        match rivals.last_mut().filter(|(policy, _)| *policy == row.policy) {
            Some((_, shares)) => shares.push(share(row.retain)),
            None => rivals.push((&row.policy, vec![share(row.retain)])),
        }
    }
    let rivals: Vec<String> =
        rivals.into_iter().map(|(policy, shares)| format!("`{policy}` at {} %", shares.join(", "))).collect();
    let verdict = match rivals.is_empty() {
        true => "`global` is better than each of them at every share, beyond the noise.".to_owned(),
        false => format!("Not worse than `global` beyond the noise: {}.", rivals.join("; ")),
    };
    Some(format!("## Other rankings\n\n{verdict}\n{}", against_global(summary, is_baseline)))
}

fn exits(summary: &Summary) -> Option<String> {
    if summary.exit_curve.is_empty() {
        return None;
    }
    let mut table =
        "| signal | threshold | exited | right of those | right in all | time |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for row in &summary.exit_curve {
        table += &format!(
            "| {} | {} | {} % | {} | {} % ({}–{}) | {:.2} |\n",
            row.signal,
            threshold(row.threshold),
            percent(row.exited),
            row.exited_accuracy.map_or("–".to_owned(), |accuracy| format!("{} %", percent(accuracy))),
            percent(row.accuracy),
            percent(row.ci95[0]),
            percent(row.ci95[1]),
            row.cost
        );
    }
    let auroc: Vec<String> = summary
        .figures
        .iter()
        .filter_map(|figure| Some(format!("{} {:.2}", figure.name.strip_prefix("AUROC of ")?, figure.value)))
        .collect();
    let auroc = match auroc.is_empty() {
        true => String::new(),
        false => format!(" AUROC of right answers of the guide against wrong ones: {}.", auroc.join(", ")),
    };
    Some(format!(
        "## Early exit\n\nThe guide's answer is final where a signal reaches the threshold: its confidence, its consistency, or SEE's score, their \
         mean. Time is the mean per question over the unpruned target's.{auroc}\n\n{table}"
    ))
}

fn threshold(value: f64) -> String {
    match value {
        0.0 => "always".to_owned(),
        value if value > 1.0 => "never".to_owned(),
        value => value.to_string(),
    }
}

/// By kind of question, if there are several.
fn kinds(summary: &Summary) -> Option<String> {
    let names: Vec<&str> = summary.rows.first()?.kinds.iter().map(|kind| kind.kind.as_str()).collect();
    if names.len() < 2 {
        return None;
    }
    let mut table = format!("| policy | share | {} |\n|---|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for row in summary.rows.iter().filter(|row| ["none", "guide", "global", "oracle"].contains(&row.policy.as_str())) {
        let cells = names.iter().map(|name| {
            let kind = row.kinds.iter().find(|kind| kind.kind == *name);
            kind.map_or("–".to_owned(), |kind| percent(kind.accuracy))
        });
        table += &format!("| {} | {} % | {} |\n", row.policy, share(row.retain), cells.collect::<Vec<_>>().join(" | "));
    }
    let mut exit = "| threshold | ".to_owned();
    exit += &names.iter().map(|name| format!("{name}: exited, right in all")).collect::<Vec<_>>().join(" | ");
    exit += &format!(" |\n|---|{}\n", "---|".repeat(names.len()));
    let curve: Vec<_> = summary.exit_curve.iter().filter(|row| row.signal == "mean").collect();
    for row in &curve {
        let cells = names.iter().map(|name| {
            let kind = row.kinds.iter().find(|kind| kind.kind == *name);
            kind.map_or("–".to_owned(), |kind| format!("{}, {}", percent(kind.exited), percent(kind.accuracy)))
        });
        exit += &format!("| {} | {} |\n", threshold(row.threshold), cells.collect::<Vec<_>>().join(" | "));
    }
    let exit =
        if curve.is_empty() { String::new() } else { format!("\nEarly exit by SEE's score, percent:\n\n{exit}") };
    Some(format!("## By kind of question\n\nPercent.\n\n{table}{exit}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sgl::eval::summary::{About, Loss};

    /// A policy at 10 %, so many points behind the unpruned target and behind `global`.
    fn row(policy: &str, retain: f64, accuracy: f64, behind: f64, p: f64) -> Row {
        let loss = |mean| Loss { mean, ci95: [mean - 0.02, mean + 0.02], p, hurt: mean.abs(), rescued: 0.0 };
        Row {
            policy: policy.to_owned(),
            retain,
            n: 100,
            accuracy: Some(accuracy),
            ci95: Some([accuracy - 0.03, accuracy + 0.03]),
            loss: (policy != "none").then(|| loss(0.95 - accuracy)),
            behind_global: (retain < 1.0 && policy != "global").then(|| loss(behind)),
            kinds: Vec::new(),
            kept: Some(retain),
            target_ms_median: Some(1.0),
            total_ms_median: Some(1.0),
            cost: Some(1.1),
        }
    }

    fn said(rows: Vec<Row>) -> String {
        let about = About {
            benchmark: "scenes".into(),
            metric: "exact".into(),
            n_samples: 100,
            n_all: 100,
            target: "t.gguf".into(),
            guide: None,
            seed: 0,
            version: "1".into(),
            llama_cpp: "2".into(),
            date: "2026-01-31".into(),
            settings: Vec::new(),
        };
        let (overlap, exit_curve, figures, notes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        study(&Summary { about, rows, overlap, exit_curve, figures, notes })
    }

    fn rows(layers: [(f64, f64); 2], oracle_p: f64, uniform_p: f64) -> Vec<Row> {
        let [(one, one_p), (other, other_p)] = layers;
        vec![
            row("none", 1.0, 0.95, 0.0, 1.0),
            row("global", 0.1, 0.9, 0.0, 1.0),
            row("layer:0", 0.1, 0.9 - one, one, one_p),
            row("layer:1", 0.1, 0.9 - other, other, other_p),
            row("oracle", 0.1, 0.89, 0.01, oracle_p),
            row("uniform", 0.1, 0.4, 0.5, uniform_p),
        ]
    }

    #[test]
    fn findings_hold_or_not() {
        let check = |rows, expected: &str| {
            let said = said(rows);
            assert!(said.contains(expected), "no {expected:?} in {said}");
        };
        let both = [(0.1, 0.001), (0.2, 0.001)];
        check(rows(both, 0.5, 0.001), "This holds: every layer is worse");
        check(rows([(0.1, 0.001), (0.01, 0.4)], 0.5, 0.001), "This holds in part");
        check(rows([(0.01, 0.4), (-0.01, 0.4)], 0.5, 0.001), "This does not hold here");
        // A layer that is better, beyond the noise, is not worse.
        check(rows([(-0.1, 0.001), (-0.2, 0.001)], 0.5, 0.001), "This does not hold here");
        check(rows(both, 0.5, 0.001), "Nothing that can be told from noise is lost at any share");
        check(
            rows(both, 0.01, 0.001),
            "Something is lost at every share. At 10 % of the visual tokens the oracle reaches 89.0 %",
        );
        check(rows(both, 0.5, 0.001), "`global` is better than each of them at every share");
        check(rows(both, 0.5, 0.3), "Not worse than `global` beyond the noise: `uniform` at 10 %.");
    }

    #[test]
    fn what_was_not_run_is_not_spoken_of() {
        let said = said(vec![row("none", 1.0, 0.95, 0.0, 1.0), row("uniform", 0.1, 0.4, 0.0, 1.0)]);
        for heading in ["## (i)", "## (ii)", "## (iii)", "## Early exit"] {
            assert!(!said.contains(heading), "{heading} in {said}");
        }
    }
}
