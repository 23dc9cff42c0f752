//! Reading, pruning and exporting against libmtmd, masks and the softmax itself.

use super::super::harness::{Observer, QUESTION, distance, gpu_layers, tolerance};
use super::case::{Case, Dropped, Prompt, context_for, exact, options};
use super::{Outcome, is_recurrent, text};
use crate::chat::Message;
use crate::fixtures::Family;
use crate::guidance::Kept;
use crate::llama::{
    Batch, CacheType, Context, ContextOptions, FlashAttention, LayerMass, Model, Position, Token, Vision,
    log_probability,
};
use crate::media::Picture;
use crate::vlm::{GenerationOptions, Role, Vlm};
use llama_cpp_sys_2 as sys;
use std::sync::Arc;

/// Greatest difference of two rows of logits.
pub fn gap(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    let gap = |(left, right): (&f32, &f32)| (left - right).abs();
    left.iter().zip(right).map(gap).fold(0.0, |worst, gap| if gap.is_nan() { f32::INFINITY } else { worst.max(gap) })
}

/// Length of the difference over length of the reference.
pub fn relative(left: &[f32], right: &[f32]) -> f32 {
    let length = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>().sqrt();
    length(&mut left.iter().zip(right).map(|(left, right)| left - right)) / length(&mut right.iter().copied())
}

pub fn below(what: &str, value: f32, limit: f32) -> Outcome {
    let limit = tolerance(f64::from(limit)) as f32;
    if value < limit { Ok(()) } else { Err(format!("{what} is {value:e}, not below {limit:e}")) }
}

pub fn above(what: &str, value: f32, limit: f32) -> Outcome {
    if value > limit { Ok(()) } else { Err(format!("{what} is {value:e}, not above {limit:e}")) }
}

pub fn loads(case: &Case) -> Outcome {
    for role in [Role::Guide, Role::Target] {
        case.vlm(role, &options())?;
    }
    Ok(())
}

/// One model through the crate and through libmtmd.
struct Oracle<'a> {
    case: &'a Case,
    vlm: Vlm,
    vision: Vision,
    options: ContextOptions,
}

impl<'a> Oracle<'a> {
    fn new(case: &'a Case, options: ContextOptions) -> Outcome<Self> {
        Ok(Self {
            case,
            vlm: case.vlm(Role::Target, &options)?,
            vision: case.vision_with(options.flash_attention)?,
            options,
        })
    }

    /// Logits after libmtmd's `mtmd_helper_eval_chunks`.
    fn libmtmd(&self, pictures: &[Picture]) -> Outcome<Vec<f32>> {
        let chunks = self.case.chunks(&self.vision, pictures)?;
        let context = Context::new(self.vision.model(), &self.options).map_err(text)?;
        let mut end = 0;
        // SAFETY: all three are valid; the helper decodes on the context that the test owns.
        let code = unsafe {
            sys::mtmd_helper_eval_chunks(
                self.vision.raw().as_ptr(),
                context.raw().as_ptr(),
                chunks.raw().as_ptr(),
                0,
                0,
                self.options.n_batch as i32,
                true,
                &raw mut end,
            )
        };
        if code != 0 {
            return Err(format!("libmtmd says {code}"));
        }
        // SAFETY: as above; -1 is the last output.
        let logits = unsafe { sys::llama_get_logits_ith(context.raw().as_ptr(), -1) };
        assert!(!logits.is_null());
        Ok(unsafe { std::slice::from_raw_parts(logits, self.vision.model().n_vocab()) }.to_vec())
    }

    /// The crate's logits with everything kept, if they equal libmtmd's bit for bit.
    fn check(&mut self, pictures: &[Picture]) -> Outcome<Vec<f32>> {
        let messages = [Message::user_with_pictures(pictures.len(), QUESTION)];
        let prepared = self.vlm.prepare(&messages, pictures, |_, _| {}).map_err(text)?;
        let kept = Kept::all(prepared.prompt.n_visual());
        let logits = self.vlm.prompt_logits(&prepared, &kept).map_err(text)?;
        let expected = self.libmtmd(pictures)?;
        let finite = logits.iter().all(|logit| logit.is_finite());
        if logits == expected && finite { Ok(logits) } else { Err(format!("differs by {:e}", gap(&logits, &expected))) }
    }
}

pub fn equals_libmtmd(case: &Case) -> Outcome {
    for flash_attention in [FlashAttention::Off, FlashAttention::On] {
        let mut oracle = Oracle::new(case, ContextOptions { flash_attention, ..options() })?;
        let small = oracle.check(&[case.small()])?;
        let other = oracle.check(&[case.picture(50, 40, 7)])?;
        above("the change by another picture", gap(&small, &other), 0.1)?;
        oracle.check(&[case.large()])?;
    }
    Ok(())
}

