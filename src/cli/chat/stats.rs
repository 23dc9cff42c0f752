//! `/stats`: what each answer read and took, and all of them together.

use crate::cli::report::times;
use sgl::pipeline::{PictureReport, Report, Source, VisualReport};
use sgl::timing::{Phase, Timings};

/// One line per answer, one for all, and one for the encoder outputs that are kept, in bytes.
pub fn table(reports: &[Report], guide_bytes: Option<usize>, target_bytes: usize) -> String {
    let turn = |(index, report): (usize, &Report)| format!("{}: {}\n", index + 1, line(report));
    let turns: String = reports.iter().enumerate().map(turn).collect();
    let guide = guide_bytes.map_or_else(String::new, |bytes| format!("guide {}, ", mebibytes(bytes)));
    format!("{turns}{}\nencoder outputs kept: {guide}target {}", total(reports), mebibytes(target_bytes))
}

/// How many encoder outputs an answer needed; `None` without pictures.
pub fn encoder(visual: &VisualReport) -> Option<String> {
    (visual.encoded + visual.reused > 0).then(|| outputs(visual.encoded, visual.reused))
}

fn line(report: &Report) -> String {
    let mut parts = vec![who(report.source).to_owned()];
    let picture = |(index, picture): (usize, &PictureReport)| {
        format!("picture {} {}/{}", index + 1, picture.kept, picture.tokens)
    };
    let pictures: Vec<String> = report.visual.pictures.iter().enumerate().map(picture).collect();
    parts.extend((!pictures.is_empty()).then(|| pictures.join(", ")));
    parts.extend(encoder(&report.visual));
    parts.extend(times(&report.timings_ms));
    parts.join("; ")
}

fn total(reports: &[Report]) -> String {
    let count = |source| reports.iter().filter(|report| report.source == source).count();
    let sum = |of: fn(&VisualReport) -> usize| reports.iter().map(|report| of(&report.visual)).sum::<usize>();
    let mut parts = vec![format!(
        "all: {} answers, guide {}, target {}",
        reports.len(),
        count(Source::Guide),
        count(Source::Target)
    )];
    if sum(|visual| visual.tokens) > 0 {
        let (kept, tokens) = (sum(|visual| visual.kept), sum(|visual| visual.tokens));
        parts.push(format!("read {kept}/{tokens} visual tokens"));
        parts.push(outputs(sum(|visual| visual.encoded), sum(|visual| visual.reused)));
    }
    parts.extend(times(&reports.iter().fold(Timings::default(), |sum, report| added(sum, &report.timings_ms))));
    parts.join("; ")
}

fn added(mut sum: Timings, times: &Timings) -> Timings {
    for phase in Phase::ALL {
        if let Some(ms) = times.get(phase) {
            sum.set(phase, sum.get(phase).unwrap_or(0.0) + ms);
        }
    }
    Timings { total: sum.total + times.total, ..sum }
}

fn who(source: Source) -> &'static str {
    match source {
        Source::Guide => "guide answered",
        Source::Target => "target answered",
    }
}

fn outputs(n_encoded: usize, n_reused: usize) -> String {
    format!("encoder outputs {n_encoded} computed, {n_reused} reused")
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sgl::pipeline::{Encodings, ModelNames, TileReport};
    use sgl::vlm::Finish;

    fn report(source: Source, pictures: &[(usize, usize)], [encoded, reused]: [usize; 2], ms: f64) -> Report {
        let pictures: Vec<_> = pictures.iter().map(|&(kept, tokens)| PictureReport { tokens, kept }).collect();
        let kept = pictures.iter().map(|picture| picture.kept).sum();
        let tokens = pictures.iter().map(|picture| picture.tokens).sum();
        let timings_ms = match source {
            Source::Guide => Timings { guide_decode: Some(ms), total: ms + 1.0, ..Timings::default() },
            Source::Target => Timings { target_decode: Some(ms), total: ms + 1.0, ..Timings::default() },
        };
        let tiles = TileReport { all: 1, needed: 1, lost: 0.0 };
        Report {
            answer: "8".into(),
            source,
            finish: Finish::Stop,
            exit: None,
            visual: VisualReport {
                tokens,
                kept,
                retain: 1.0,
                pictures,
                tiles,
                encoded,
                reused,
                projected: 0,
                target: Encodings::default(),
                kept_indices: Vec::new(),
            },
            guide: None,
            timings_ms,
            prompt_tokens: 96,
            held_tokens: 0,
            draft: None,
            generated_tokens: 2,
            models: ModelNames { guide: None, target: "t".into() },
        }
    }

    #[test]
    fn answers_are_listed_and_added_up() {
        let reports = [
            report(Source::Target, &[(64, 256)], [2, 0], 10.0),
            report(Source::Guide, &[(256, 256), (3, 4)], [1, 1], 20.0),
            report(Source::Target, &[], [0, 0], 0.5),
        ];
        assert_eq!(
            table(&reports, Some(3 << 19), 1 << 20),
            "1: target answered; picture 1 64/256; encoder outputs 2 computed, 0 reused; target decode 10.0 ms; total 11.0 ms\n\
             2: guide answered; picture 1 256/256, picture 2 3/4; encoder outputs 1 computed, 1 reused; \
             guide decode 20.0 ms; total 21.0 ms\n\
             3: target answered; target decode 0.5 ms; total 1.5 ms\n\
             all: 3 answers, guide 1, target 2; read 323/516 visual tokens; encoder outputs 3 computed, 1 reused; \
             guide decode 20.0 ms; target decode 10.5 ms; total 33.5 ms\n\
             encoder outputs kept: guide 1.5 MiB, target 1.0 MiB"
        );
    }

    #[test]
    fn before_the_first_answer_there_is_nothing_to_add_up() {
        assert_eq!(
            table(&[], None, 0),
            "all: 0 answers, guide 0, target 0; total 0.0 ms\nencoder outputs kept: target 0.0 MiB"
        );
    }
}
