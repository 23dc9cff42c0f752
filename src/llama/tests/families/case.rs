//! One family's pair, prompts for it, and reading them by hand.

use super::super::harness::{Input, QUESTION, add, gpu_layers};
use super::{Outcome, text};
use crate::chat::{ChatTemplate, Message};
use crate::fixtures::{self, Family, FixturePair, Shape, VisionShape};
use crate::gguf::WeightType;
use crate::llama::{
    Batch, CacheType, Chunk, Chunks, Context, ContextOptions, FlashAttention, Model, ModelOptions, Position, Vision,
    VisionOptions,
};
use crate::media::Picture;
use crate::vlm::{Role, Vlm, VlmOptions};
use std::sync::Arc;

pub struct Case {
    pub family: Family,
    pub pair: FixturePair,
    _dir: tempfile::TempDir,
}

/// A prompt as it is decoded: text and pictures in turn.
pub struct Prompt {
    pub pieces: Vec<Piece>,
    /// Position of each visual token.
    pub visual: Vec<Position>,
    pub end: i32,
}

pub struct Piece {
    pub entries: Vec<(Input, Position)>,
    /// Number of the visual token of each entry; none in text and in structural rows.
    pub visual: Vec<Option<usize>>,
    pub is_picture: bool,
    pub non_causal: bool,
}

/// What becomes of visual tokens that are not kept.
#[derive(Clone, Copy, PartialEq)]
pub enum Dropped {
    /// They are not decoded.
    Absent,
    /// They are decoded as another sequence in the same cache, which the mask hides.
    Hidden,
}

/// Small physical batches would split pictures that must not be split.
pub fn options() -> ContextOptions {
    ContextOptions {
        n_ctx: 2048,
        n_threads: Some(1),
        flash_attention: FlashAttention::Off,
        ..ContextOptions::default()
    }
}

pub fn exact() -> ContextOptions {
    ContextOptions { cache_k: CacheType::F32, cache_v: CacheType::F32, ..options() }
}

impl Case {
    pub fn new(family: Family) -> Self {
        Self::with(family, WeightType::F32)
    }

    pub fn with(family: Family, kind: WeightType) -> Self {
        Self::of(family, &family.tiny(), kind)
    }

    /// A pair whose encoder shows where something is in the picture.
    pub fn local(family: Family) -> Self {
        let shape = family.tiny();
        let vision = VisionShape { local: true, ..shape.vision };
        Self::of(family, &Shape { vision, ..shape }, WeightType::F32)
    }

