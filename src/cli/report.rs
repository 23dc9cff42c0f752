//! The summary line of a run.

use sgl::guidance::ExitDecision;
use sgl::pipeline::{Report, Source, TileReport};
use sgl::timing::{Phase, Timings};

/// Who answered, from how many visual tokens, and what it took, on one line.
pub fn summary(report: &Report) -> String {
    let mut parts = vec![answered(report)];
    if report.visual.tokens > 0 {
        parts.push(format!("read {}/{} visual tokens{}", report.visual.kept, report.visual.tokens, tiles(report)));
    }
    parts.extend(report.draft.map(|draft| format!("{} of {} drafted tokens right", draft.accepted, draft.offered)));
    parts.extend(times(&report.timings_ms));
    parts.extend(speed(report));
    parts.join("; ")
}

/// What each model took, by phase, and the total.
pub fn times(times: &Timings) -> Vec<String> {
    let guide = [Phase::GuideEncode, Phase::GuidePrefill, Phase::GuideDecode, Phase::Consistency];
    let target = [Phase::TargetEncode, Phase::TargetPrefill, Phase::TargetDecode];
    let total = format!("total {}", duration(times.total));
    [phases("guide", &guide, times), phases("target", &target, times), Some(total)].into_iter().flatten().collect()
}

/// Milliseconds as people read them.
pub fn duration(ms: f64) -> String {
    match ms {
        10_000.0.. => format!("{:.1} s", ms / 1e3),
        100.0.. => format!("{ms:.0} ms"),
        _ => format!("{ms:.1} ms"),
    }
}

/// ` in 3/7 tiles`, where some were spared.
fn tiles(report: &Report) -> String {
    let TileReport { all, needed, .. } = report.visual.tiles;
    if needed < all { format!(" in {needed}/{all} tiles") } else { String::new() }
}

fn answered(report: &Report) -> String {
    let who = match report.source {
        Source::Guide => "guide answered",
        Source::Target => "target answered",
    };
    match &report.exit {
        Some(exit) => format!("{who}, {}", why(exit)),
        None => who.to_owned(),
    }
}

fn why(exit: &ExitDecision) -> String {
    let threshold = exit.threshold;
    match exit.score {
        Some(score) if exit.exited => format!("exit score {score:.3} >= {threshold}"),
        Some(score) => format!("exit score {score:.3} < {threshold}"),
        None => format!("guide's confidence {:.3} too low to exit at {threshold}", exit.confidence),
    }
}

/// `target encode 35.1 ms, prefill 11.8 ms`, of the phases that ran.
fn phases(model: &str, phases: &[Phase], times: &Timings) -> Option<String> {
    let time = |phase: &Phase| {
        let label = phase.label();
        let label = label.strip_prefix(model).unwrap_or(label).trim_start();
        times.get(*phase).map(|ms| format!("{label} {}", duration(ms)))
    };
    let times: Vec<String> = phases.iter().filter_map(time).collect();
    (!times.is_empty()).then(|| format!("{model} {}", times.join(", ")))
}

