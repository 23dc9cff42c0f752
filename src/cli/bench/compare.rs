//! `sgl bench --compare`: two measurements, and what changed.

use super::columns::table;
use crate::cli::error::{Exit, Failure};
use crate::cli::output::{json_line, print};
use sgl::bench::{Build, Comparison, Measurement, Row, Verdict, compare};
use std::fs;
use std::path::Path;

pub fn run(old: &Path, new: &Path, json: bool) -> Result<(), Failure> {
    let (old, new) = (read(old)?, read(new)?);
    let comparison = compare(&old, &new).map_err(|error| Failure::listing(Exit::Input, error))?;
    match json {
        true => print(&json_line(&comparison)?),
        false => print(&page(&old, &new, &comparison)),
    }
}

fn read(path: &Path) -> Result<Measurement, Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::new(Exit::Input, format!("cannot read {shown}: {error}; name a file that `sgl bench --json` wrote"))
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(
            Exit::Input,
            format!("{shown} is no measurement: {error}; name a file that `sgl bench --json` wrote"),
        )
    })
}

fn page(old: &Measurement, new: &Measurement, comparison: &Comparison) -> String {
    let rows: Vec<_> = comparison.rows.iter().map(row).collect();
    let mut page = table(["", "old", "new", "new over old", "95 % interval", "verdict"], &rows);
    page += &format!("\nold: {}, {}\n", rounds(old), build(&old.build));
    page += &format!("new: {}, {}\n", rounds(new), build(&new.build));
    page += "Milliseconds; ratios without a unit. Of twenty times that did not change, one is called faster or slower by chance.\n";
    if old.rounds.len().min(new.rounds.len()) < LEAST {
        page += &format!("Fewer than {LEAST} rounds show no difference, however large.\n");
    }
    page
}

/// Rounds of each from which on a rank interval of 95 % exists.
const LEAST: usize = 4;

fn row(row: &Row) -> [String; 6] {
    let value =
        |value: f64| if row.name.starts_with("ratios.") { format!("{value:.3}") } else { format!("{value:.1}") };
    let interval = row.ci95.map_or("–".to_owned(), |[low, high]| format!("{low:.3}–{high:.3}"));
    let verdict = match row.verdict {
        Verdict::Faster => "faster",
        Verdict::Slower => "slower",
        Verdict::NoDifferenceShown => "no difference shown",
    };
    let name = row.name.replace(['.', '_'], " ");
    [name, value(row.old), value(row.new), format!("{:.3}", row.ratio), interval, verdict.to_owned()]
}

fn rounds(measurement: &Measurement) -> String {
    match measurement.rounds.len() {
        1 => "1 round".to_owned(),
        n => format!("{n} rounds"),
    }
}

fn build(build: &Build) -> String {
    format!("sgl {}, llama.cpp {}, patches {}", build.version, build.llama_cpp, build.patches)
}
