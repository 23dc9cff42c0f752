//! Every family of models, on pairs with random weights: what the crate claims, cell by cell of a table.

use super::harness::{Input, Observer, QUESTION, add, distance};
use crate::chat::{ChatTemplate, Message};
use crate::fixtures::{self, FAMILIES, Family, FixturePair, WeightType};
use crate::guidance::Kept;
use crate::llama::{
    Batch, CacheType, Chunk, Chunks, Context, ContextOptions, FlashAttention, LayerMass, Model, ModelOptions, Position,
    Token, Vision, VisionOptions, log_probability,
};
use crate::media::Picture;
use crate::vlm::{GenerationOptions, Role, Vlm, VlmOptions};
use llama_cpp_sys_2 as sys;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

type Outcome<T = ()> = Result<T, String>;

/// A column of the table.
struct Column {
    name: &'static str,
    check: fn(&Case) -> Outcome,
    /// Why the check does not apply to a family.
    exempt: fn(Family) -> Option<&'static str>,
}

const COLUMNS: [Column; 8] = [
    Column { name: "load", check: loads, exempt: |_| None },
    Column { name: "oracle", check: equals_libmtmd, exempt: has_four_positions },
    Column { name: "two pictures", check: equals_libmtmd_on_two_pictures, exempt: has_four_positions },
    Column { name: "positions", check: dropping_equals_masking, exempt: is_recurrent },
    Column { name: "attention", check: export_equals_softmax, exempt: |_| None },
    Column { name: "quantized KV", check: quantized_caches, exempt: |_| None },
    Column { name: "flash attention", check: flash_attention, exempt: |_| None },
    Column { name: "generation", check: generation_continues, exempt: |_| None },
];

fn is_recurrent(family: Family) -> Option<&'static str> {
    matches!(family, Family::Lfm2Vl | Family::Qwen35).then_some("recurrent layers carry a state past masks")
}

fn has_four_positions(family: Family) -> Option<&'static str> {
    (family == Family::HunyuanVl).then_some("its fourth kind of position is not carried")
}

#[test]
fn every_family() {
    let mut table = String::from("| family |");
    let mut failed = Vec::new();
    let mut notes = Vec::new();
    for column in &COLUMNS {
        table += &format!(" {} |", column.name);
    }
    table += &format!("\n|{}", "---|".repeat(COLUMNS.len() + 1));
    for family in FAMILIES {
        table += &format!("\n| {} |", family.name());
        let case = Case::new(family);
        for Column { name, check, exempt } in &COLUMNS {
            let outcome = match exempt(family) {
                Some(reason) => {
                    notes.push(format!("{}, {name}: {reason}", family.name()));
                    " – |"
                }
                None => match catch_unwind(AssertUnwindSafe(|| check(&case))) {
                    Ok(Ok(())) => " ✓ |",
                    result => {
                        let reason = result.map_or("it panicked".to_owned(), |outcome| outcome.unwrap_err());
                        failed.push(format!("{}, {name}: {reason}", family.name()));
                        " ✗ |"
                    }
                },
            };
            table += outcome;
        }
    }
    println!("{table}\n\n{}", notes.join("\n"));
    assert!(failed.is_empty(), "{table}\n\n{}", failed.join("\n"));
}

/// Weights of all types are read as they were meant: outputs come nearer to those of 32 bits than unrelated ones, which
/// are about 1.4 away.
#[test]
fn every_weight_type() {
    for family in FAMILIES {
        let logits = |kind| {
            let case = Case::with(family, kind);
            let vision = case.vision().unwrap();
            let prompt = case.prompt(&vision, &[case.small()]).unwrap();
            prompt.read_new(vision.model(), &exact(), &prompt.all(), Dropped::Absent).unwrap()
        };
        let reference = logits(WeightType::F32);
        for (kind, limit) in [(WeightType::F16, 0.02), (WeightType::Q8_0, 0.2), (WeightType::Q4_0, 1.25)] {
            let distance = relative(&logits(kind), &reference);
            assert!(distance < limit, "{}, {kind:?}: {distance}", family.name());
        }
    }
}

