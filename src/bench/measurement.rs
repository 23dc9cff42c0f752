//! A measurement as it is printed, written and compared.

use super::ideal::{BreakEven, Costs, Pieces, break_even, ideal_ms};
use super::{Counts, Memory, Round, TIME_TO_FIRST_TOKEN, TOTAL, Times};
use crate::eval::settings::ModelFiles;
use crate::eval::stats::median;
use crate::timing::Phase;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a measurement's times depend on; those of equal settings can be compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The guide's files.
    pub guide: ModelFiles,
    /// The target's files.
    pub target: ModelFiles,
    /// Where the models have random weights: what they are.
    pub shapes: Option<Shapes>,
    /// Width and height of the pictures, in pixels.
    pub pictures: Vec<[u32; 2]>,
    /// Tokens of the question, as the guide counts.
    pub question_tokens: usize,
    /// Tokens of the answer.
    pub n_predict: usize,
    /// What the guided target reads.
    pub retain: String,
    /// What ranks it.
    pub policy: String,
    /// Tiles that the kept tokens lie in at most.
    pub kept_tiles: Option<usize>,
    /// Score from which the guide's answer is final.
    pub exit_threshold: Option<f64>,
    /// Threads.
    pub threads: usize,
    /// What else llama.cpp was told, as (flag, value).
    pub llama: Vec<(String, String)>,
    /// What the models ran on.
    pub device: String,
    /// What guided answers are compared with.
    pub baseline: Baseline,
}

/// Models with random weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shapes {
    /// Presets of guide and target.
    pub pair: String,
    /// Weights of the guide's text model.
    pub guide_type: String,
    /// Weights of the target's text model.
    pub target_type: String,
    /// Weights of both vision encoders.
    pub mmproj_type: String,
    /// Whether both have the same vision encoder.
    pub shared_tower: bool,
}

/// What guided answers are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    /// The target alone, in this build.
    Unpruned,
    /// The target alone, in a stock build of llama.cpp.
    Stock,
}

/// Which program measured; not a setting, as it is what comparisons are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// sgl's version.
    pub version: String,
    /// llama.cpp's version.
    pub llama_cpp: String,
    /// Patches on it.
    pub patches: String,
}

/// Medians of all rounds, milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Medians {
    /// The target alone.
    pub unpruned: Times,
    /// The whole pipeline.
    pub guided: Times,
    /// Prefill and decode of the guide alone, without the export of its attention.
    pub guide_plain: Times,
    /// The same with it.
    pub guide_export: Times,
    /// A stock build of llama.cpp with the target alone.
    pub stock: Option<Times>,
}

/// Ratios of medians; below 1 is faster.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratios {
    /// Guided answer over baseline.
    pub total: Option<f64>,
    /// Time to the first token, guided over baseline.
    pub ttft: Option<f64>,
    /// The target's prefill, guided over unpruned.
    pub target_prefill: Option<f64>,
    /// The guide's prefill, with export over without.
    pub export_prefill: Option<f64>,
    /// The guide's decode, with export over without.
    pub export_decode: Option<f64>,
}

/// Most memory that was in use, in bytes; `None` where it cannot be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeakBytes {
    /// The whole process, weights included.
    pub process: Option<u64>,
    /// KV caches of both models.
    pub kv: Option<u64>,
    /// Compute buffers of both models.
    pub compute: Option<u64>,
}

/// Tokens per second by phase, from medians.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speeds {
    /// The target alone.
    pub unpruned: BTreeMap<String, f64>,
    /// The whole pipeline.
    pub guided: BTreeMap<String, f64>,
}

/// All that is known about a pair on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// What was measured.
    pub settings: Settings,
    /// With what.
    pub build: Build,
    /// Tokens and tiles.
    pub counts: Counts,
    /// Medians.
    pub phases_ms: Medians,
    /// Tokens per second.
    pub tokens_per_second: Speeds,
    /// Ratios of medians.
    pub ratios: Ratios,
    /// What the pieces would make possible ([`ideal_ms`]).
    pub ideal_ms: f64,
    /// What a guided answer took.
    pub measured_ms: f64,
    /// When this guide pays for this target; `None` where the guide's answer was final.
    pub break_even: Option<BreakEven>,
    /// Memory.
    pub peak_bytes: PeakBytes,
    /// Raw times.
    pub rounds: Vec<Round>,
}

