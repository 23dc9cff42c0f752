//! Accuracy of the demo pair on its held-out questions, by policy and retention, and of early exit by threshold.
//!
//! `cargo run --release --example evaluate -- [--questions DIR] [--first N] [--models DIR] [--guide NAME] [--threads N]
//! [--accuracy only]`: pictures and questions (default: `models/held-out`), of which the first N pictures; models of another
//! folder than `models`, and another guide than `guide.gguf`; without times, so that no picture is encoded twice. One question
//! takes one guide pass; every kept set is one target pass over the same encoded picture. All models are greedy. An answer is
//! right if it equals the gold answer, blanks and case aside.

use sgl::geometry::Carry;
use sgl::guidance::{Consistency, Importance, Kept, Policy, Retain, confidence};
use sgl::llama::ContextOptions;
use sgl::media::{Limits, Picture};
use sgl::timing::ms_since;
use sgl::vlm::{Generation, GenerationOptions, Prepared, Role, Vlm, VlmOptions, question};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

const RETAIN: [f64; 4] = [0.5, 0.25, 0.1, 0.05];
const EXIT_RETAIN: f64 = 0.25;
const N_RANDOM: u64 = 3;

#[derive(serde::Deserialize)]
struct Question {
    image: String,
    kind: String,
    question: String,
    answer: String,
}

/// One question's outcome.
struct Row {
    kind: String,
    guide: bool,
    unpruned: bool,
    /// (policy label, retention in percent) -> share of right answers over seeds
    pruned: BTreeMap<(String, u32), f64>,
    confidence: f64,
    product: f64,
    guide_ms: f64,
    consistency_ms: f64,
    unpruned_ms: f64,
    target_ms: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let models_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let (mut first, mut models, mut guide) = (usize::MAX, models_dir.clone(), "guide".to_owned());
    let (mut dir, mut context) = (models_dir.join("held-out"), ContextOptions::default());
    let mut encoder_cache_bytes = 0;
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        match (flag.as_str(), arguments.next()) {
            ("--first", Some(n)) => first = n.parse()?,
            ("--models", Some(dir)) => models = PathBuf::from(dir),
            ("--guide", Some(name)) => guide = name,
            ("--questions", Some(questions)) => dir = PathBuf::from(questions),
            ("--threads", Some(n)) => context.n_threads = Some(n.parse()?),
            ("--accuracy", Some(only)) if only == "only" => encoder_cache_bytes = 1 << 28,
            _ => {
                return Err(
                    "usage: evaluate [--questions DIR] [--first N] [--models DIR] [--guide NAME] [--threads N] [--accuracy only]".into(),
                );
            }
        }
    }
    let text = std::fs::read_to_string(dir.join("questions.jsonl"))?;
    let questions = text.lines().map(serde_json::from_str).collect::<Result<Vec<Question>, _>>()?;
    let mut images: Vec<&str> = questions.iter().map(|question| question.image.as_str()).collect();
    images.dedup();
    let last = images.get(first).copied();
    let questions: Vec<&Question> =
        questions.iter().take_while(|question| Some(question.image.as_str()) != last).collect();

    let load = |role, name: &str| {
        let model = models.join(format!("{name}.gguf"));
        let mmproj = models.join(format!("mmproj-{name}.gguf"));
        let context = context.clone();
        Vlm::load(role, VlmOptions { model, mmproj, context, encoder_cache_bytes, ..VlmOptions::default() }, |_| {})
    };
    let mut guide = load(Role::Guide, &guide)?;
    let mut target = load(Role::Target, "target")?;

    let start = Instant::now();
    let mut rows = Vec::new();
    for (done, question) in questions.iter().enumerate().filter(|(_, question)| question.kind != "list") {
        let picture = Picture::open(dir.join(&question.image), &Limits::default())?;
        rows.push(ask(&mut guide, &mut target, question, picture)?);
        if done % 50 == 0 {
            eprintln!("{done}/{} questions, {:.0} s", questions.len(), start.elapsed().as_secs_f64());
        }
    }
    print_accuracy(&rows);
    if encoder_cache_bytes == 0 {
        print_exits(&rows);
    }
    Ok(())
}

