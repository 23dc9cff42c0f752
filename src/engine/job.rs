//! What is submitted, what is heard of it, and the ticket that stops it.

use super::shared::{JobId, Shared};
use crate::pipeline::{Event, Outcome, PipelineError, Request};
use crate::timing::Phase;
use crate::vlm::Said;
use std::fmt;
use std::sync::Arc;

/// A request and who hears of it.
pub struct Job {
    /// What is asked.
    pub request: Request,
    /// Gets what happens; see the [module](super) for threads and order.
    pub on_event: Box<dyn FnMut(JobEvent) + Send>,
}

/// What happens to a job.
#[allow(missing_docs, reason = "the fields are what they are called")]
#[derive(Debug)]
pub enum JobEvent {
    /// It left the queue.
    Started,
    /// A phase begins.
    Phase(Phase),
    /// Work done so far in a phase: picture chunks while encoding, tokens in a prefill.
    Progress { phase: Phase, done: usize, all: usize },
    /// The next piece of the final answer, whichever model gives it.
    Said(Said),
    /// It was answered: the last event.
    Done(Box<Outcome>),
    /// It was not: the last event. [`PipelineError::is_cancelled`] tells whether it was stopped.
    Failed(PipelineError),
}

impl From<Event<'_>> for JobEvent {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Phase(phase) => Self::Phase(phase),
            Event::Progress { phase, done, all } => Self::Progress { phase, done, all },
            Event::Said(said) => Self::Said(said.clone()),
        }
    }
}

/// Why a job was not accepted.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// As many jobs wait as may.
    #[error("{queued} requests are waiting already; try again later")]
    Full { queued: usize },
    /// The engine was closed.
    #[error("no more requests are accepted")]
    Closed,
}

/// An accepted job. Dropping it cancels the job, at the latest when the batch is done that is being computed for it.
#[must_use = "dropping a ticket cancels its job"]
pub struct Ticket {
    id: JobId,
    shared: Option<Arc<Shared>>,
}

impl Ticket {
    pub(super) fn new(id: JobId, shared: Arc<Shared>) -> Self {
        Self { id, shared: Some(shared) }
    }

    /// Lets the job run to its end.
    pub fn detach(mut self) {
        self.shared = None;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.cancel(self.id);
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Ticket({})", self.id)
    }
}