    fn of(family: Family, shape: &Shape, kind: WeightType) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pair = fixtures::write(family, shape, 3, kind, dir.path()).unwrap();
        Self { family, pair, _dir: dir }
    }

    /// Blocks of random colours.
    pub fn picture(&self, width: u32, height: u32, seed: u64) -> Picture {
        let mut random = fastrand::Rng::with_seed(seed);
        let colours: Vec<[u8; 3]> = std::iter::repeat_with(|| [0; 3].map(|_| random.u8(..))).take(997).collect();
        let colour = |x: u32, y: u32| colours[(y / 9 * 100 + x / 11) as usize % colours.len()];
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| colour(x, y))).collect();
        Picture::from_rgb(width, height, rgb).unwrap()
    }

    pub fn small(&self) -> Picture {
        self.picture(50, 40, 1)
    }

    /// One that is cut into tiles, if the family does that.
    pub fn large(&self) -> Picture {
        // LFM2's tiles have 512 pixels, whatever the file says.
        let (width, height) = if self.family == Family::Lfm2Vl { (1100, 500) } else { (320, 200) };
        self.picture(width, height, 2)
    }

    pub fn vlm(&self, role: Role, options: &ContextOptions) -> Outcome<Vlm> {
        let options = VlmOptions {
            model: self.pair.model.clone(),
            mmproj: self.pair.mmproj.clone(),
            n_gpu_layers: Some(gpu_layers()),
            n_ctx: Some(options.n_ctx),
            context: options.clone(),
            ..VlmOptions::default()
        };
        Vlm::load(role, options, |_| {}).map_err(text)
    }

    pub fn vision(&self) -> Outcome<Vision> {
        self.vision_with(FlashAttention::Off)
    }

    pub fn vision_with(&self, flash_attention: FlashAttention) -> Outcome<Vision> {
        let options = ModelOptions { n_gpu_layers: Some(gpu_layers()), ..ModelOptions::default() };
        let model = Model::load(&self.pair.model, options).map_err(text)?;
        let cpu_only = gpu_layers() == 0;
        let options = VisionOptions { n_threads: Some(1), cpu_only, flash_attention, ..VisionOptions::default() };
        Vision::load(&self.pair.mmproj, &model, &options).map_err(text)
    }

    pub fn chunks(&self, vision: &Vision, pictures: &[Picture]) -> Outcome<Chunks> {
        let (bos, eos) = vision.model().bos_eos();
        let template = vision.model().chat_template().ok_or("no template")?;
        let template = ChatTemplate::new(&template, &bos, &eos).map_err(text)?;
        let messages = [Message::user_with_pictures(pictures.len(), QUESTION)];
        let parts = template.render(&messages, true).map_err(text)?;
        vision.tokenize(&parts, pictures, !template.starts_with_bos(&parts)).map_err(text)
    }

    pub fn prompt(&self, vision: &Vision, pictures: &[Picture]) -> Outcome<Prompt> {
        let mut prompt = Prompt { pieces: Vec::new(), visual: Vec::new(), end: 0 };
        for chunk in self.chunks(vision, pictures)?.iter(vision).map_err(text)? {
            match chunk {
                Chunk::Text(tokens) => {
                    let entry = |(&token, t)| (Input::Token(token), Position::sequential(t));
                    let entries = tokens.iter().zip(prompt.end..).map(entry).collect();
                    let visual = vec![None; tokens.len()];
                    prompt.pieces.push(Piece { entries, visual, is_picture: false, non_causal: false });
                    prompt.end += tokens.len() as i32;
                }
                Chunk::Image(image) => {
                    let embeddings = vision.encode(&image).map_err(text)?;
                    let positions = image.positions(prompt.end);
                    let row = |index| Input::Row(embeddings.row(index).unwrap().to_vec());
                    let entries = positions.iter().enumerate().map(|(index, &place)| (row(index), place)).collect();
                    let places = image.places(&pictures[image.picture()]);
                    let mut number = |(place, position): (&Option<_>, &Position)| {
                        place.as_ref().map(|_| {
                            prompt.visual.push(*position);
                            prompt.visual.len() - 1
                        })
                    };
                    let visual = places.iter().zip(&positions).map(&mut number).collect();
                    let non_causal = image.is_non_causal();
                    prompt.pieces.push(Piece { entries, visual, is_picture: true, non_causal });
                    prompt.end += image.n_positions();
                }
            }
        }
        Ok(prompt)
    }
}

impl Prompt {
    /// Visual tokens that stay: some of all places, and a run of neighbours.
    pub fn kept(&self) -> Vec<usize> {
        let n_visual = self.visual.len();
        (0..n_visual).filter(|index| index % 5 == 2 || (n_visual / 3..n_visual / 2).contains(index)).collect()
    }

    pub fn all(&self) -> Vec<usize> {
        (0..self.visual.len()).collect()
    }

    /// The first piece after the last picture.
    pub fn question(&self) -> usize {
        self.pieces.iter().rposition(|piece| piece.is_picture).map_or(0, |last| last + 1)
    }

    pub fn move_question(&mut self) {
        let question = self.question();
        let entries = self.pieces[question..].iter_mut().flat_map(|piece| &mut piece.entries);
        entries.for_each(|(_, position)| position.t += 1);
    }

    /// Reads the prompt piece by piece; the question's tokens are queries. Logits of its last token.
    pub fn read(&self, context: &mut Context, kept: &[usize], dropped: Dropped) -> Outcome<Vec<f32>> {
        let mut logits = Vec::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            let mut batch = Batch::new(context);
            batch.allow_position_gaps();
            let query_from = if index >= self.question() { 0 } else { usize::MAX };
            let mut last = None;
            for (entry, visual) in piece.entries.iter().zip(&piece.visual) {
                let is_kept = visual.is_none_or(|visual| kept.binary_search(&visual).is_ok());
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

    pub fn read_new(
        &self,
        model: &Arc<Model>,
        options: &ContextOptions,
        kept: &[usize],
        dropped: Dropped,
    ) -> Outcome<Vec<f32>> {
        self.read(&mut context_for(model, options, dropped)?, kept, dropped)
    }
}

pub fn context_for(model: &Arc<Model>, options: &ContextOptions, dropped: Dropped) -> Outcome<Context> {
    let options = match dropped {
        Dropped::Absent => options.clone(),
        Dropped::Hidden => ContextOptions { n_seq_max: 2, kv_unified: true, ..options.clone() },
    };
    Context::new(model, &options).map_err(text)
}
