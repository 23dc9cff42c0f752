//! Tables for people: Markdown that reads well in a terminal, too.

use sgl::eval::summary::{Row, Summary};

/// Policies by retention: accuracy in percent with its 95 % interval; `*` where it is lower than the unpruned target's with
/// p below 0.05.
pub fn accuracy_table(summary: &Summary) -> String {
    by_retention(
        summary,
        |_| true,
        |row| match (row.accuracy, row.ci95) {
            (Some(accuracy), Some([low, high])) => {
                let is_lost = row.loss.as_ref().is_some_and(|loss| loss.p < 0.05 && loss.mean > 0.0);
                let mark = if is_lost { "*" } else { "" };
                format!("{}{mark} ({}–{})", percent(accuracy), percent(low), percent(high))
            }
            _ => "–".to_owned(),
        },
    )
}

/// Policies by retention: median time with all that a policy needs, over the unpruned target's.
pub fn cost_table(summary: &Summary) -> String {
    by_retention(summary, |_| true, |row| row.cost.map_or("–".to_owned(), |cost| format!("{cost:.2}")))
}

/// One line for each policy that is `shown`, one column for each retention.
pub fn by_retention(summary: &Summary, shown: impl Fn(&str) -> bool, cell: impl Fn(&Row) -> String) -> String {
    let rows: Vec<&Row> = summary.rows.iter().filter(|row| shown(&row.policy)).collect();
    let mut retains: Vec<f64> = rows.iter().map(|row| row.retain).collect();
    retains.sort_by(|a, b| b.total_cmp(a));
    retains.dedup();
    let mut policies: Vec<&str> = Vec::new();
    for row in &rows {
        if !policies.contains(&row.policy.as_str()) {
            policies.push(&row.policy);
        }
    }
    let head =
        retains.iter().map(|&retain| if retain == 1.0 { "all".to_owned() } else { format!("{} %", share(retain)) });
    let mut table =
        format!("| policy | {} |\n|---|{}\n", head.collect::<Vec<_>>().join(" | "), "---|".repeat(retains.len()));
    for policy in policies {
        let cells = retains.iter().map(|&retain| {
            let row = rows.iter().copied().find(|row| row.policy == policy && row.retain == retain);
            row.map(&cell).unwrap_or_default()
        });
        table += &format!("| {policy} | {} |\n", cells.collect::<Vec<_>>().join(" | "));
    }
    table
}

/// One decimal.
pub fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// A share as percent, without zeros behind.
pub fn share(share: f64) -> String {
    ((share * 1e5).round() / 1e3).to_string()
}

/// A difference of shares in points, with its sign.
pub fn points(difference: f64) -> String {
    let points = (1000.0 * difference).round() / 10.0;
    if points == 0.0 { "0.0".to_owned() } else { format!("{points:+.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0.0952, 0.09, 0.5, 0.125].map(share), ["9.52", "9", "50", "12.5"]);
        assert_eq!([0.0004, -0.0004, 0.0221, -0.11].map(points), ["0.0", "0.0", "+2.2", "-11.0"]);
        assert_eq!(percent(0.9625), "96.2");
    }
}