impl Measurement {
    /// Sums up rounds, of which there must be one at least.
    pub fn new(settings: Settings, build: Build, counts: Counts, rounds: Vec<Round>, memory: Option<Memory>) -> Self {
        let medians = Medians::of(&rounds);
        let exited = rounds.first().is_some_and(Round::exited);
        let costs = costs(&medians, settings.baseline, &counts);
        Self {
            ratios: Ratios::of(&medians, settings.baseline),
            ideal_ms: ideal_ms(&pieces(&medians, &counts)),
            measured_ms: medians.guided.get(TOTAL).unwrap_or_default(),
            break_even: (!exited).then(|| break_even(&costs)),
            tokens_per_second: Speeds::of(&medians, &counts),
            peak_bytes: PeakBytes {
                process: peak_process_bytes(),
                kv: memory.map(|memory| memory.kv),
                compute: memory.map(|memory| memory.compute),
            },
            phases_ms: medians,
            settings,
            build,
            counts,
            rounds,
        }
    }

    /// Median times of what guided answers are compared with.
    pub fn baseline(&self) -> &Times {
        self.phases_ms.baseline(self.settings.baseline)
    }
}

impl Medians {
    fn of(rounds: &[Round]) -> Self {
        let medians = |of: &dyn Fn(&Round) -> Option<&Times>| {
            let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            for (name, ms) in rounds.iter().filter_map(of).flat_map(Times::iter) {
                values.entry(name).or_default().push(ms);
            }
            let mut times = Times::default();
            for (name, values) in values {
                times.set(name, median(&values).unwrap_or_default());
            }
            times
        };
        Self {
            unpruned: medians(&|round| Some(&round.unpruned)),
            guided: medians(&|round| Some(&round.guided)),
            guide_plain: medians(&|round| Some(&round.guide_plain)),
            guide_export: medians(&|round| Some(&round.guide_export)),
            stock: rounds.iter().any(|round| round.stock.is_some()).then(|| medians(&|round| round.stock.as_ref())),
        }
    }

    fn baseline(&self, baseline: Baseline) -> &Times {
        self.stock.as_ref().filter(|_| baseline == Baseline::Stock).unwrap_or(&self.unpruned)
    }
}

impl Ratios {
    /// Of the medians, or of the times of one round.
    pub(super) fn of(times: &Medians, baseline: Baseline) -> Self {
        let ratio = |over: Option<f64>, under: Option<f64>| Some(over? / under.filter(|&ms| ms > 0.0)?);
        let named = |name| ratio(times.guided.get(name), times.baseline(baseline).get(name));
        let phase = |over: &Times, under: &Times, phase| ratio(over.phase(phase), under.phase(phase));
        Self {
            total: named(TOTAL),
            ttft: named(TIME_TO_FIRST_TOKEN),
            target_prefill: phase(&times.guided, &times.unpruned, Phase::TargetPrefill),
            export_prefill: phase(&times.guide_export, &times.guide_plain, Phase::GuidePrefill),
            export_decode: phase(&times.guide_export, &times.guide_plain, Phase::GuideDecode),
        }
    }

    /// Names and values, as they are serialized.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Option<f64>)> {
        [
            ("total", self.total),
            ("ttft", self.ttft),
            ("target_prefill", self.target_prefill),
            ("export_prefill", self.export_prefill),
            ("export_decode", self.export_decode),
        ]
        .into_iter()
    }
}

impl From<&Round> for Medians {
    fn from(round: &Round) -> Self {
        Self::of(std::slice::from_ref(round))
    }
}

impl Speeds {
    fn of(medians: &Medians, counts: &Counts) -> Self {
        let speeds = |times: &Times, sizes: &[(&str, usize)]| {
            let speed = |&(name, n): &(&str, usize)| {
                let ms = times.get(name).filter(|&ms| ms > 0.0 && n > 0)?;
                Some((name.to_owned(), n as f64 / ms * 1e3))
            };
            sizes.iter().filter_map(speed).collect()
        };
        // The first token comes from the prefill.
        let decoded = |n: usize| n.saturating_sub(1);
        Self {
            unpruned: speeds(
                &medians.unpruned,
                &[("target_prefill", counts.target_prompt), ("target_decode", decoded(counts.target_answer))],
            ),
            guided: speeds(
                &medians.guided,
                &[
                    ("guide_prefill", counts.guide_prompt),
                    ("guide_decode", decoded(counts.guide_answer)),
                    ("target_prefill", counts.read),
                    ("target_decode", decoded(counts.guided_answer)),
                ],
            ),
        }
    }
}

