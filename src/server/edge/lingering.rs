//! Bodies that are answered before they have come.
//!
//! A connection that is closed with bytes unread is reset, and the client that is still sending loses the answer that tells it
//! why. So what is left of a body is read and thrown away for a while.

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Longest time for a body that nobody wants.
const LINGER: Duration = Duration::from_secs(3);

/// A body that is read to its end even when it is dropped before.
pub(super) struct Lingering {
    body: Body,
}

impl Lingering {
    pub fn new(body: Body) -> Self {
        Self { body }
    }
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            return;
        }
        let body = std::mem::take(&mut self.body);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(LINGER, drained(body)));
        }
    }
}

async fn drained(mut body: Body) {
    while body.frame().await.is_some_and(|frame| frame.is_ok()) {}
}
