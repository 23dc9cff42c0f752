//! What `/metrics` tells, in the text format of OpenMetrics.
//!
//! prometheus-client has typed metrics in a registry of its own, where a global recorder would make two servers in one process
//! (tests have them) count into each other.

use super::usage::first_token_ms;
use crate::engine::EngineStats;
use crate::pipeline::{Report, Source};
use crate::timing::Phase;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct By {
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct In {
    phase: &'static str,
}

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    answers: Family<By, Counter>,
    exits: Counter,
    cancelled: Counter,
    prompt_tokens: Counter,
    cached_tokens: Counter,
    generated_tokens: Counter,
    pictures: Counter,
    visual_tokens: Counter,
    visual_tokens_kept: Counter,
    phases: Family<In, Histogram>,
    first_token: Histogram,
    total: Histogram,
    running: Gauge,
    queued: Gauge,
    cache_bytes: Gauge,
    cache_hits: Gauge,
    cache_misses: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("sgl"),
            requests: Family::default(),
            answers: Family::default(),
            exits: Counter::default(),
            cancelled: Counter::default(),
            prompt_tokens: Counter::default(),
            cached_tokens: Counter::default(),
            generated_tokens: Counter::default(),
            pictures: Counter::default(),
            visual_tokens: Counter::default(),
            visual_tokens_kept: Counter::default(),
            phases: Family::new_with_constructor(seconds),
            first_token: seconds(),
            total: seconds(),
            running: Gauge::default(),
            queued: Gauge::default(),
            cache_bytes: Gauge::default(),
            cache_hits: Gauge::default(),
            cache_misses: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Requests by route and status", self.requests.clone());
        registry.register("answers", "Answers by the model that gave them", self.answers.clone());
        registry.register("early_exits", "Answers of the guide that were final", self.exits.clone());
        registry.register("cancelled", "Requests whose client went away, or that were stopped", self.cancelled.clone());
        registry.register("prompt_tokens", "Tokens that answering models read", self.prompt_tokens.clone());
        registry.register("cached_tokens", "Of those, tokens still in the KV cache", self.cached_tokens.clone());
        registry.register("generated_tokens", "Tokens of answers", self.generated_tokens.clone());
        registry.register("pictures", "Pictures of answered requests", self.pictures.clone());
        registry.register("visual_tokens", "Visual tokens of prompts", self.visual_tokens.clone());
        registry.register("visual_tokens_kept", "Visual tokens that were read", self.visual_tokens_kept.clone());
        registry.register_with_unit("phase", "Time by phase", Unit::Seconds, self.phases.clone());
        let first = "Time until the answer began, queue apart";
        registry.register_with_unit("time_to_first_token", first, Unit::Seconds, self.first_token.clone());
        registry.register_with_unit("request", "Time of requests, queue apart", Unit::Seconds, self.total.clone());
        registry.register("requests_running", "Requests that the models work on", self.running.clone());
        registry.register("requests_queued", "Requests that wait for the models", self.queued.clone());
        registry.register_with_unit("encoder_cache", "Encoder outputs kept", Unit::Bytes, self.cache_bytes.clone());
        registry.register("encoder_cache_hits", "Encoder outputs still there", self.cache_hits.clone());
        registry.register("encoder_cache_misses", "Encoder outputs computed", self.cache_misses.clone());
    }

    /// A request was answered, well or not.
    pub fn request(&self, route: impl Into<String>, status: u16) {
        self.requests.get_or_create(&Answered { route: route.into(), status }).inc();
    }

    /// A request was stopped.
    pub fn cancelled(&self) {
        self.cancelled.inc();
    }

    /// The models answered.
    pub fn answer(&self, report: &Report) {
        let source = match report.source {
            Source::Guide => "guide",
            Source::Target => "target",
        };
        self.answers.get_or_create(&By { source }).inc();
        if report.source == Source::Guide {
            self.exits.inc();
        }
        for (counter, n) in [
            (&self.prompt_tokens, report.prompt_tokens),
            (&self.cached_tokens, report.held_tokens),
            (&self.generated_tokens, report.generated_tokens),
            (&self.pictures, report.visual.pictures.len()),
            (&self.visual_tokens, report.visual.tokens),
            (&self.visual_tokens_kept, report.visual.kept),
        ] {
            counter.inc_by(n as u64);
        }
        for phase in Phase::ALL {
            if let Some(ms) = report.timings_ms.get(phase) {
                self.phases.get_or_create(&In { phase: phase.name() }).observe(ms / 1e3);
            }
        }
        self.first_token.observe(first_token_ms(report) / 1e3);
        self.total.observe(report.timings_ms.total / 1e3);
    }

    /// All of it, as text.
    pub fn text(&self, stats: Option<EngineStats>) -> String {
        let stats = stats.unwrap_or_default();
        self.running.set(stats.running as i64);
        self.queued.set(stats.queued as i64);
        self.cache_bytes.set(stats.encoder_cache_bytes as i64);
        self.cache_hits.set(stats.encoder_cache_hits as i64);
        self.cache_misses.set(stats.encoder_cache_misses as i64);
        encode(&self.registry)
    }
}

/// A registry as text.
pub fn encode(registry: &Registry) -> String {
    let mut text = String::new();
    text::encode(&mut text, registry).expect("a string takes all text");
    text
}

/// From a millisecond to two minutes.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 18))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told() {
        let metrics = Metrics::default();
        metrics.request("/v1/chat/completions", 200);
        metrics.request("/v1/chat/completions", 200);
        metrics.cancelled();
        let text = metrics.text(Some(EngineStats { running: 1, queued: 2, ..EngineStats::default() }));
        for line in [
            "sgl_requests_total{route=\"/v1/chat/completions\",status=\"200\"} 2",
            "sgl_cancelled_total 1",
            "sgl_requests_running 1",
            "sgl_requests_queued 2",
            "# TYPE sgl_time_to_first_token_seconds histogram",
            "# EOF",
        ] {
            assert!(text.lines().any(|told| told == line), "no {line} in\n{text}");
        }
    }
}