/// The pieces of the ideal. A shared tower has encoded some of the target's tiles already.
fn pieces(medians: &Medians, counts: &Counts) -> Pieces {
    let of = |times: &Times, phase| times.phase(phase).unwrap_or_default();
    Pieces {
        guide_encode_ms: of(&medians.guided, Phase::GuideEncode),
        guide_prefill_ms: of(&medians.guide_plain, Phase::GuidePrefill),
        guide_decode_ms: of(&medians.guide_plain, Phase::GuideDecode),
        consistency_ms: of(&medians.guided, Phase::Consistency),
        target_encode_ms: of(&medians.unpruned, Phase::TargetEncode),
        target_prefill_ms: of(&medians.unpruned, Phase::TargetPrefill),
        target_decode_ms: of(&medians.unpruned, Phase::TargetDecode),
        n_tiles: counts.target_tiles,
        n_prompt: counts.target_prompt,
        n_answer: counts.target_answer,
        n_kept_tiles: counts.kept_tiles.saturating_sub(counts.projected_tiles),
        n_read: counts.read,
        n_written: counts.guided_answer,
    }
}

/// A consistency pass that did not run is taken as reading the text, the answer and the usual twentieth of the visual tokens
/// at the speed of the guide's prefill.
fn costs(medians: &Medians, baseline: Baseline, counts: &Counts) -> Costs {
    let guided = &medians.guided;
    let text = counts.guide_prompt.saturating_sub(counts.guide_visual);
    let scored = (text + counts.guide_visual / 20 + counts.guide_answer) as f64 / counts.guide_prompt.max(1) as f64;
    let estimate = || guided.phase(Phase::GuidePrefill).unwrap_or_default() * scored;
    let consistency_ms = guided.phase(Phase::Consistency).unwrap_or_else(estimate);
    Costs {
        baseline_ms: medians.baseline(baseline).get(TOTAL).unwrap_or_default(),
        guided_ms: guided.get(TOTAL).unwrap_or_default() - guided.phase(Phase::Consistency).unwrap_or_default(),
        guide_ms: guided.sum(&[Phase::GuideEncode, Phase::GuidePrefill, Phase::GuideDecode]),
        consistency_ms,
        retain: counts.kept as f64 / counts.target_visual.max(1) as f64,
        pruned_prefill_ms: guided.phase(Phase::TargetPrefill).unwrap_or_default(),
        unpruned_prefill_ms: medians.unpruned.phase(Phase::TargetPrefill).unwrap_or_default(),
    }
}

