//! How far reduced precision moves what the guide sees: importance, kept set, confidence and answer under other types of
//! weights and KV cache, against F32 weights with an F32 cache and without flash attention.
//!
//! `cargo run --release --example drift -- [--first N] [--threads N] > drift.md`: the demo pair's guide on the first N
//! held-out questions (default 24), and the random models of `fidelity/`. The vision encoder stays as it is. Types of weights
//! are made on the spot by llama.cpp's quantizer.

use sgl::gguf::WeightType;
use sgl::guidance::{Importance, Kept, Policy, Retain, confidence};
use sgl::llama::{CacheType, ContextOptions, FlashAttention, LlamaError, quantize};
use sgl::media::{Limits, Picture};
use sgl::pair::DemoPair;
use sgl::vlm::{Generation, GenerationOptions, Role, Vlm, VlmError, VlmOptions, question};
use std::error::Error;
use std::path::{Path, PathBuf};

const VARIANTS: [(WeightType, CacheType, FlashAttention); 8] = [
    (WeightType::F32, CacheType::F32, FlashAttention::On),
    (WeightType::F32, CacheType::F16, FlashAttention::Off),
    (WeightType::F16, CacheType::F16, FlashAttention::On),
    (WeightType::Q8_0, CacheType::F16, FlashAttention::On),
    (WeightType::Q4_0, CacheType::F16, FlashAttention::On),
    (WeightType::F32, CacheType::Q8_0, FlashAttention::On),
    (WeightType::Q8_0, CacheType::Q8_0, FlashAttention::On),
    (WeightType::Q4_0, CacheType::Q8_0, FlashAttention::On),
];

/// A prompt with its pictures, and the most tokens of the answer.
struct Prompt {
    pictures: Vec<PathBuf>,
    question: String,
    n_predict: usize,
}

