//! What happens while a request runs, and how long it takes.

use super::report::Encodings;
use crate::guidance::Kept;
use crate::timing::{Phase, Timings};
use crate::vlm::{Generation, GenerationOptions, Prepared, Said, Vlm, VlmError};
use std::cell::RefCell;

/// What happens while a request runs.
#[allow(missing_docs, reason = "the fields are what they are called")]
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A phase begins.
    Phase(Phase),
    /// Work done so far in a phase: picture chunks while encoding, tokens in a prefill.
    Progress { phase: Phase, done: usize, all: usize },
    /// The next piece of the final answer, with its tokens' probabilities where they were asked for.
    Said(&'a Said),
}

/// Times and events of the request in progress.
pub(super) struct Trace<'a> {
    pub timings: Timings,
    pub guide: Encodings,
    pub target: Encodings,
    pub on_event: &'a mut dyn FnMut(Event<'_>),
}

impl Trace<'_> {
    /// Encodes what the kept tokens need.
    pub fn encode(
        &mut self,
        vlm: &mut Vlm,
        prepared: &mut Prepared,
        kept: &Kept,
        phase: Phase,
    ) -> std::result::Result<(), VlmError> {
        if prepared.n_images() > 0 {
            (self.on_event)(Event::Phase(phase));
        }
        let counts = |prepared: &Prepared| [prepared.n_encoded, prepared.n_reused, prepared.n_projected];
        let before = counts(prepared);
        vlm.encode(prepared, kept, |done, all| (self.on_event)(Event::Progress { phase, done, all }))?;
        let role = if phase == Phase::GuideEncode { &mut self.guide } else { &mut self.target };
        let sums = [&mut role.encoded, &mut role.reused, &mut role.projected];
        for ((sum, after), before) in sums.into_iter().zip(counts(prepared)).zip(before) {
            *sum += after - before;
        }
        if let Some(ms) = prepared.encode_ms {
            self.timings.set(phase, ms);
        }
        Ok(())
    }

    /// The target's text is the final answer's and is passed on as it comes.
    pub fn answer(
        &mut self,
        vlm: &mut Vlm,
        prepared: &Prepared,
        kept: &Kept,
        options: &GenerationOptions,
        [prefill, decode]: [Phase; 2],
    ) -> std::result::Result<Generation, VlmError> {
        (self.on_event)(Event::Phase(prefill));
        let on_event = RefCell::new(&mut self.on_event);
        let mut on_read = |done, all| {
            let on_event = &mut *on_event.borrow_mut();
            on_event(Event::Progress { phase: prefill, done, all });
            if done == all {
                on_event(Event::Phase(decode));
            }
        };
        let mut on_said = |said: Said| {
            if decode == Phase::TargetDecode {
                (on_event.borrow_mut())(Event::Said(&said));
            }
        };
        let generation = vlm.answer(prepared, kept, options, &mut on_read, &mut on_said)?;
        self.timings.set(prefill, generation.prefill_ms);
        self.timings.set(decode, generation.decode_ms);
        Ok(generation)
    }
}
