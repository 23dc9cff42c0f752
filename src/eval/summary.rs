//! What an evaluation comes to: the numbers that tables, plots and JSON show.

use serde::Serialize;

/// The result of an evaluation or a study. Accuracies are 0 to 1, times are milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// What was measured, on what, with what.
    pub about: About,
    /// One row for each policy and retention, the unpruned target (`none`, 1) and the guide alone (`guide`, 1) first.
    pub rows: Vec<Row>,
    /// Agreement of the guide's ranking with the target's own; empty unless both were taken.
    pub overlap: Vec<OverlapRow>,
    /// Early exit by threshold; empty without a guide.
    pub exit_curve: Vec<ExitRow>,
    /// What the benchmark's authors report beside accuracy, of the rows they are for (MME's perception, GQA's types ...).
    pub figures: Vec<Figure>,
    /// What a reader must know: rows that could not be run, costs that are not what they seem.
    pub notes: Vec<String>,
}

/// Configuration and versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct About {
    /// Name of the benchmark.
    pub benchmark: String,
    /// What its accuracy is.
    pub metric: String,
    /// Questions, of how many there are.
    pub n_samples: usize,
    /// Questions in the benchmark.
    pub n_all: usize,
    /// File name of the target.
    pub target: String,
    /// File name of the guide.
    pub guide: Option<String>,
    /// Seed of every draw.
    pub seed: u64,
    /// sgl's version.
    pub version: String,
    /// llama.cpp's version.
    pub llama_cpp: String,
    /// Day of the run, `YYYY-MM-DD`, UTC.
    pub date: String,
    /// Other settings as (name, value), for the record.
    pub settings: Vec<(String, String)>,
}

/// One policy at one retention.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// `none`, `guide`, or a policy.
    pub policy: String,
    /// Share of visual tokens that the target read; 1 for `none`.
    pub retain: f64,
    /// Cases: groups of samples; 0 when the policy cannot be run on this benchmark.
    pub n: usize,
    /// Mean score; `None` for n = 0.
    pub accuracy: Option<f64>,
    /// Its 95 % confidence interval.
    pub ci95: Option<[f64; 2]>,
    /// The paired difference to the unpruned target.
    pub loss: Option<Loss>,
    /// The paired difference to `global` at the same retention.
    pub behind_global: Option<Loss>,
    /// Accuracy by kind of question, in the order in which kinds appear.
    pub kinds: Vec<KindAccuracy>,
    /// Mean share of visual tokens that was really read.
    pub kept: Option<f64>,
    /// The target's encode, prefill and decode, median over questions.
    pub target_ms_median: Option<f64>,
    /// The same with all that the policy needs before it: the guide's pass, or the target's own unpruned one.
    pub total_ms_median: Option<f64>,
    /// `total_ms_median` over that of the unpruned target in the same run.
    pub cost: Option<f64>,
}

/// Accuracy on one kind of question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KindAccuracy {
    /// The kind.
    pub kind: String,
    /// Cases.
    pub n: usize,
    /// Mean score.
    pub accuracy: f64,
}

/// How much lower than another row's a row's accuracy is, on the same cases.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Loss {
    /// The other row's accuracy minus this one's; negative is a gain.
    pub mean: f64,
    /// Its 95 % confidence interval.
    pub ci95: [f64; 2],
    /// Two-sided p value of "no difference".
    pub p: f64,
    /// Share of cases that this row has worse.
    pub hurt: f64,
    /// Share of cases that it has better.
    pub rescued: f64,
}

/// Guide-global against target-global (the oracle), means over questions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverlapRow {
    /// What ranks: `global` or `layer:N` of the guide.
    pub policy: String,
    /// Share of the visual tokens that the k best are.
    pub retain: f64,
    /// Mean number of tokens in that share.
    pub k: f64,
    /// Share of the k best that both name.
    pub top_k_overlap: f64,
    /// What chance would give: k over the number of tokens.
    pub chance: f64,
    /// Spearman's rank correlation over all tokens, the same for every k; `None` where a ranking is constant.
    pub rank_correlation: Option<f64>,
}

/// Early exit at one threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExitRow {
    /// What is compared with the threshold: `confidence`, `consistency` or `mean` (SEE's score).
    pub signal: String,
    /// The guide's answer is final from here on.
    pub threshold: f64,
    /// Share of questions that end early.
    pub exited: f64,
    /// Accuracy of those answers; `None` if there are none.
    pub exited_accuracy: Option<f64>,
    /// Accuracy in all, the others being answered by the target behind the exit.
    pub accuracy: f64,
    /// Its 95 % confidence interval.
    pub ci95: [f64; 2],
    /// Mean time over that of the unpruned target.
    pub cost: f64,
    /// The same by kind of question, in the order in which kinds appear.
    pub kinds: Vec<ExitKind>,
}

/// Early exit on one kind of question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExitKind {
    /// The kind.
    pub kind: String,
    /// Questions.
    pub n: usize,
    /// Share of them that end early.
    pub exited: f64,
    /// Accuracy in all.
    pub accuracy: f64,
}

/// A number that a benchmark's authors report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// Policy of the row that it is of.
    pub policy: String,
    /// Retention of that row.
    pub retain: f64,
    /// Its name in the paper.
    pub name: String,
    /// Its value, in the unit of the paper.
    pub value: f64,
}