fn speed(report: &Report) -> Option<String> {
    report.guide.as_ref()?;
    if report.source == Source::Guide {
        return Some("target not run".to_owned());
    }
    let ratio = report.unpruned_ms()? / report.timings_ms.total;
    let verdict = if ratio < 1.0 { ": the guide did not pay" } else { "" };
    Some(format!("{ratio:.2}x the speed of the target alone (estimated){verdict}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sgl::pipeline::{Encodings, GuideReport, ModelNames, PictureReport, VisualReport};
    use sgl::vlm::{DraftReport, Finish};

    fn report() -> Report {
        let timings_ms = Timings {
            guide_encode: Some(10.0),
            guide_prefill: Some(20.0),
            guide_decode: Some(0.5),
            target_encode: Some(100.0),
            target_prefill: Some(50.0),
            target_decode: Some(19.5),
            total: 200.0,
            ..Timings::default()
        };
        Report {
            answer: "8".into(),
            source: Source::Target,
            finish: Finish::Stop,
            exit: Some(ExitDecision::ruled_out(0.7, 0.98)),
            visual: VisualReport {
                tokens: 256,
                kept: 64,
                retain: 0.25,
                pictures: vec![PictureReport { tokens: 256, kept: 64 }],
                tiles: TileReport { all: 1, needed: 1, lost: 0.0 },
                encoded: 2,
                reused: 0,
                projected: 0,
                target: Encodings { encoded: 1, ..Encodings::default() },
                kept_indices: (0..64).collect(),
            },
            guide: Some(GuideReport { answer: "8".into(), tokens: 2, held_tokens: 0 }),
            timings_ms,
            prompt_tokens: 96,
            held_tokens: 0,
            draft: None,
            generated_tokens: 2,
            models: ModelNames { guide: Some("g".into()), target: "t".into() },
        }
    }

    #[test]
    fn a_pruned_run() {
        assert_eq!(
            summary(&report()),
            "target answered, guide's confidence 0.700 too low to exit at 0.98; read 64/256 visual tokens; \
             guide encode 10.0 ms, prefill 20.0 ms, decode 0.5 ms; target encode 100 ms, prefill 50.0 ms, decode 19.5 ms; \
             total 200 ms; 1.35x the speed of the target alone (estimated)"
        );
    }

    #[test]
    fn tiles_and_drafts() {
        let tiles = TileReport { all: 7, needed: 3, lost: 0.01 };
        let draft = Some(DraftReport { offered: 8, accepted: 1 });
        let target = Encodings { encoded: 3, ..Encodings::default() };
        let visual = VisualReport { tiles, target, ..report().visual };
        let text = summary(&Report { visual, draft, held_tokens: 20, ..report() });
        assert!(text.contains("read 64/256 visual tokens in 3/7 tiles; 1 of 8 drafted tokens right;"), "{text}");
        // 100 x 7 / 3 + 50 x 288 / 76 + 19.5 x 2 / 1 = 461.8 over 200
        assert!(text.ends_with("2.31x the speed of the target alone (estimated)"), "{text}");
    }

    #[test]
    fn a_tower_that_saw_for_both() {
        let tiles = TileReport { all: 7, needed: 2, lost: 0.0 };
        let target = Encodings { projected: 2, ..Encodings::default() };
        let visual = VisualReport { tiles, encoded: 7, projected: 2, target, ..report().visual };
        let timings_ms =
            Timings { guide_encode: Some(700.0), target_encode: Some(2.0), total: 1000.0, ..report().timings_ms };
        // (2 + 2 x 700 / 7) x 7 / 2 + 50 x 288 / 96 + 19.5 = 876.5 over 1000
        let text = summary(&Report { visual, timings_ms, ..report() });
        assert!(text.contains("0.88x the speed"), "{text}");
    }

    #[test]
    fn a_guide_that_does_not_pay() {
        let timings_ms = Timings { total: 1000.0, ..report().timings_ms };
        let text = summary(&Report { timings_ms, ..report() });
        assert!(text.ends_with("0.27x the speed of the target alone (estimated): the guide did not pay"), "{text}");
    }

    #[test]
    fn an_early_exit() {
        let exit = Some(ExitDecision::decide(1.0, 0.97, 0.98));
        let timings_ms =
            Timings { guide_encode: Some(10.0), consistency: Some(1.25), total: 12_345.0, ..Timings::default() };
        assert_eq!(
            summary(&Report { source: Source::Guide, exit, timings_ms, ..report() }),
            "guide answered, exit score 0.985 >= 0.98; read 64/256 visual tokens; \
             guide encode 10.0 ms, consistency 1.2 ms; total 12.3 s; target not run"
        );
    }

    #[test]
    fn a_target_alone() {
        let timings_ms =
            Timings { target_prefill: Some(5.0), target_decode: Some(1.0), total: 6.5, ..Timings::default() };
        let visual =
            VisualReport { tokens: 0, kept: 0, retain: 1.0, pictures: vec![], kept_indices: vec![], ..report().visual };
        assert_eq!(
            summary(&Report { guide: None, exit: None, timings_ms, visual, ..report() }),
            "target answered; target prefill 5.0 ms, decode 1.0 ms; total 6.5 ms"
        );
    }
}
