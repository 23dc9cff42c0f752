//! A summary as an evaluation makes it, and a check of markup.

use super::{Case, Outcome};
use crate::eval::summary::{About, ExitRow, Figure, KindAccuracy, Loss, OverlapRow, Row, Summary};

pub(crate) const HOSTILE: &str = "</script><img src=x onerror=\"alert(1)\">&'{{ 7 * 7 }}";

const RETAINS: [f64; 5] = [0.5, 0.25, 0.1, 0.09, 0.05];
const N: usize = 400;

pub(crate) fn summary() -> Summary {
    let policies: [(&str, f64, [f64; 5]); 11] = [
        ("global", 0.31, [0.894, 0.891, 0.889, 0.885, 0.842]),
        ("layer:1", 0.31, [0.724, 0.562, 0.454, 0.437, 0.381]),
        ("layer:2", 0.32, [0.788, 0.655, 0.512, 0.498, 0.402]),
        ("target-layer:2", 1.05, [0.83, 0.742, 0.612, 0.588, 0.497]),
        ("oracle", 1.08, [0.9, 0.897, 0.895, 0.892, 0.871]),
        ("random:3", 0.02, [0.642, 0.431, 0.27, 0.262, 0.221]),
        ("uniform", 0.02, [0.661, 0.448, 0.308, 0.291, 0.235]),
        ("lowres", 0.02, [f64::NAN; 5]),
        ("diversity", 0.04, [0.705, 0.497, 0.342, 0.329, 0.262]),
        ("global+diversity", 0.33, [0.892, 0.884, 0.871, 0.867, 0.829]),
        ("global+debias", 0.31, [0.893, 0.89, 0.886, 0.883, 0.855]),
    ];
    let unpruned = row("none", 1.0, 0.894, 1.0);
    let guide = row("guide", 1.0, 0.71, 0.28);
    let mut rows =
        vec![Row { loss: None, cost: Some(1.0), ..unpruned }, Row { target_ms_median: None, kept: None, ..guide }];
    for (policy, overhead, accuracies) in policies {
        for (retain, accuracy) in RETAINS.into_iter().zip(accuracies) {
            rows.push(row(policy, retain, accuracy, overhead + 0.12 + 0.85 * retain));
        }
    }
    Summary {
        about: About {
            benchmark: "scenes".into(),
            metric: "share of exact answers".into(),
            n_samples: N,
            n_all: 1200,
            target: "target-8b-q4_0.gguf".into(),
            guide: Some("guide-0.5b-q8_0.gguf".into()),
            seed: 7,
            version: "0.1.0".into(),
            llama_cpp: "b6400 (0.6.0), 4 patches".into(),
            date: "2026-05-04".into(),
            settings: vec![("threads".into(), "2".into()), ("prompt".into(), "{question}\nAnswer shortly.".into())],
        },
        rows,
        overlap: overlap(),
        exit_curve: exit_curve(),
        figures: figures(),
        notes: vec!["lowres: the target's preprocessor does not take a smaller picture.".into()],
    }
}

pub(crate) fn cases(heat_map_png: &[u8]) -> Vec<Case> {
    let case = |(index, outcome): (usize, Outcome)| Case {
        outcome,
        sample: format!("scene-{index:04}"),
        kind: if index == 1 { HOSTILE.into() } else { "reading".into() },
        question: if index == 0 { HOSTILE.into() } else { "Which character is on the orange diamond?".into() },
        expected: "4".into(),
        guide_answer: (index != 2).then(|| "4".into()),
        unpruned_answer: "4".into(),
        pruned_answer: if outcome == Outcome::Hurt {
            "The character on the orange diamond is C.".into()
        } else {
            "4".into()
        },
        policy: "global".into(),
        retain: 0.1,
        kept: 76,
        n_visual: 768,
        heat_map_png: heat_map_png.to_vec(),
    };
    [Outcome::Right, Outcome::Wrong, Outcome::Rescued, Outcome::Hurt, Outcome::Hurt]
        .into_iter()
        .enumerate()
        .map(case)
        .collect()
}

/// A PNG's head, which is all that the page reads of one.
pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &width.to_be_bytes()[..], &height.to_be_bytes(), b"\x08\x02\0\0\0"].concat()
}

