//! What the attention export costs: time of prefill and decode with it over the time without it, flash attention on.
//!
//! `cargo run --release --example export_overhead -- [MODEL.gguf] [N_VISUAL] [ROUNDS]`: any text model (default: the
//! embedded guide) reads N_VISUAL random embedding rows (default 256) and a question of 32 tokens, then decodes 32 tokens,
//! ROUNDS times (default 11). Runs with and without export alternate; the ratios are of medians over all rounds, after one
//! round of warm-up.

use sgl::llama::{Batch, Context, ContextOptions, FlashAttention, LlamaError, Model, ModelOptions, Position};
use sgl::pair::DemoPair;
use sgl::timing::ms_since;
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

const N_QUESTION: i32 = 32;
const N_DECODE: i32 = 32;

/// Milliseconds of one run: picture and question, then one decoded token on average.
struct Run {
    prefill: f64,
    decode: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path =
        arguments.next().map_or_else(|| DemoPair::install().map(|pair| pair.guide), |path| Ok(PathBuf::from(path)))?;
    let n_visual: i32 = arguments.next().map_or(Ok(256), |n| n.parse())?;
    let n_rounds: usize = arguments.next().map_or(Ok(11), |n| n.parse())?;
    let model = Model::load(&path, ModelOptions::default())?;
    let mut random = fastrand::Rng::with_seed(1);
    let rows: Vec<f32> = (0..n_visual as usize * model.n_embd_inp()).map(|_| random.f32() - 0.5).collect();
    let options = ContextOptions {
        n_ctx: (n_visual + N_QUESTION + N_DECODE) as u32,
        flash_attention: FlashAttention::On,
        ..ContextOptions::default()
    };
    let mut context = Context::new(&model, &options)?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..=n_rounds {
        let (off, on) = (run(&mut context, &rows, n_visual, false)?, run(&mut context, &rows, n_visual, true)?);
        if round > 0 {
            without.push(off);
            with.push(on);
        }
    }
    println!("{n_visual} visual tokens, {N_QUESTION} question tokens, medians of {n_rounds} alternating runs");
    for (name, of) in [("prefill", (|run: &Run| run.prefill) as fn(&Run) -> f64), ("decode", |run| run.decode)] {
        let (on, off) = (median(&with, of), median(&without, of));
        println!("{name}: {off:.2} ms without, {on:.2} ms with export, ratio {:.3}", on / off);
    }
    Ok(())
}

fn run(context: &mut Context, rows: &[f32], n_visual: i32, export: bool) -> Result<Run, LlamaError> {
    context.clear();
    let visual: Vec<Position> = (0..n_visual).map(Position::sequential).collect();
    if export {
        context.watch_attention(0, &visual);
    }
    let width = context.model().n_embd_inp();
    let mut batch = Batch::new(context);
    let start = Instant::now();
    for part in visual.chunks(context.n_batch() as usize) {
        batch.clear();
        for &position in part {
            let row = position.t as usize * width;
            batch.add_embedding(&rows[row..row + width], position, 0)?;
        }
        context.decode(&mut batch)?;
    }
    let ask = |context: &mut Context, batch: &mut Batch, from: i32, n: i32| -> Result<(), LlamaError> {
        batch.clear();
        for t in from..from + n {
            let index = batch.add_token(5 + t % 7, t, 0)?;
            if export {
                batch.mark_query(index);
            }
        }
        batch.want_logits(n as usize - 1);
        context.decode(batch)?;
        context.logits(n as usize - 1).map(|_| ()) // waits for the device
    };
    ask(context, &mut batch, n_visual, N_QUESTION)?;
    let prefill = ms_since(start);
    let start = Instant::now();
    for index in 0..N_DECODE {
        ask(context, &mut batch, n_visual + N_QUESTION + index, 1)?;
    }
    let decode = ms_since(start) / f64::from(N_DECODE);
    context.take_attention(0);
    Ok(Run { prefill, decode })
}

fn median(runs: &[Run], of: fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
