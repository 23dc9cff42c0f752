//! The page: what the template is given.

use super::finding::findings;
use super::grid::Grid;
use super::look::{hex, inks};
use super::number::{percent, retention};
use super::plot::Plot;
use super::table::Table;
use super::{Case, Outcome, Report, ReportError, curve, tables};
use crate::eval::summary::About;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;

/// The page, linking the files with these `names` beside it.
pub(super) fn render(report: &Report, names: &[&str]) -> Result<String, ReportError> {
    let (summary, grid) = (report.summary, Grid::of(report.summary));
    let draw = |plot: Option<Plot>| plot.map(|plot| Drawing::of(&plot)).transpose();
    let page = Page {
        style: Value::from_safe_string(include_str!("page.css").to_owned()),
        inks: inks().map(|ink| (hex(ink.light), hex(ink.dark))).collect(),
        about: &summary.about,
        notes: &summary.notes,
        names,
        findings: findings(summary),
        accuracies: tables::accuracies(&grid),
        details: tables::details(&grid),
        kinds: grid.retains.iter().filter_map(|&retain| Kinds::of(&grid, retain)).collect(),
        exits: tables::exits(&summary.exit_curve),
        exit_kinds: tables::exit_kinds(&summary.exit_curve),
        overlaps: tables::overlaps(&summary.overlap),
        figures: tables::figures(&summary.figures),
        retention_plot: draw(curve::accuracy_by_retention(&grid))?,
        has_band: grid.unpruned.is_some_and(|row| row.ci95.is_some()),
        cost_plot: draw(curve::accuracy_by_cost(&grid))?,
        exit_plot: draw(curve::early_exit(&summary.exit_curve, &grid))?,
        overlap_plot: draw(curve::overlap(&summary.overlap, &grid))?,
        gallery: gallery(report.cases),
    };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    // Escaping goes by the name's ending.
    environment.add_template("page.html", include_str!("page.html"))?;
    Ok(environment.get_template("page.html")?.render(Serde(page))?)
}

/// What the template shows; parts without data are left out there.
#[derive(Serialize)]
struct Page<'a> {
    style: Value,
    /// Colours in light and in dark mode.
    inks: Vec<(String, String)>,
    about: &'a About,
    notes: &'a [String],
    /// Files beside the page.
    names: &'a [&'a str],
    findings: Vec<String>,
    accuracies: Option<Table>,
    details: Option<Table>,
    kinds: Vec<Kinds>,
    exits: Option<Table>,
    exit_kinds: Option<Table>,
    overlaps: Option<Table>,
    figures: Option<Table>,
    retention_plot: Option<Drawing>,
    has_band: bool,
    cost_plot: Option<Drawing>,
    exit_plot: Option<Drawing>,
    overlap_plot: Option<Drawing>,
    gallery: Vec<Group<'a>>,
}

/// Accuracy by kind at one retention, folded unless it is what the findings are about.
#[derive(Serialize)]
struct Kinds {
    share: String,
    is_open: bool,
    table: Table,
}

impl Kinds {
    fn of(grid: &Grid, retain: f64) -> Option<Self> {
        let table = tables::kinds(grid, retain)?;
        Some(Self { share: retention(retain), is_open: grid.focus() == Some(retain), table })
    }
}

/// A plot in both sizes.
#[derive(Serialize)]
struct Drawing {
    wide: Value,
    narrow: Value,
}

impl Drawing {
    fn of(plot: &Plot) -> Result<Self, ReportError> {
        let drawn = plot.draw().map_err(|source| ReportError::Plot { plot: plot.id, source })?;
        let [wide, narrow] = drawn.map(Value::from_safe_string);
        Ok(Self { wide, narrow })
    }
}

#[derive(Serialize)]
struct Group<'a> {
    id: &'static str,
    title: &'static str,
    cases: Vec<CaseView<'a>>,
}

#[derive(Serialize)]
struct CaseView<'a> {
    sample: &'a str,
    kind: &'a str,
    question: &'a str,
    expected: &'a str,
    guide_answer: Option<&'a str>,
    unpruned_answer: &'a str,
    pruned_answer: &'a str,
    policy: &'a str,
    retain: String,
    kept: usize,
    n_visual: usize,
    kept_share: String,
    heat_map: Option<HeatMap>,
}

#[derive(Serialize)]
struct HeatMap {
    url: Value,
    width: u32,
    height: u32,
}

fn gallery(cases: &[Case]) -> Vec<Group<'_>> {
    let outcomes = [
        (Outcome::Right, "right", "Right with and without pruning"),
        (Outcome::Wrong, "wrong", "Wrong with and without pruning"),
        (Outcome::Rescued, "rescued", "Rescued: better with pruning"),
        (Outcome::Hurt, "hurt", "Hurt: worse with pruning"),
    ];
    let group = |(outcome, id, title)| {
        let cases: Vec<_> = cases.iter().filter(|case| case.outcome == outcome).map(CaseView::of).collect();
        (!cases.is_empty()).then_some(Group { id, title, cases })
    };
    outcomes.into_iter().filter_map(group).collect()
}

impl<'a> CaseView<'a> {
    fn of(case: &'a Case) -> Self {
        Self {
            sample: &case.sample,
            kind: &case.kind,
            question: &case.question,
            expected: &case.expected,
            guide_answer: case.guide_answer.as_deref(),
            unpruned_answer: &case.unpruned_answer,
            pruned_answer: &case.pruned_answer,
            policy: &case.policy,
            retain: retention(case.retain),
            kept: case.kept,
            n_visual: case.n_visual,
            kept_share: percent(case.kept as f64 / case.n_visual.max(1) as f64),
            heat_map: HeatMap::of(&case.heat_map_png),
        }
    }
}

impl HeatMap {
    /// `None` unless the bytes begin as a PNG does; its size keeps the page from moving while pictures load.
    fn of(png: &[u8]) -> Option<Self> {
        let head = png.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(4..16)?.strip_prefix(b"IHDR")?;
        let (width, height) = head.split_first_chunk::<4>()?;
        Some(Self {
            url: Value::from_safe_string(format!("data:image/png;base64,{}", STANDARD.encode(png))),
            width: u32::from_be_bytes(*width),
            height: u32::from_be_bytes(height.try_into().ok()?),
        })
    }
}
