//! A worker: takes one job after the other from the queue and runs it.

use super::shared::Shared;
use super::{EngineStats, Job, JobEvent};
use crate::pipeline::{Outcome, Pipeline, PipelineError};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs jobs until the engine is closed and none is left.
pub(super) fn work(shared: &Shared, mut pipeline: Pipeline) {
    let stop = pipeline.cancel_flag();
    while let Some((id, Job { request, mut on_event })) = shared.next(&stop) {
        on_event(JobEvent::Started);
        let answer = || pipeline.answer(&request, &mut |event| on_event(event.into()));
        // A bug costs its own request an answer, and no other.
        let result = catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|panic| {
            pipeline.forget();
            Err(PipelineError::Bug { message: message(&*panic) })
        });
        shared.end(id, |stats| note(stats, &mut pipeline, result.as_ref().ok()));
        on_event(result.map_or_else(JobEvent::Failed, |outcome| JobEvent::Done(Box::new(outcome))));
    }
}

fn note(stats: &mut EngineStats, pipeline: &mut Pipeline, outcome: Option<&Outcome>) {
    if let Some(visual) = outcome.map(|outcome| &outcome.report.visual) {
        stats.encoder_cache_hits += visual.reused as u64;
        stats.encoder_cache_misses += (visual.encoded + visual.projected) as u64;
    }
    stats.encoder_cache_bytes = pipeline.target_mut().encoder_cache_bytes();
    stats.target_memory = pipeline.target_mut().memory();
    if let Some(guide) = pipeline.guide_mut() {
        stats.encoder_cache_bytes += guide.encoder_cache_bytes();
        stats.guide_memory = guide.memory();
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
