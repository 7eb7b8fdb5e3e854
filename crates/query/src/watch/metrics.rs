//! What watching measures.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tokio::sync::OwnedSemaphorePermit;

use super::told::News;

/// Who watches, and what they are told; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    watchers: IntGauge,
    counts: IntCounter,
    revised: IntCounter,
    stalled: IntCounter,
    removed: IntCounter,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let watchers = IntGauge::new("headcount_watchers", "Clients that watch counts live.")?;
        let told = Opts::new("headcount_watch_events_total", "Events told to clients that watch counts live, by kind.");
        let told = IntCounterVec::new(told, &["event"])?;
        registry.register(Box::new(watchers.clone()))?;
        registry.register(Box::new(told.clone()))?;
        let [counts, revised, stalled, removed] = ["count", "revised", "stalled", "removed"].map(|event| told.with_label_values(&[event]));
        Ok(Self { watchers, counts, revised, stalled, removed })
    }
}

/// One who watches: counted, and holding its place, until this is dropped.
pub(super) struct Present {
    metrics: Metrics,
    _place: OwnedSemaphorePermit,
}

impl Present {
    pub(super) fn new(metrics: Metrics, place: OwnedSemaphorePermit) -> Self {
        metrics.watchers.inc();
        Self { metrics, _place: place }
    }

    pub(super) fn tells(&self, news: &News) {
        let counter = match news {
            News::Count(_) => &self.metrics.counts,
            News::Revised { .. } => &self.metrics.revised,
            News::Stalled { .. } => &self.metrics.stalled,
            News::Removed { .. } => &self.metrics.removed,
        };
        counter.inc();
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.metrics.watchers.dec();
    }
}