/// Sums over prompts of the distances between two runs.
#[derive(Default)]
struct Drift {
    importance: f64,
    quarter: f64,
    tenth: f64,
    confidence: f64,
    same_answers: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut first, mut n_threads) = (24, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        match (flag.as_str(), arguments.next()) {
            ("--first", Some(n)) => first = n.parse()?,
            ("--threads", Some(n)) => n_threads = Some(n.parse()?),
            _ => return Err("usage: drift [--first N] [--threads N]".into()),
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pair = DemoPair::install()?;
    let held_out = demo_prompts(&root.join("models/held-out"), first)?;
    report("demo guide", &pair.guide, &pair.guide_mmproj, &held_out, n_threads)?;
    for (family, text) in [("llava", "llava"), ("internvl", "llava"), ("qwen2_vl", "qwen2_vl")] {
        let dir = root.join("fidelity");
        let prompts = golden_prompts(&dir.join(family))?;
        let (model, mmproj) = (dir.join(text).join("guide.gguf"), dir.join(family).join("mmproj.gguf"));
        report(family, &model, &mmproj, &prompts, n_threads)?;
    }
    Ok(())
}

fn demo_prompts(dir: &Path, first: usize) -> Result<Vec<Prompt>, Box<dyn Error>> {
    #[derive(serde::Deserialize)]
    struct Line {
        image: String,
        question: String,
    }
    let text = std::fs::read_to_string(dir.join("questions.jsonl"))?;
    let prompt = |line| -> Result<Prompt, Box<dyn Error>> {
        let Line { image, question } = serde_json::from_str(line)?;
        Ok(Prompt { pictures: vec![dir.join(image)], question, n_predict: 64 })
    };
    text.lines().take(first).map(prompt).collect()
}

fn golden_prompts(dir: &Path) -> Result<Vec<Prompt>, Box<dyn Error>> {
    #[derive(serde::Deserialize)]
    struct Goldens {
        cases: Vec<Case>,
    }
    #[derive(serde::Deserialize)]
    struct Case {
        pictures: Vec<String>,
        question: String,
        n_predict: usize,
    }
    let goldens: Goldens = serde_json::from_str(&std::fs::read_to_string(dir.join("goldens.json"))?)?;
    let prompt = |Case { pictures, question, n_predict }| Prompt {
        pictures: pictures.iter().map(|name| dir.join(name)).collect(),
        question,
        n_predict,
    };
    Ok(goldens.cases.into_iter().map(prompt).collect())
}

/// Prints one table: a row for each variant, means over the prompts.
fn report(
    name: &str,
    model: &Path,
    mmproj: &Path,
    prompts: &[Prompt],
    n_threads: Option<u32>,
) -> Result<(), Box<dyn Error>> {
    let files = tempfile::tempdir()?;
    let run = |(weights, cache, flash_attention)| -> Result<Vec<Generation>, Box<dyn Error>> {
        let quantized = files.path().join(format!("{weights:?}.gguf"));
        if !quantized.exists() {
            quantize(model, &quantized, weights, n_threads.unwrap_or(1))?;
        }
        let context =
            ContextOptions { n_threads, flash_attention, cache_k: cache, cache_v: cache, ..ContextOptions::default() };
        let options = VlmOptions { model: quantized, mmproj: mmproj.to_owned(), context, ..VlmOptions::default() };
        let mut guide = Vlm::load(Role::Guide, options, |_| {})?;
        prompts.iter().map(|prompt| look(&mut guide, prompt)).collect()
    };
    let reference = run((WeightType::F32, CacheType::F32, FlashAttention::Off))?;
    println!("\n{name}, {} prompts\n", prompts.len());
    println!(
        "| weights | KV cache | flash attention | importance, L1 | kept at 25 % | kept at 10 % | confidence | same answer |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for variant in VARIANTS {
        let (weights, cache, flash_attention) = variant;
        print!("| {weights:?} | {cache:?} | {flash_attention:?} | ");
        match run(variant) {
            Ok(found) => print_row(&reference, &found)?,
            Err(error) if refuses_cache(&*error) => println!("refused | | | | |"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the cache type does not fit the model's heads.
fn refuses_cache(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(VlmError::Llama(LlamaError::CreateContext { .. })))
}

fn look(guide: &mut Vlm, prompt: &Prompt) -> Result<Generation, Box<dyn Error>> {
    let pictures =
        prompt.pictures.iter().map(|path| Picture::open(path, &Limits::default())).collect::<Result<Vec<_>, _>>()?;
    let prepared = guide.prepare(&question(None, pictures.len(), &prompt.question), &pictures, |_, _| {})?;
    let options = GenerationOptions { n_predict: prompt.n_predict, observe: true, ..GenerationOptions::default() };
    let all = Kept::all(prepared.prompt.n_visual());
    Ok(guide.answer(&prepared, &all, &options, &mut |_, _| {}, &mut |_| {})?)
}

fn print_row(reference: &[Generation], found: &[Generation]) -> Result<(), Box<dyn Error>> {
    let mut sum = Drift::default();
    for (expected, found) in reference.iter().zip(found) {
        let (expected_mass, mass) = (importance(expected)?, importance(found)?);
        sum.importance += distance(&expected_mass.global(), &mass.global());
        sum.quarter += overlap(expected_mass, mass, 0.25)?;
        sum.tenth += overlap(expected_mass, mass, 0.1)?;
        let of = |generation: &Generation| confidence(&generation.log_probabilities);
        sum.confidence += (of(expected) - of(found)).abs();
        sum.same_answers += usize::from(expected.tokens == found.tokens);
    }
    let n = reference.len() as f64;
    println!(
        "{:.1e} | {:.1} % | {:.1} % | {:.1e} | {} of {} |",
        sum.importance / n,
        100.0 * sum.quarter / n,
        100.0 * sum.tenth / n,
        sum.confidence / n,
        sum.same_answers,
        reference.len(),
    );
    Ok(())
}

fn importance(generation: &Generation) -> Result<&Importance, Box<dyn Error>> {
    Ok(generation.importance.as_ref().ok_or("the guide exported no attention")?)
}

/// Sum of absolute differences over sum of expected values.
fn distance(expected: &[f64], found: &[f64]) -> f64 {
    let differences: f64 = expected.iter().zip(found).map(|(a, b)| (a - b).abs()).sum();
    differences / expected.iter().sum::<f64>()
}

/// Share of one kept set that the other keeps too.
fn overlap(expected: &Importance, found: &Importance, share: f64) -> Result<f64, Box<dyn Error>> {
    let kept =
        |importance: &Importance| Policy::Global.select(importance.n_visual(), importance.into(), Retain::Share(share));
    let (expected, found) = (kept(expected)?, kept(found)?);
    let common = expected.indices().iter().filter(|index| found.indices().contains(index)).count();
    Ok(common as f64 / expected.len() as f64)
}