pub fn equals_libmtmd_on(case: &Case, pictures: &[Picture]) -> Outcome {
    Oracle::new(case, options())?.check(pictures).map(|_| ())
}

pub fn equals_libmtmd_on_two_pictures(case: &Case) -> Outcome {
    let mut oracle = Oracle::new(case, options())?;
    let one = oracle.check(&[case.small(), case.large()])?;
    let two = oracle.check(&[case.large(), case.small()])?;
    above("the change by another order", gap(&one, &two), 0.1)?;
    oracle.check(&[case.small(), case.picture(50, 40, 7)]).map(|_| ())
}

/// Dropped rows leave everything else where it was.
pub fn dropping_equals_masking(case: &Case) -> Outcome {
    let vision = case.vision()?;
    // Gemma's GELU looks numbers up by their 16-bit floats: the last bit of a sum can be a step of the table.
    let limit = if matches!(case.family, Family::Gemma3 | Family::Gemma4) { 2e-3 } else { 1e-4 };
    for pictures in [&[case.small()][..], &[case.large()], &[case.large(), case.small()]] {
        let prompt = case.prompt(&vision, pictures)?;
        let kept = prompt.kept();
        let run = |kept: &[usize], dropped| prompt.read_new(vision.model(), &exact(), kept, dropped);
        let pruned = run(&kept, Dropped::Absent)?;
        below("dropping against masking", gap(&pruned, &run(&kept, Dropped::Hidden)?), limit)?;
        above("the change by pruning", gap(&pruned, &run(&prompt.all(), Dropped::Absent)?), 0.05)?;
        let mut moved = case.prompt(&vision, pictures)?;
        moved.move_question();
        let moved = moved.read_new(vision.model(), &exact(), &kept, Dropped::Absent)?;
        above("the change by a question that stands one place later", gap(&pruned, &moved), 0.01)?;
    }
    // And this is how the crate itself does it.
    let prompt = case.prompt(&vision, &[case.large()])?;
    let by_hand = prompt.read_new(vision.model(), &exact(), &prompt.kept(), Dropped::Absent)?;
    let mut vlm = case.vlm(Role::Target, &exact())?;
    let messages = [Message::user_with_pictures(1, QUESTION)];
    let prepared = vlm.prepare(&messages, &[case.large()], |_, _| {}).map_err(text)?;
    let kept = Kept::from_indices(prompt.visual.len(), prompt.kept()).ok_or("no such kept set")?;
    let logits = vlm.prompt_logits(&prepared, &kept).map_err(text)?;
    if gpu_layers() > 0 {
        // The crate reads what is left in one batch, its parts are read one by one: other kernels.
        return below("the crate against its parts", gap(&logits, &by_hand), 0.0);
    }
    if logits == by_hand { Ok(()) } else { Err("the crate does otherwise than its parts".to_owned()) }
}

fn exported(context: &mut Context, prompt: &Prompt, kept: &[usize]) -> Outcome<Vec<LayerMass>> {
    let visual: Vec<Position> = kept.iter().map(|&index| prompt.visual[index]).collect();
    context.watch_attention(0, &visual);
    prompt.read(context, kept, Dropped::Absent)?;
    Ok(context.take_attention(0))
}

/// Attention on visual tokens as exported and as `cb_eval` sees it, of full and of pruned prompts.
pub fn export_equals_softmax(case: &Case) -> Outcome {
    let vision = case.vision()?;
    for pictures in [&[case.small()][..], &[case.large(), case.small()]] {
        let prompt = case.prompt(&vision, pictures)?;
        for kept in [prompt.all(), prompt.kept()] {
            // Which entries are visual, in order of decoding.
            let decoded = |visual: &Option<usize>| match visual {
                None => Some(false),
                Some(visual) => kept.binary_search(visual).is_ok().then_some(true),
            };
            let is_visual: Vec<bool> =
                prompt.pieces.iter().flat_map(|piece| piece.visual.iter().filter_map(decoded)).collect();
            let n_question: usize = prompt.pieces[prompt.question()..].iter().map(|piece| piece.entries.len()).sum();
            let question = is_visual.len() - n_question;
            let mut observer = Observer::new(question);
            let mut context = Observer::context(vision.model(), &exact(), &mut observer, false);
            let exported = exported(&mut context, &prompt, &kept)?;
            drop(context);
            let mut seen = observer.at(0..is_visual.len());
            for LayerMass { mass, .. } in &mut seen {
                let visual = mass.iter().zip(&is_visual).filter(|(_, is_visual)| **is_visual);
                *mass = visual.map(|(&mass, _)| mass).collect();
            }
            below("export against softmax", distance(&exported, &seen) as f32, 1e-6)?;
        }
    }
    Ok(())
}

