//! What a live view measures.

use std::sync::{Arc, Mutex};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::State;
use crate::lock;

/// Counters of a view.
pub(super) struct Metrics {
    pub(super) changes: IntCounter,
    pub(super) bootstraps: IntCounter,
    from_memory: IntCounter,
    from_store: IntCounter,
}

impl Metrics {
    pub(super) fn new(registry: &Registry, state: &Arc<Mutex<State>>) -> Result<Self, prometheus::Error> {
        let reads = Opts::new("headcount_live_reads_total", "Counters and totals asked of the live view, by where they were found.");
        let reads = IntCounterVec::new(reads, &["found"])?;
        let metrics = Self {
            changes: IntCounter::new("headcount_live_changes_total", "Changes of counters taken, those read at a start included.")?,
            bootstraps: IntCounter::new("headcount_live_bootstraps_total", "Times the live view began anew from the store.")?,
            from_memory: reads.with_label_values(&["memory"]),
            from_store: reads.with_label_values(&["store"]),
        };
        registry.register(Box::new(reads))?;
        registry.register(Box::new(metrics.changes.clone()))?;
        registry.register(Box::new(metrics.bootstraps.clone()))?;
        let help = "1 while counts are answered from memory, 0 while every call goes to the store.";
        registry.register(Box::new(Freshness { gauge: IntGauge::new("headcount_live", help)?, state: Arc::clone(state) }))?;
        Ok(metrics)
    }

    pub(super) fn read(&self, from_memory: usize, from_store: usize) {
        self.from_memory.inc_by(from_memory as u64);
        self.from_store.inc_by(from_store as u64);
    }
}

/// Looked at when it is asked for: a view goes stale by itself.
struct Freshness {
    gauge: IntGauge,
    state: Arc<Mutex<State>>,
}

impl Collector for Freshness {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set(lock(&self.state).is_fresh().into());
        self.gauge.collect()
    }
}