struct Case {
    family: Family,
    pair: FixturePair,
    _dir: tempfile::TempDir,
}

/// A prompt as it is decoded: text and pictures in turn.
struct Prompt {
    pieces: Vec<Piece>,
    visual: Vec<Position>,
    end: i32,
}

struct Piece {
    entries: Vec<(Input, Position)>,
    /// Number of the first visual token, in pictures.
    visual: Option<usize>,
    non_causal: bool,
}

/// What becomes of visual tokens that are not kept.
#[derive(Clone, Copy, PartialEq)]
enum Dropped {
    /// They are not decoded.
    Absent,
    /// They are decoded as another sequence in the same cache, which the mask hides.
    Hidden,
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// Small physical batches would split pictures that must not be split.
fn options() -> ContextOptions {
    ContextOptions {
        n_ctx: 2048,
        n_threads: Some(1),
        flash_attention: FlashAttention::Off,
        ..ContextOptions::default()
    }
}

fn exact() -> ContextOptions {
    ContextOptions { cache_k: CacheType::F32, cache_v: CacheType::F32, ..options() }
}

impl Case {
    fn new(family: Family) -> Self {
        Self::with(family, WeightType::F32)
    }

    fn with(family: Family, kind: WeightType) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pair = fixtures::write(family, &family.tiny(), 3, kind, dir.path()).unwrap();
        Self { family, pair, _dir: dir }
    }

    /// Blocks of random colours.
    fn picture(&self, width: u32, height: u32, seed: u64) -> Picture {
        let mut random = fastrand::Rng::with_seed(seed);
        let colours: Vec<[u8; 3]> = std::iter::repeat_with(|| [0; 3].map(|_| random.u8(..))).take(997).collect();
        let colour = |x: u32, y: u32| colours[(y / 9 * 100 + x / 11) as usize % colours.len()];
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| colour(x, y))).collect();
        Picture::from_rgb(width, height, rgb).unwrap()
    }

    fn small(&self) -> Picture {
        self.picture(50, 40, 1)
    }

    /// One that is cut into tiles, if the family does that.
    fn large(&self) -> Picture {
        // LFM2's tiles have 512 pixels, whatever the file says.
        let (width, height) = if self.family == Family::Lfm2Vl { (1100, 500) } else { (320, 200) };
        self.picture(width, height, 2)
    }

    fn vlm(&self, role: Role, options: &ContextOptions) -> Outcome<Vlm> {
        let options = VlmOptions {
            model: self.pair.model.clone(),
            mmproj: self.pair.mmproj.clone(),
            n_gpu_layers: Some(0),
            n_ctx: Some(options.n_ctx),
            context: options.clone(),
            ..VlmOptions::default()
        };
        Vlm::load(role, options, |_| {}).map_err(text)
    }

    fn vision(&self) -> Outcome<Vision> {
        let options = ModelOptions { n_gpu_layers: Some(0), ..ModelOptions::default() };
        let model = Model::load(&self.pair.model, options).map_err(text)?;
        let options = VisionOptions { n_threads: Some(1), cpu_only: true, ..VisionOptions::default() };
        Vision::load(&self.pair.mmproj, &model, &options).map_err(text)
    }

    fn chunks<'a>(&self, vision: &'a Vision, pictures: &[Picture]) -> Outcome<Chunks<'a>> {
        let (bos, eos) = vision.model().bos_eos();
        let template = vision.model().chat_template().ok_or("no template")?;
        let template = ChatTemplate::new(&template, &bos, &eos).map_err(text)?;
        let messages = [Message::user_with_pictures(pictures.len(), QUESTION)];
        let parts = template.render(&messages, true).map_err(text)?;
        vision.tokenize(&parts, pictures, !template.starts_with_bos(&parts)).map_err(text)
    }

    fn prompt(&self, vision: &Vision, pictures: &[Picture]) -> Outcome<Prompt> {
        let mut prompt = Prompt { pieces: Vec::new(), visual: Vec::new(), end: 0 };
        for chunk in self.chunks(vision, pictures)?.iter().map_err(text)? {
            match chunk {
                Chunk::Text(tokens) => {
                    let entry = |(&token, t)| (Input::Token(token), Position::sequential(t));
                    let entries = tokens.iter().zip(prompt.end..).map(entry).collect();
                    prompt.pieces.push(Piece { entries, visual: None, non_causal: false });
                    prompt.end += tokens.len() as i32;
                }
                Chunk::Image(image) => {
                    let embeddings = vision.encode(&image).map_err(text)?;
                    let positions = image.positions(prompt.end);
                    let row = |index| Input::Row(embeddings.row(index).unwrap().to_vec());
                    let entries = positions.iter().enumerate().map(|(index, &place)| (row(index), place)).collect();
                    let (visual, non_causal) = (Some(prompt.visual.len()), image.is_non_causal());
                    prompt.pieces.push(Piece { entries, visual, non_causal });
                    prompt.visual.extend(positions);
                    prompt.end += image.n_positions();
                }
            }
        }
        Ok(prompt)
    }
}