/// Caches of 8 bits, K alone and both: pruning still equals masking, and what comes out is near.
pub fn quantized_caches(case: &Case) -> Outcome {
    let vision = case.vision()?;
    let prompt = case.prompt(&vision, &[case.large()])?;
    let kept = prompt.kept();
    let run = |options: &ContextOptions, dropped| prompt.read_new(vision.model(), options, &kept, dropped);
    let reference = run(&exact(), Dropped::Absent)?;
    let k = ContextOptions { cache_k: CacheType::Q8_0, ..exact() };
    let both = ContextOptions { cache_v: CacheType::Q8_0, flash_attention: FlashAttention::On, ..k.clone() };
    for (name, options) in [("K", k), ("K and V", both)] {
        // With latent attention V is part of K, so llama.cpp wants one type for both.
        if name == "K" && case.family == Family::KimiVl {
            continue;
        }
        let pruned = run(&options, Dropped::Absent)?;
        below(&format!("{name} in 8 bits against 32"), relative(&pruned, &reference), 0.1)?;
        if is_recurrent(case.family).is_none() {
            let masked = run(&options, Dropped::Hidden)?;
            below(&format!("dropping against masking, {name} in 8 bits"), relative(&pruned, &masked), 2e-3)?;
        }
    }
    Ok(())
}

/// Flash attention changes logits and exported mass by rounding only.
pub fn flash_attention(case: &Case) -> Outcome {
    let vision = case.vision()?;
    let prompt = case.prompt(&vision, &[case.large()])?;
    let kept = prompt.kept();
    let run = |flash_attention| {
        let mut context =
            Context::new(vision.model(), &ContextOptions { flash_attention, ..options() }).map_err(text)?;
        let mass = exported(&mut context, &prompt, &kept)?;
        context.clear();
        Ok::<_, String>((prompt.read(&mut context, &kept, Dropped::Absent)?, mass))
    };
    let (logits, mass) = run(FlashAttention::Off)?;
    for (name, flash_attention) in [("on", FlashAttention::On), ("auto", FlashAttention::Auto)] {
        let (flash_logits, flash_mass) = run(flash_attention)?;
        below(&format!("logits with flash attention {name}"), relative(&flash_logits, &logits), 0.01)?;
        below(&format!("mass with flash attention {name}"), distance(&flash_mass, &mass) as f32, 0.01)?;
    }
    Ok(())
}

/// Tokens generated after pruning stand where they would have stood: one by one, in one batch, and behind masked rows.
pub fn generation_continues(case: &Case) -> Outcome {
    let mut vlm = case.vlm(Role::Guide, &exact())?;
    let messages = [Message::user_with_pictures(1, QUESTION)];
    let prepared = vlm.prepare(&messages, &[case.large()], |_, _| {}).map_err(text)?;
    let vision = case.vision()?;
    let prompt = case.prompt(&vision, &[case.large()])?;
    let kept = Kept::from_indices(prompt.visual.len(), prompt.kept()).ok_or("no such kept set")?;
    let options = GenerationOptions { n_predict: 8, observe: true, ..GenerationOptions::default() };
    let answer = vlm.answer(&prepared, &kept, &options, &mut |_, _| {}, &mut |_| {}).map_err(text)?;
    let seen = &answer.log_probabilities;
    if answer.tokens.len() < 4 {
        return Err(format!("an answer of {} tokens shows little", answer.tokens.len()));
    }
    let worst = |others: &[f64]| {
        assert_eq!(others.len(), seen.len());
        others.iter().zip(seen).map(|(other, seen)| (other - seen).abs()).fold(0.0, f64::max) as f32
    };
    let scored = vlm.score(&prepared, &kept, &answer.tokens).map_err(text)?;
    below("one by one against one batch", worst(&scored), 1e-4)?;
    let dropped = if is_recurrent(case.family).is_some() { Dropped::Absent } else { Dropped::Hidden };
    let masked = forced(vision.model(), &prompt, kept.indices(), dropped, &answer.tokens)?;
    below("one by one against behind masked rows", worst(&masked), 1e-4)
}

/// `ln p` of an answer that is given to the model token by token.
fn forced(
    model: &Arc<Model>,
    prompt: &Prompt,
    kept: &[usize],
    dropped: Dropped,
    answer: &[Token],
) -> Outcome<Vec<f64>> {
    let mut context = context_for(model, &exact(), dropped)?;
    let mut logits = prompt.read(&mut context, kept, dropped)?;
    let mut log_probabilities = Vec::new();
    for (&token, t) in answer.iter().zip(prompt.end..) {
        log_probabilities.push(log_probability(&logits, token));
        let mut batch = Batch::new(&context);
        let index = batch.add_token(token, t, 0).map_err(text)?;
        batch.want_logits(index);
        context.decode(&mut batch).map_err(text)?;
        logits = context.logits(index).map_err(text)?.to_vec();
    }
    Ok(log_probabilities)
}
