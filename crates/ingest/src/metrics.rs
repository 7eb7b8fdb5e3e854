//! What ingest measures.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Counters and histograms of all lanes of a process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) accepted: IntCounter,
    pub(crate) duplicate: IntCounter,
    pub(crate) quarantined: IntCounterVec,
    pub(crate) ignored_heartbeats: IntCounterVec,
    pub(crate) commits: IntCounter,
    pub(crate) commit_seconds: Histogram,
    pub(crate) batch_crossings: Histogram,
    pub(crate) retries: IntCounter,
    pub(crate) feed_retries: IntCounter,
    pub(crate) queued_items: IntGauge,
}

impl Metrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// A metric of the same name is registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let crossings =
            Opts::new("headcount_crossings_total", "Crossings made durable: new to their ledger (accepted) or there already (duplicate).");
        let crossings = IntCounterVec::new(crossings, &["outcome"])?;
        let quarantined = Opts::new("headcount_quarantined_total", "Crossings and whole reports kept out of the ledgers, by reason.");
        let heartbeats = Opts::new("headcount_heartbeats_ignored_total", "Heartbeats left out because of the DPU's clock, by reason.");
        let commit_seconds =
            HistogramOpts::new("headcount_commit_seconds", "How long a durable commit took, retries included, in seconds.")
                .buckets(prometheus::exponential_buckets(0.0005, 2.0, 15)?);
        let batch_crossings = HistogramOpts::new("headcount_batch_crossings", "Crossings in one commit.")
            .buckets(prometheus::exponential_buckets(1.0, 4.0, 10)?);
        let metrics = Self {
            accepted: crossings.with_label_values(&["accepted"]),
            duplicate: crossings.with_label_values(&["duplicate"]),
            quarantined: IntCounterVec::new(quarantined, &["reason"])?,
            ignored_heartbeats: IntCounterVec::new(heartbeats, &["reason"])?,
            commits: IntCounter::new("headcount_commits_total", "Durable commits.")?,
            commit_seconds: Histogram::with_opts(commit_seconds)?,
            batch_crossings: Histogram::with_opts(batch_crossings)?,
            retries: IntCounter::new(
                "headcount_store_retries_total",
                "Attempts on the store that were repeated because it was unavailable.",
            )?,
            feed_retries: IntCounter::new(
                "headcount_feed_retries_total",
                "Attempts to publish changed counters that were repeated because the feed was unavailable.",
            )?,
            queued_items: IntGauge::new("headcount_lane_queue_items", "Records that wait in the queues of the lanes.")?,
        };
        registry.register(Box::new(crossings))?;
        registry.register(Box::new(metrics.quarantined.clone()))?;
        registry.register(Box::new(metrics.ignored_heartbeats.clone()))?;
        registry.register(Box::new(metrics.commits.clone()))?;
        registry.register(Box::new(metrics.commit_seconds.clone()))?;
        registry.register(Box::new(metrics.batch_crossings.clone()))?;
        registry.register(Box::new(metrics.retries.clone()))?;
        registry.register(Box::new(metrics.feed_retries.clone()))?;
        registry.register(Box::new(metrics.queued_items.clone()))?;
        Ok(metrics)
    }

    /// How many crossings were made durable since the start, new ones and duplicates.
    #[must_use]
    pub fn crossings(&self) -> u64 {
        self.accepted.get() + self.duplicate.get()
    }

    /// How many records wait in the queues of the lanes.
    #[must_use]
    pub fn queued(&self) -> u64 {
        u64::try_from(self.queued_items.get()).unwrap_or(0)
    }

    /// Counts what an admission left out without a quarantine row.
    pub fn admitted(&self, admission: &crate::Admission) {
        if let Some(reason) = admission.ignored_heartbeat {
            self.ignored_heartbeats.with_label_values(&[reason.name()]).inc();
        }
    }
}