impl Prompt {
    /// Visual tokens that stay: some of all places, and a run of neighbours.
    fn kept(&self) -> Vec<usize> {
        let n_visual = self.visual.len();
        (0..n_visual).filter(|index| index % 5 == 2 || (n_visual / 3..n_visual / 2).contains(index)).collect()
    }

    fn all(&self) -> Vec<usize> {
        (0..self.visual.len()).collect()
    }

    /// The first piece after the last picture.
    fn question(&self) -> usize {
        self.pieces.iter().rposition(|piece| piece.visual.is_some()).map_or(0, |last| last + 1)
    }

    fn move_question(&mut self) {
        let question = self.question();
        let entries = self.pieces[question..].iter_mut().flat_map(|piece| &mut piece.entries);
        entries.for_each(|(_, position)| position.t += 1);
    }

    /// Reads the prompt piece by piece; the question's tokens are queries. Logits of its last token.
    fn read(&self, context: &mut Context, kept: &[usize], dropped: Dropped) -> Outcome<Vec<f32>> {
        let mut logits = Vec::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            let mut batch = Batch::new(context);
            batch.allow_position_gaps();
            let query_from = if index >= self.question() { 0 } else { usize::MAX };
            let mut last = None;
            for (number, entry) in piece.entries.iter().enumerate() {
                let is_kept = piece.visual.is_none_or(|first| kept.binary_search(&(first + number)).is_ok());
                if is_kept || dropped == Dropped::Hidden {
                    last = add(&mut batch, std::slice::from_ref(entry), i32::from(!is_kept), query_from).pop();
                }
            }
            let Some(last) = last else { continue };
            if index + 1 == self.pieces.len() {
                batch.want_logits(last);
            }
            context.set_causal(!piece.non_causal);
            let decoded = context.decode(&mut batch);
            context.set_causal(true);
            decoded.map_err(text)?;
            if index + 1 == self.pieces.len() {
                logits = context.logits(last).map_err(text)?.to_vec();
            }
        }
        Ok(logits)
    }

    fn read_new(
        &self,
        model: &Arc<Model>,
        options: &ContextOptions,
        kept: &[usize],
        dropped: Dropped,
    ) -> Outcome<Vec<f32>> {
        self.read(&mut context_for(model, options, dropped)?, kept, dropped)
    }
}

fn context_for(model: &Arc<Model>, options: &ContextOptions, dropped: Dropped) -> Outcome<Context> {
    let options = match dropped {
        Dropped::Absent => options.clone(),
        Dropped::Hidden => ContextOptions { n_seq_max: 2, kv_unified: true, ..options.clone() },
    };
    Context::new(model, &options).map_err(text)
}

/// Greatest difference of two rows of logits.
fn gap(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    let gap = |(left, right): (&f32, &f32)| (left - right).abs();
    left.iter().zip(right).map(gap).fold(0.0, |worst, gap| if gap.is_nan() { f32::INFINITY } else { worst.max(gap) })
}

