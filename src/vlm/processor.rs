//! The processor, for all that computes on it.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::io;
use std::sync::Arc;

/// The one thread that computes on the processor; who waits longest is next.
///
/// The threads that help llama.cpp belong to the thread that calls it. Where several call, there are more of them than cores, also
/// when they take turns, and OpenMP then puts all of them to sleep at the end of every operation: a step of decoding took six times as
/// long on a small model.
#[derive(Clone)]
pub(crate) struct Processor(Arc<ThreadPool>);

impl Processor {
    /// # Errors
    /// The system has no thread left.
    pub fn new() -> io::Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "processor".to_owned()).build();
        Ok(Self(pool.map_err(io::Error::other)?.into()))
    }

    /// Waits for the result of a computation, and for those before it.
    pub fn run<T: Send>(&self, compute: impl FnOnce() -> T + Send) -> T {
        self.0.install(compute)
    }
}

/// On the processor, or where it stands.
pub(super) fn run_on<T: Send>(processor: Option<&Processor>, compute: impl FnOnce() -> T + Send) -> T {
    match processor {
        Some(processor) => processor.run(compute),
        None => compute(),
    }
}
