//! What `sgl eval --list` shows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::{Benchmark, Layout};
use crate::eval::prompts::{FAMILIES, Family, template};

/// One benchmark for machines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listing {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What its authors call it.
    pub title: &'static str,
    /// What it asks for.
    pub what: &'static str,
    /// How answers are scored.
    pub metric: String,
    /// Tokens that an answer may have.
    pub n_predict: usize,
    /// The files that are recognised.
    pub layouts: &'static [Layout],
    /// The splits, the default first.
    pub splits: &'static [&'static str],
    /// The prompt template for each family of models.
    pub prompts: BTreeMap<&'static str, &'static str>,
    /// Paper and site.
    pub source: &'static str,
}

/// All of it for machines.
pub fn listings(benchmarks: &[Benchmark]) -> Vec<Listing> {
    let one = |benchmark: &Benchmark| {
        let &Benchmark { name, title, what, metric, n_predict, layouts, splits, source, .. } = benchmark;
        let prompts = FAMILIES.iter().map(|&family| (family.name(), template(name, family))).collect();
        Listing { name, title, what, metric: metric.to_string(), n_predict, layouts, splits, prompts, source }
    };
    benchmarks.iter().map(one).collect()
}

/// All of it for people, a paragraph for each benchmark.
pub fn describe(benchmarks: &[Benchmark]) -> String {
    let mut text = String::new();
    for listing in listings(benchmarks) {
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = paragraph(&mut text, &listing);
    }
    text
}

fn paragraph(text: &mut String, listing: &Listing) -> std::fmt::Result {
    writeln!(text, "{}: {}, {}", listing.name, listing.title, listing.what)?;
    for (i, Layout { files, from }) in listing.layouts.iter().enumerate() {
        let label = if i == 0 { "files" } else { "" };
        writeln!(text, "  {label:<8}{files} ({from})")?;
    }
    if let Some((default, others)) = listing.splits.split_first() {
        let others: String = others.iter().map(|split| format!(", {split}")).collect();
        writeln!(text, "  {:<8}{default} (default){others}", "split")?;
    }
    for (i, (prompt, families)) in by_prompt(listing.name).into_iter().enumerate() {
        let label = if i == 0 { "prompt" } else { "" };
        writeln!(text, "  {label:<8}{} ({families})", prompt.replace('\n', "\\n"))?;
    }
    writeln!(text, "  {:<8}{}, up to {} tokens", "metric", listing.metric, listing.n_predict)?;
    writeln!(text, "  {:<8}{}", "source", listing.source)
}

/// Each prompt with the families that it is for, in the order of [`FAMILIES`].
fn by_prompt(benchmark: &str) -> Vec<(&'static str, String)> {
    let mut prompts: Vec<(&str, Vec<Family>)> = Vec::new();
    for family in FAMILIES {
        let prompt = template(benchmark, family);
        match prompts.iter_mut().find(|(known, _)| *known == prompt) {
            Some((_, families)) => families.push(family),
            None => prompts.push((prompt, vec![family])),
        }
    }
    let names = |families: Vec<Family>| match families.len() {
        n if n == FAMILIES.len() => "all models".to_owned(),
        _ => families.iter().map(|family| family.name()).collect::<Vec<_>>().join(", "),
    };
    prompts.into_iter().map(|(prompt, families)| (prompt, names(families))).collect()
}