/// Most memory that this process has held so far: `VmHWM` of Linux; `None` elsewhere.
pub fn peak_process_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::eval::settings::FileId;

    fn times(pairs: &[(&str, f64)]) -> Times {
        let mut times = Times::default();
        pairs.iter().for_each(|&(name, ms)| times.set(name, ms));
        times
    }

    /// A round of which everything takes `slow` times as long.
    pub fn round(slow: f64) -> Round {
        let of = |pairs: &[(&'static str, f64)]| {
            times(&pairs.iter().map(|&(name, ms)| (name, ms * slow)).collect::<Vec<_>>())
        };
        Round {
            unpruned: of(&[
                ("target_encode", 140.0),
                ("target_prefill", 1000.0),
                ("target_decode", 310.0),
                ("time_to_first_token", 1140.0),
                ("total", 1450.0),
            ]),
            guided: of(&[
                ("guide_encode", 70.0),
                ("guide_prefill", 40.0),
                ("guide_decode", 20.0),
                ("target_encode", 140.0),
                ("target_prefill", 300.0),
                ("target_decode", 300.0),
                ("time_to_first_token", 570.0),
                ("total", 870.0),
            ]),
            guide_plain: of(&[("guide_prefill", 20.0), ("guide_decode", 10.0)]),
            guide_export: of(&[("guide_prefill", 40.0), ("guide_decode", 20.0)]),
            stock: None,
        }
    }

    fn settings() -> Settings {
        let file = |name: &str| FileId { name: name.to_owned(), bytes: 1, hash: "0".to_owned() };
        let files = |name: &str| ModelFiles { model: file(name), mmproj: file(name) };
        Settings {
            guide: files("guide"),
            target: files("target"),
            shapes: None,
            pictures: vec![[1344, 896]],
            question_tokens: 64,
            n_predict: 32,
            retain: "0.25".to_owned(),
            policy: "global".to_owned(),
            kept_tiles: None,
            exit_threshold: None,
            threads: 1,
            llama: vec![("--batch-size".to_owned(), "2048".to_owned())],
            device: "CPU".to_owned(),
            baseline: Baseline::Unpruned,
        }
    }

    pub fn measurement(rounds: Vec<Round>) -> Measurement {
        let counts = Counts {
            guide_prompt: 1900,
            guide_visual: 1792,
            guide_tiles: 7,
            guide_answer: 32,
            target_prompt: 2000,
            target_visual: 1800,
            target_tiles: 7,
            target_answer: 32,
            read: 500,
            kept: 300,
            kept_tiles: 3,
            projected_tiles: 0,
            guided_answer: 32,
            stock_prompt: None,
        };
        let build = Build { version: "1".to_owned(), llama_cpp: "2".to_owned(), patches: "3".to_owned() };
        Measurement::new(settings(), build, counts, rounds, Some(Memory { kv: 5, compute: 6 }))
    }

    #[test]
    fn rounds_are_summed_up_by_their_medians() {
        let measured = measurement([1.0, 9.0, 0.5].map(round).to_vec());
        assert_eq!(measured.phases_ms.guided, round(1.0).guided);
        assert_eq!(measured.phases_ms.stock, None);
        assert_eq!(measured.ratios.total, Some(0.6));
        assert_eq!(measured.ratios.ttft, Some(0.5));
        assert_eq!(measured.ratios.target_prefill, Some(0.3));
        assert_eq!((measured.ratios.export_prefill, measured.ratios.export_decode), (Some(2.0), Some(2.0)));
        // 70 + 20 + 10, 3 tiles of 7, 500 tokens of 2000, all of the answer
        assert_eq!(measured.ideal_ms, 100.0 + 60.0 + 250.0 + 310.0);
        assert_eq!(measured.measured_ms, 870.0);
        // A sixth is read; the 580 ms to spare are for 580/700 of the rest.
        let BreakEven { retain, exits } = measured.break_even.unwrap();
        assert!((retain.unwrap() - (1.0 + 5.0 * 580.0 / 700.0) / 6.0).abs() < 1e-12);
        assert_eq!(exits, Some(0.0));
        assert_eq!(measured.tokens_per_second.unpruned["target_prefill"], 2000.0);
        assert!((measured.tokens_per_second.guided["target_decode"] - 31.0 / 0.3).abs() < 1e-9);
        assert_eq!((measured.peak_bytes.kv, measured.peak_bytes.compute), (Some(5), Some(6)));
    }

    #[test]
    fn a_stock_build_is_the_baseline_if_there_is_one() {
        let with = Round { stock: Some(times(&[("total", 435.0), ("time_to_first_token", 285.0)])), ..round(1.0) };
        let ratios = Ratios::of(&Medians::from(&with), Baseline::Stock);
        assert_eq!((ratios.total, ratios.ttft, ratios.target_prefill), (Some(2.0), Some(2.0), Some(0.3)));
    }

    #[test]
    fn a_shared_tower_spares_the_targets_tiles() {
        let medians = Medians::from(&round(1.0));
        let counts = Counts { target_tiles: 7, kept_tiles: 3, ..Counts::default() };
        assert_eq!(pieces(&medians, &counts).n_kept_tiles, 3);
        assert_eq!(pieces(&medians, &Counts { projected_tiles: 1, ..counts }).n_kept_tiles, 2);
    }

    #[test]
    fn after_an_early_exit_nothing_is_said_about_pruning() {
        let guided = times(&[("guide_encode", 70.0), ("guide_prefill", 40.0), ("total", 120.0)]);
        let measured = measurement(vec![Round { guided, ..round(1.0) }]);
        assert_eq!((measured.break_even, measured.ratios.target_prefill), (None, None));
    }

    #[test]
    fn a_measurement_survives_its_file() {
        let measured = measurement([1.0, 1.1, 1.3].map(round).to_vec());
        let text = serde_json::to_string(&measured).unwrap();
        assert_eq!(serde_json::from_str::<Measurement>(&text).unwrap(), measured);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_holds_some_memory() {
        assert!(peak_process_bytes().unwrap() > 1 << 20);
    }
}
