//! The target's answers to one prepared prompt; the same kept set is answered once.

use super::{Asked, in_target};
use crate::eval::contender::Contender;
use crate::eval::record::Run;
use crate::guidance::Kept;
use crate::pipeline::PipelineError;
use crate::vlm::{GenerationOptions, Prepared, Role, Vlm};
use std::collections::HashMap;

pub(super) struct Answers<'a> {
    target: &'a mut Vlm,
    asked: &'a Asked<'a>,
    prepared: &'a Prepared,
    encode_ms: f64,
    options: GenerationOptions,
    known: HashMap<Vec<usize>, Run>,
}

impl<'a> Answers<'a> {
    pub fn new(
        target: &'a mut Vlm,
        asked: &'a Asked<'a>,
        prepared: &'a Prepared,
        encode_ms: f64,
        options: GenerationOptions,
    ) -> Self {
        Self { target, asked, prepared, encode_ms, options, known: HashMap::new() }
    }

    /// The answer of a target that reads the kept tokens, nobody's yet.
    pub fn of(&mut self, kept: &Kept) -> Result<Run, PipelineError> {
        if let Some(run) = self.known.get(kept.indices()) {
            return Ok(run.clone());
        }
        let answer =
            self.target.answer(self.prepared, kept, &self.options, &mut |_, _| {}, &mut |_| {}).map_err(in_target)?;
        let needed = self.prepared.prompt.needed(kept);
        let tiles = needed.iter().filter(|&&needed| needed).count();
        let run = Run {
            policy: String::new(),
            retain: 0.0,
            draw: 0,
            kept: kept.len(),
            score: (self.asked.score)(Role::Target, &answer.text, self.prepared.prompt.places()),
            answer: answer.text,
            select_ms: 0.0,
            tiles,
            encode_ms: self.encode_ms * tiles as f64 / needed.len().max(1) as f64,
            prefill_ms: answer.prefill_ms,
            decode_ms: answer.decode_ms,
        };
        self.known.insert(kept.indices().to_vec(), run.clone());
        Ok(run)
    }
}

impl Run {
    pub(super) fn by(self, contender: Contender, retain: f64, draw: u32) -> Self {
        Self { policy: contender.to_string(), retain, draw, ..self }
    }
}