/// Length of the difference over length of the reference.
fn relative(left: &[f32], right: &[f32]) -> f32 {
    let length = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>().sqrt();
    length(&mut left.iter().zip(right).map(|(left, right)| left - right)) / length(&mut right.iter().copied())
}

fn below(what: &str, value: f32, limit: f32) -> Outcome {
    if value < limit { Ok(()) } else { Err(format!("{what} is {value:e}, not below {limit:e}")) }
}

fn above(what: &str, value: f32, limit: f32) -> Outcome {
    if value > limit { Ok(()) } else { Err(format!("{what} is {value:e}, not above {limit:e}")) }
}

fn loads(case: &Case) -> Outcome {
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
        Ok(Self { case, vlm: case.vlm(Role::Target, &options)?, vision: case.vision()?, options })
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

fn equals_libmtmd(case: &Case) -> Outcome {
    for flash_attention in [FlashAttention::Off, FlashAttention::On] {
        let mut oracle = Oracle::new(case, ContextOptions { flash_attention, ..options() })?;
        let small = oracle.check(&[case.small()])?;
        let other = oracle.check(&[case.picture(50, 40, 7)])?;
        above("the change by another picture", gap(&small, &other), 0.1)?;
        oracle.check(&[case.large()])?;
    }
    Ok(())
}

fn equals_libmtmd_on_two_pictures(case: &Case) -> Outcome {
    let mut oracle = Oracle::new(case, options())?;
    let one = oracle.check(&[case.small(), case.large()])?;
    let two = oracle.check(&[case.large(), case.small()])?;
    above("the change by another order", gap(&one, &two), 0.1)?;
    oracle.check(&[case.small(), case.picture(50, 40, 7)]).map(|_| ())
}

/// Dropped rows leave everything else where it was.
fn dropping_equals_masking(case: &Case) -> Outcome {
    let vision = case.vision()?;
    for pictures in [&[case.small()][..], &[case.large()], &[case.large(), case.small()]] {
        let prompt = case.prompt(&vision, pictures)?;
        let kept = prompt.kept();
        let run = |kept: &[usize], dropped| prompt.read_new(vision.model(), &exact(), kept, dropped);
        let pruned = run(&kept, Dropped::Absent)?;
        below("dropping against masking", gap(&pruned, &run(&kept, Dropped::Hidden)?), 1e-4)?;
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
    if logits == by_hand { Ok(()) } else { Err("the crate does otherwise than its parts".to_owned()) }
}

fn exported(context: &mut Context, prompt: &Prompt, kept: &[usize]) -> Outcome<Vec<LayerMass>> {
    let visual: Vec<Position> = kept.iter().map(|&index| prompt.visual[index]).collect();
    context.watch_attention(0, &visual);
    prompt.read(context, kept, Dropped::Absent)?;
    Ok(context.take_attention(0))
}

/// Attention on visual tokens as exported and as `cb_eval` sees it, of full and of pruned prompts.
fn export_equals_softmax(case: &Case) -> Outcome {
    let vision = case.vision()?;
    for pictures in [&[case.small()][..], &[case.large(), case.small()]] {
        let prompt = case.prompt(&vision, pictures)?;
        for kept in [prompt.all(), prompt.kept()] {
            // Which entries are visual, in order of decoding.
            let is_visual = prompt.pieces.iter().flat_map(|piece| {
                let kept = &kept;
                piece.entries.iter().enumerate().filter_map(move |(number, _)| match piece.visual {
                    None => Some(false),
                    Some(first) => kept.binary_search(&(first + number)).is_ok().then_some(true),
                })
            });
            let is_visual: Vec<bool> = is_visual.collect();
            let question = 1 + is_visual.iter().rposition(|&is_visual| is_visual).ok_or("no picture")?;
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
fn quantized_caches(case: &Case) -> Outcome {
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
fn flash_attention(case: &Case) -> Outcome {
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
fn generation_continues(case: &Case) -> Outcome {
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