fn ask(guide: &mut Vlm, target: &mut Vlm, asked: &Question, picture: Picture) -> Result<Row, Box<dyn Error>> {
    let messages = question(None, 1, &asked.question);
    let pictures = [picture];
    let is_right = |generation: &Generation| generation.text.trim().eq_ignore_ascii_case(asked.answer.trim());

    let begin = Instant::now();
    let prepared = guide.prepare(&messages, &pictures, |_, _| {})?;
    let seen = prepared.prompt.places().to_vec();
    let looked = answer(guide, &prepared, &Kept::all(seen.len()), true)?;
    let guide_ms = ms_since(begin);
    let importance: &Importance = looked.importance.as_ref().ok_or("the guide exported no attention")?;
    let begin = Instant::now();
    let coarse = Policy::Global.select(seen.len(), Some(importance), Retain::Share(0.05))?;
    let scores = guide.score(&prepared, &coarse, &looked.tokens)?;
    let consistency_ms = ms_since(begin);

    let begin = Instant::now();
    let prepared = target.prepare(&messages, &pictures, |_, _| {})?;
    let encode_ms = ms_since(begin);
    let n_visual = prepared.prompt.n_visual();
    let carry = Carry::new(&seen, prepared.prompt.places());
    let importance = &importance.carried(n_visual, |mass| carry.apply(mass));
    let begin = Instant::now();
    let unpruned = answer(target, &prepared, &Kept::all(n_visual), false)?;
    let unpruned_ms = encode_ms + ms_since(begin);
    let mut pruned = BTreeMap::new();
    let mut target_ms = 0.0;
    for retain in RETAIN {
        let mut policies =
            vec![("global", Policy::Global), ("layer:1", Policy::Layer(1)), ("uniform", Policy::Uniform)];
        // Another draw for every question: one seed keeps the same places of every picture.
        let seed = fingerprint(&asked.image, &asked.question);
        policies.extend((0..N_RANDOM).map(|index| ("random", Policy::Random(seed.wrapping_add(index)))));
        for (label, policy) in policies {
            let kept = policy.select(n_visual, Some(importance), Retain::Share(retain))?;
            let begin = Instant::now();
            let right = is_right(&answer(target, &prepared, &kept, false)?);
            if label == "global" && retain == EXIT_RETAIN {
                target_ms = encode_ms + ms_since(begin);
            }
            let share = if label == "random" { 1.0 / N_RANDOM as f64 } else { 1.0 };
            *pruned.entry((label.to_owned(), (retain * 100.0) as u32)).or_insert(0.0) +=
                f64::from(u8::from(right)) * share;
        }
    }
    Ok(Row {
        kind: asked.kind.clone(),
        guide: is_right(&looked),
        unpruned: is_right(&unpruned),
        pruned,
        confidence: confidence(&looked.log_probabilities),
        product: Consistency::Product.of(&scores),
        guide_ms,
        consistency_ms,
        unpruned_ms,
        target_ms,
    })
}

fn answer(vlm: &mut Vlm, prepared: &Prepared, kept: &Kept, observe: bool) -> Result<Generation, sgl::vlm::VlmError> {
    let options = GenerationOptions { n_predict: 32, observe, ..GenerationOptions::default() };
    vlm.answer(prepared, kept, &options, &mut |_, _| {}, &mut |_| {})
}

fn fingerprint(image: &str, question: &str) -> u64 {
    image.bytes().chain(question.bytes()).fold(0, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len().max(1);
    values.sum::<f64>() / n as f64
}

fn percent(right: impl ExactSizeIterator<Item = f64>) -> String {
    if right.len() == 0 { "-".to_owned() } else { format!("{:.1}", 100.0 * mean(right)) }
}

fn number(right: bool) -> f64 {
    f64::from(u8::from(right))
}

fn print_accuracy(rows: &[Row]) {
    const LOCAL: [&str; 3] = ["label", "colour", "shape"];
    let local: Vec<&Row> = rows.iter().filter(|row| LOCAL.contains(&row.kind.as_str())).collect();
    println!("{} one-word questions, {} of them on label, colour or shape\n", rows.len(), local.len());
    let line = |label: &str, right: &dyn Fn(&Row) -> f64| {
        println!("| {label} | {} | {} |", percent(rows.iter().map(right)), percent(local.iter().map(|row| right(row))));
    };
    println!("| visual tokens read | all, % | label/colour/shape, % |\n|---|---|---|");
    line("guide, all", &|row| number(row.guide));
    line("target, all", &|row| number(row.unpruned));
    for retain in RETAIN.map(|retain| (retain * 100.0) as u32) {
        for policy in ["global", "layer:1", "uniform", "random"] {
            let key = (policy.to_owned(), retain);
            line(&format!("target, {retain} %, {policy}"), &|row| row.pruned.get(&key).copied().unwrap_or(0.0));
        }
    }
}

/// Early exit in front of the target at `EXIT_RETAIN`; times are means over questions of this run.
fn print_exits(rows: &[Row]) {
    let alone = mean(rows.iter().map(|row| row.unpruned_ms));
    println!("\n| exit threshold | exited, % | right of those, % | right in all, % | mean ms | over unpruned target |");
    println!("|---|---|---|---|---|---|");
    let key = ("global".to_owned(), (EXIT_RETAIN * 100.0) as u32);
    for threshold in [0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 2.0] {
        let exits = |row: &Row| (row.confidence + row.product) / 2.0 >= threshold;
        let exited: Vec<&Row> = rows.iter().filter(|row| exits(row)).collect();
        let right =
            |row: &Row| if exits(row) { number(row.guide) } else { row.pruned.get(&key).copied().unwrap_or(0.0) };
        let ms = |row: &Row| {
            let consistency = if (row.confidence + 1.0) / 2.0 >= threshold { row.consistency_ms } else { 0.0 };
            row.guide_ms + consistency + if exits(row) { 0.0 } else { row.target_ms }
        };
        let ms = mean(rows.iter().map(ms));
        let label = if threshold > 1.0 { "never".to_owned() } else { threshold.to_string() };
        println!(
            "| {label} | {} | {} | {} | {ms:.1} | {:.2} |",
            percent(rows.iter().map(|row| number(exits(row)))),
            percent(exited.iter().map(|row| number(row.guide))),
            percent(rows.iter().map(right)),
            ms / alone
        );
    }
}
