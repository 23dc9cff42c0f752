//! Many requests on one loaded pair of models: a bounded queue, workers, and tickets that cancel.
//!
//! ```text
//! submit ─► queue (FIFO, bounded) ─► worker: Pipeline::answer ─► events on the worker's thread
//!    └► Ticket: dropped, the job is stopped, queued or running
//! ```
//!
//! **Order of events.** [`JobEvent::Started`] when the job leaves the queue, then what the pipeline tells, and last exactly one
//! of [`JobEvent::Done`] and [`JobEvent::Failed`], whatever happens: also for jobs that are cancelled or that the engine's end
//! leaves over. A job that fails in the queue has no `Started`.
//!
//! **Threads.** `on_event` is called on a worker's thread, one call at a time, or, when a queued job is cancelled, on the thread
//! that dropped its ticket or closed the engine. It must not block: what it waits for, other requests may wait for. It may
//! submit and drop tickets; no lock is held while it runs.

mod facts;
mod job;
mod queue;
mod shared;
mod worker;

pub use facts::{ModelFacts, PairFacts};
pub use job::{Job, JobEvent, SubmitError, Ticket};

use self::shared::Shared;
use crate::llama::{Memory, Token};
use crate::pipeline::{Pipeline, PipelineError};
use crate::vlm::{MAX_PARALLEL, Processor, Role, VlmOptions};
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How many requests are taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// Requests that run at once (`-np`), at least 1 and at most [`MAX_PARALLEL`].
    pub n_parallel: usize,
    /// Requests that wait beside them.
    pub max_queued: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { n_parallel: 1, max_queued: 64 }
    }
}

/// What an engine is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct EngineStats {
    /// Jobs that run.
    pub running: usize,
    /// Jobs that wait.
    pub queued: usize,
    /// Bytes of encoder outputs that are kept, of both models.
    pub encoder_cache_bytes: usize,
    /// Pictures and tiles whose encoder output was still there, since the engine was loaded.
    pub encoder_cache_hits: u64,
    /// Pictures and tiles that had to be encoded or projected.
    pub encoder_cache_misses: u64,
    /// The guide's context.
    pub guide_memory: Memory,
    /// The target's context.
    pub target_memory: Memory,
}

/// A loaded pair that answers jobs. Shared by reference or [`Arc`]; dropping it cancels all jobs and waits for their end.
pub struct Engine {
    shared: Arc<Shared>,
    facts: PairFacts,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Loads the guide, if any, and the target. `progress` gets (role, loaded share).
    ///
    /// # Errors
    /// As [`Pipeline::load`], and [`PipelineError::Threads`].
    pub fn load(
        guide: Option<VlmOptions>,
        target: VlmOptions,
        options: EngineOptions,
        progress: impl Fn(Role, f32) + Clone + Send + 'static,
    ) -> Result<Self, PipelineError> {
        let processor = Processor::new().map_err(PipelineError::Threads)?;
        let mut pipeline = processor.run(|| Pipeline::load(guide, target, progress))?;
        let facts = PairFacts::of(&mut pipeline)?;
        let shared = Arc::new(Shared::new(options.max_queued));
        let n_parallel = options.n_parallel.clamp(1, MAX_PARALLEL);
        // Complete before its workers: where one cannot begin, dropping it ends the others.
        let mut engine = Self { facts, workers: Mutex::default(), shared };
        for pipeline in pipeline.share(n_parallel, &processor)? {
            let shared = engine.shared.clone();
            let worker = thread::Builder::new().spawn(move || worker::work(&shared, pipeline));
            let workers = engine.workers.get_mut().unwrap_or_else(PoisonError::into_inner);
            workers.push(worker.map_err(PipelineError::Threads)?);
        }
        Ok(engine)
    }

    /// Queues a job.
    ///
    /// # Errors
    /// [`SubmitError::Full`] when as many jobs wait as may, [`SubmitError::Closed`] after [`Engine::close`].
    pub fn submit(&self, job: Job) -> Result<Ticket, SubmitError> {
        let id = self.shared.submit(job)?;
        Ok(Ticket::new(id, self.shared.clone()))
    }

    /// What is going on.
    pub fn stats(&self) -> EngineStats {
        self.shared.stats()
    }

    /// What the models are.
    pub fn facts(&self) -> &PairFacts {
        &self.facts
    }

    /// Tokens of a text by a model's vocabulary; the names of special tokens stand for them if `parse_special`. `None` without
    /// such a model.
    pub fn tokenize(&self, role: Role, text: &str, parse_special: bool) -> Option<Vec<Token>> {
        let model = &self.facts.of_role(role)?.vocabulary;
        Some(if parse_special { model.tokenize_prompt(text) } else { model.tokenize(text) })
    }

    /// Bytes that tokens stand for in an answer: control tokens, and numbers that are no token, are empty. A character may be
    /// cut across tokens. `None` without such a model.
    pub fn detokenize(&self, role: Role, tokens: &[Token]) -> Option<Vec<u8>> {
        let model = &self.facts.of_role(role)?.vocabulary;
        let n_vocab = model.n_vocab();
        let exists = |token: &&Token| usize::try_from(**token).is_ok_and(|token| token < n_vocab);
        Some(tokens.iter().filter(exists).flat_map(|&token| model.piece(token)).collect())
    }

    /// Refuses new jobs, lets those that were accepted finish, and cancels what is left after `deadline`. Returns when all have
    /// ended and the models are free.
    pub fn close(&self, deadline: Duration) {
        self.shared.close(deadline);
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            // A worker that panicked has told so.
            let _ = worker.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests;
