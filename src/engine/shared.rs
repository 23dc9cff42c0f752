//! What the engine, its workers and the tickets share.

use super::queue::Queue;
use super::{EngineStats, Job, JobEvent, SubmitError};
use crate::llama::LlamaError;
use crate::pipeline::PipelineError;
use crate::vlm::{Role, VlmError};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(super) type JobId = u64;

/// Jobs that wait and jobs that run.
pub(super) struct Shared {
    state: Mutex<State>,
    /// A job came, or none will.
    work: Condvar,
    /// A job ended.
    ended: Condvar,
}

struct State {
    queue: Queue<Job>,
    /// What stops each job that runs.
    running: HashMap<JobId, Arc<AtomicBool>>,
    /// Workers that wait for a job.
    n_idle: usize,
    closed: bool,
    stats: EngineStats,
}

impl Shared {
    pub fn new(max_queued: usize) -> Self {
        let state = State {
            queue: Queue::new(max_queued),
            running: HashMap::new(),
            n_idle: 0,
            closed: false,
            stats: EngineStats::default(),
        };
        Self { state: Mutex::new(state), work: Condvar::new(), ended: Condvar::new() }
    }

    pub fn submit(&self, job: Job) -> Result<JobId, SubmitError> {
        let mut state = self.state();
        if state.closed {
            return Err(SubmitError::Closed);
        }
        if state.queue.is_full(state.n_idle) {
            return Err(SubmitError::Full { queued: state.queue.len() });
        }
        let id = state.queue.push(job);
        self.work.notify_one();
        Ok(id)
    }

    /// The next job for a worker that `stop` stops; waits for one. `None`: the engine is closed and nothing is left.
    pub fn next(&self, stop: &Arc<AtomicBool>) -> Option<(JobId, Job)> {
        let mut state = self.state();
        loop {
            if let Some((id, job)) = state.queue.take() {
                stop.store(false, Ordering::Relaxed);
                state.running.insert(id, stop.clone());
                return Some((id, job));
            }
            if state.closed {
                return None;
            }
            state.n_idle += 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.n_idle -= 1;
        }
    }

    /// Notes that a job has ended.
    pub fn end(&self, id: JobId, update: impl FnOnce(&mut EngineStats)) {
        let mut state = self.state();
        state.running.remove(&id);
        update(&mut state.stats);
        self.ended.notify_all();
    }

    /// Stops a job, wherever it is.
    pub fn cancel(&self, id: JobId) {
        let mut state = self.state();
        if let Some(stop) = state.running.get(&id) {
            stop.store(true, Ordering::Relaxed);
        }
        let queued = state.queue.remove(id);
        self.ended.notify_all();
        drop(state);
        queued.into_iter().for_each(fail);
    }

    /// Accepts nothing more, and leaves nothing over after `deadline`.
    pub fn close(&self, deadline: Duration) {
        let start = Instant::now();
        let mut state = self.state();
        state.closed = true;
        self.work.notify_all();
        while !(state.running.is_empty() && state.queue.len() == 0) {
            let Some(rest) = deadline.checked_sub(start.elapsed()).filter(|rest| !rest.is_zero()) else { break };
            state = self.ended.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        let left = std::iter::from_fn(|| state.queue.take()).map(|(_, job)| job).collect::<Vec<_>>();
        state.running.values().for_each(|stop| stop.store(true, Ordering::Relaxed));
        drop(state);
        left.into_iter().for_each(fail);
    }

    pub fn stats(&self) -> EngineStats {
        let state = self.state();
        EngineStats { running: state.running.len(), queued: state.queue.len(), ..state.stats }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a job that was stopped before it ran.
fn fail(mut job: Job) {
    let source = VlmError::Llama(LlamaError::Cancelled);
    (job.on_event)(JobEvent::Failed(PipelineError::Vlm { role: Role::Target, source }));
}
