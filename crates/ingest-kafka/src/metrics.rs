//! What the consumer measures.

use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts, Registry};

/// Counters and gauges of a process's consumer; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// What its lanes measure.
    pub(crate) lanes: ingest::Metrics,
    pub(crate) records: IntCounter,
    pub(crate) foreign: IntCounter,
    pub(crate) pauses: IntCounter,
    pub(crate) rebalances: IntCounter,
    pub(crate) failed_offset_commits: IntCounter,
    pub(crate) assigned_partitions: IntGauge,
    pub(crate) lag_records: IntGauge,
    /// By partition; only those this process consumes.
    pub(crate) partition_lag_records: IntGaugeVec,
}

impl Metrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// A metric of the same name is registered already.
    pub fn new(registry: &Registry, lanes: ingest::Metrics) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            lanes,
            records: IntCounter::new("headcount_kafka_records_total", "Records consumed.")?,
            foreign: IntCounter::new(
                "headcount_kafka_foreign_records_total",
                "Records found away from home and produced again to their home partition.",
            )?,
            pauses: IntCounter::new("headcount_kafka_pauses_total", "Times a partition was paused because its lane was full.")?,
            rebalances: IntCounter::new("headcount_kafka_rebalances_total", "Times partitions were assigned or taken away.")?,
            failed_offset_commits: IntCounter::new(
                "headcount_kafka_failed_offset_commits_total",
                "Offset commits that failed; harmless, as records are delivered again.",
            )?,
            assigned_partitions: IntGauge::new("headcount_kafka_assigned_partitions", "Partitions this process consumes.")?,
            lag_records: IntGauge::new("headcount_kafka_lag_records", "Records in those partitions after the committed offsets.")?,
            partition_lag_records: IntGaugeVec::new(
                Opts::new("headcount_kafka_partition_lag_records", "Records of a partition after its committed offset."),
                &["partition"],
            )?,
        };
        for counter in [&metrics.records, &metrics.foreign, &metrics.pauses, &metrics.rebalances, &metrics.failed_offset_commits] {
            registry.register(Box::new(counter.clone()))?;
        }
        registry.register(Box::new(metrics.assigned_partitions.clone()))?;
        registry.register(Box::new(metrics.lag_records.clone()))?;
        registry.register(Box::new(metrics.partition_lag_records.clone()))?;
        Ok(metrics)
    }
}
