//! An answer piece by piece, as server-sent events.

use super::chat::{Asked, explain, told, too_late};
use crate::engine::JobEvent;
use crate::server::app::{App, Running};
use crate::server::error::ApiError;
use crate::server::response::PromptProgress;
use crate::timing::ms_since;
use crate::vlm::Said;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::convert::Infallible;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;

/// Events that a slow reader may be behind; more wait beside the job.
const BACKLOG: usize = 16;

/// Streams an answer. What goes wrong before the first token still has a status of its own, unless that takes so long that the
/// client would think it was forgotten.
///
/// # Errors
/// As the whole answer.
pub async fn respond(app: App, asked: Asked, mut running: Running) -> Result<Response, ApiError> {
    let ping = app.options().ping_interval;
    let deadline = Instant::from_std(asked.start + app.options().limits.timeout);
    let patience = deadline.min(Instant::now() + ping);
    let mut before = Vec::new();
    loop {
        match timeout_at(patience, running.next()).await {
            Err(_) if Instant::now() >= deadline => return Err(too_late(&app)),
            Err(_) | Ok(None) => break,
            Ok(Some(JobEvent::Failed(error))) => return Err(told(&error)),
            Ok(Some(event)) => {
                let begins = match &event {
                    JobEvent::Said(_) | JobEvent::Done(_) => true,
                    JobEvent::Progress { .. } => asked.return_progress,
                    _ => false,
                };
                before.push(event);
                if begins {
                    break;
                }
            }
        }
    }
    let (sender, receiver) = channel(BACKLOG);
    let stream = Stream { app, asked, sender, deadline };
    tokio::spawn(stream.send_all(before, running));
    let keep_alive = KeepAlive::new().interval(ping).text("still working");
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(keep_alive).into_response())
}

struct Stream {
    app: App,
    asked: Asked,
    sender: Sender<Result<Event, Infallible>>,
    deadline: Instant,
}

/// The client has gone.
struct Gone;

impl Stream {
    /// Until the job ends, the client leaves or the time is over; what was asked of the models is dropped with `running`.
    async fn send_all(self, before: Vec<JobEvent>, mut running: Running) {
        if self.send(&self.asked.chunks.role()).await.is_err() {
            return;
        }
        let mut before = before.into_iter();
        loop {
            let next = async {
                match before.next() {
                    Some(event) => Some(event),
                    None => running.next().await,
                }
            };
            let event = tokio::select! {
                biased;
                () = self.sender.closed() => return,
                event = timeout_at(self.deadline, next) => event,
            };
            let sent = match event {
                Ok(Some(JobEvent::Done(outcome))) => return self.finish(*outcome).await,
                Ok(Some(JobEvent::Failed(error))) => return self.fail(&told(&error)).await,
                Ok(Some(event)) => self.step(event).await,
                Ok(None) => return self.fail(&ApiError::internal()).await,
                Err(_) => return self.fail(&too_late(&self.app)).await,
            };
            if sent.is_err() {
                return;
            }
        }
    }

    async fn step(&self, event: JobEvent) -> Result<(), Gone> {
        let Asked { chunks, return_progress, logprobs, start, .. } = &self.asked;
        match event {
            JobEvent::Said(Said { text, tokens }) => self.send(&chunks.text(text, logprobs.then_some(tokens))).await,
            JobEvent::Progress { phase, done, all } if *return_progress => {
                let time_ms = ms_since(*start);
                self.send(&chunks.progress(PromptProgress { total: all, cache: 0, processed: done, time_ms, phase }))
                    .await
            }
            _ => Ok(()),
        }
    }

    async fn finish(mut self, outcome: crate::pipeline::Outcome) {
        self.app.metrics().answer(&outcome.report);
        let explained = explain(self.asked.explainer.take(), outcome).await;
        let (outcome, explained) = match explained {
            Ok(explained) => explained,
            Err(error) => return self.fail(&error).await,
        };
        let chunks = &self.asked.chunks;
        let last = [Some(chunks.end(&outcome.report, explained)), chunks.usage(&outcome.report)];
        for chunk in last.iter().flatten() {
            if self.send(chunk).await.is_err() {
                return;
            }
        }
        self.pass(Event::default().data("[DONE]")).await.ok();
    }

    /// Clients raise an event that holds an error.
    async fn fail(&self, error: &ApiError) {
        // A client that has gone hears nothing.
        self.send(&error.body()).await.ok();
    }

    async fn send(&self, data: &impl Serialize) -> Result<(), Gone> {
        let event = Event::default().json_data(data).map_err(|_| Gone)?;
        self.pass(event).await
    }

    /// Who is behind when the time is over is taken for gone: a request holds its place while its pictures are to be explained.
    async fn pass(&self, event: Event) -> Result<(), Gone> {
        let sent = timeout_at(self.deadline, self.sender.send(Ok(event))).await;
        if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Gone) }
    }
}