/// Panics unless tags are balanced, attributes quoted, ids unique and nothing but void elements is left open.
pub(crate) fn check_markup(markup: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut ids: Vec<&str> = Vec::new();
    let mut rest = markup;
    while let Some((_, after)) = rest.split_once('<') {
        let end = tag_end(after).unwrap_or_else(|| panic!("a tag does not end: {}", &after[..after.len().min(80)]));
        let tag = &after[..end];
        rest = &after[end + 1..];
        if tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name.trim()), "closed before {}", &rest[..rest.len().min(80)]);
            continue;
        }
        let name = tag.split([' ', '\n', '/']).next().unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "<{tag}>");
        if let Some((_, id)) = tag.split_once(" id=\"") {
            let id = id.split('"').next().unwrap();
            assert!(!ids.contains(&id), "{id} is there twice");
            ids.push(id);
        }
        for attribute in tag.split('"').step_by(2).skip(1).flat_map(str::split_whitespace) {
            let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            assert!(attribute == "/" || is_name(attribute.trim_end_matches('=')), "<{tag}>");
        }
        let is_void = tag.ends_with('/') || ["meta", "img", "br", "link", "hr"].contains(&name);
        if !is_void {
            open.push(name);
        }
        if name == "style" {
            rest = &rest[rest.find("</style>").expect("a style that ends")..];
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    let mut references = markup.split("aria-labelledby=\"").skip(1).map(|after| after.split('"').next().unwrap());
    assert!(references.all(|id| ids.contains(&id)), "a label that does not exist");
}

fn tag_end(tag: &str) -> Option<usize> {
    let mut quoted = false;
    tag.find(|character| {
        quoted ^= character == '"';
        character == '>' && !quoted
    })
}

fn row(policy: &str, retain: f64, accuracy: f64, cost: f64) -> Row {
    let was_run = !accuracy.is_nan();
    let half = 1.96 * (accuracy * (1.0 - accuracy) / N as f64).sqrt();
    let mean = 0.894 - accuracy;
    let loss = Loss {
        mean,
        ci95: [mean - 0.5 * half, mean + 0.5 * half],
        p: (-mean.abs() * 150.0).exp(),
        hurt: mean.max(0.0) + 0.01,
        rescued: (-mean).max(0.0) + 0.01,
    };
    let kinds = ["reading", "counting", "where", "colour and shape", "nothing to see"];
    let kind = |(index, kind): (usize, &str)| KindAccuracy {
        kind: kind.into(),
        n: N / 5,
        accuracy: (accuracy + (index as f64 - 2.0) * 0.02).clamp(0.0, 1.0),
    };
    Row {
        policy: policy.into(),
        retain,
        n: if was_run { N } else { 0 },
        accuracy: was_run.then_some(accuracy),
        ci95: was_run.then_some([accuracy - half, (accuracy + half).min(1.0)]),
        loss: was_run.then_some(loss),
        behind_global: None,
        kinds: if was_run { kinds.into_iter().enumerate().map(kind).collect() } else { Vec::new() },
        kept: was_run.then_some(retain * 0.998),
        target_ms_median: was_run.then_some(9_812.0 * (0.12 + 0.88 * retain)),
        total_ms_median: was_run.then_some(9_812.0 * cost),
        cost: was_run.then_some(cost),
    }
}

fn overlap() -> Vec<OverlapRow> {
    let rankings = [("global", 0.93, 0.78), ("layer:1", 0.21, 0.24), ("layer:2", 0.35, 0.33)];
    let rows = rankings.into_iter().flat_map(|(policy, rank_correlation, best)| {
        RETAINS.map(|retain| OverlapRow {
            policy: policy.into(),
            retain,
            k: (768.0 * retain).floor(),
            top_k_overlap: best + (1.0 - best) * retain * 0.9,
            chance: retain,
            rank_correlation: Some(rank_correlation),
        })
    });
    rows.collect()
}

fn exit_curve() -> Vec<ExitRow> {
    let signals = [("confidence", 0.12), ("consistency", 0.2), ("mean", 0.07)];
    let rows = signals.into_iter().flat_map(|(signal, harm)| {
        (0..=20).rev().map(move |step| {
            let threshold = f64::from(step) / 20.0;
            let exited = (1.0 - threshold * threshold).max(0.0);
            let accuracy = 0.889 - 0.179 * exited.powf(1.0 / harm / 3.0);
            ExitRow {
                signal: signal.into(),
                threshold,
                exited,
                exited_accuracy: (exited > 0.0).then_some(0.97 - 0.26 * exited),
                accuracy,
                ci95: [accuracy - 0.03, accuracy + 0.03],
                cost: 0.55 - 0.25 * exited,
                kinds: Vec::new(),
            }
        })
    });
    rows.collect()
}

fn figures() -> Vec<Figure> {
    let of = |policy: &str, retain: f64, name: &str, value: f64| Figure {
        policy: policy.into(),
        retain,
        name: name.into(),
        value,
    };
    vec![
        of("none", 1.0, "perception", 1512.25),
        of("none", 1.0, "cognition", 388.571),
        of("global", 0.1, "perception", 1490.0),
        of("global", 0.1, "cognition", 380.1),
        of("global", 0.05, "perception", 1402.333),
    ]
}
