//! Bytes on the wire, as the formats make them: without TCP, TLS, and answers to clients.

use crate::load::{Load, Rate, Sizes, Sizing};
use crate::plan::Flow;

/// A record in a batch of its own: the header of a batch (version 2) is 61 bytes, the lengths and offsets of a record 9.
const RECORD: f64 = 70.0;
/// Rows as statements of CQL's protocol: each value with its length, the statement's id, a stamp. Counted for ids of eight
/// letters.
const CROSSING_ROW: f64 = 125.0;
const COUNTERS_ROW: f64 = 230.0;

/// A record of crossings and one of a heartbeat, as they stand in Kafka.
fn records(sizes: &Sizes) -> (f64, f64) {
    (RECORD + sizes.key + sizes.report, RECORD + sizes.key + sizes.heartbeat)
}

/// Reports as records, in bytes a second.
pub(crate) fn produced(rate: &Rate, sizes: &Sizes) -> f64 {
    let (report, heartbeat) = records(sizes);
    rate.reports * report + rate.heartbeats * heartbeat
}

/// The newest change of each DPU, in bytes.
pub(crate) fn changes(dpus: f64, sizes: &Sizes) -> f64 {
    dpus * (RECORD + sizes.key + sizes.change)
}

fn rates(load: &Load) -> (Rate, Rate) {
    (load.rate(1.0), load.rate(load.peak_factor))
}

/// What happens in a second.
pub(crate) fn counted(load: &Load) -> Vec<Flow> {
    let (mean, peak) = rates(load);
    vec![
        Flow { id: "crossings", what: "crossings", unit: "/s", mean: mean.crossings, peak: peak.crossings },
        Flow { id: "reports", what: "reports, heartbeats too", unit: "/s", mean: mean.sent(), peak: peak.sent() },
    ]
}

/// Bytes between the parts of a cluster.
pub(crate) fn of_cluster(load: &Load, sizing: &Sizing, sizes: &Sizes, apis: f64) -> Vec<Flow> {
    let (mean, peak) = rates(load);
    let copies = f64::from(sizing.replication);
    let flow = |id, what, bytes: &dyn Fn(&Rate) -> f64| Flow { id, what, unit: "B/s", mean: bytes(&mean), peak: bytes(&peak) };
    // A change for each crossing at most: what one commit gathers of a DPU is one change.
    let change = RECORD + sizes.key + sizes.change;
    vec![
        flow("to_kafka", "from DPUs to Kafka", &|rate| produced(rate, sizes)),
        flow("kafka_copies", "between Kafka's brokers", &|rate| (produced(rate, sizes) + rate.work() * change) * (copies - 1.0)),
        flow("to_consumers", "from Kafka to consumers", &|rate| produced(rate, sizes)),
        flow("changes", "changes, from consumers through Kafka to every API process", &|rate| rate.work() * change * (1.0 + apis)),
        flow("to_store", "to the store's nodes, every copy", &|rate| (rate.crossings * CROSSING_ROW + rate.work() * COUNTERS_ROW) * copies),
    ]
}

/// Bytes to the one process there is.
pub(crate) fn of_embedded(load: &Load, sizes: &Sizes) -> Vec<Flow> {
    let (mean, peak) = rates(load);
    let bytes = |rate: &Rate| rate.reports * sizes.post + rate.heartbeats * sizes.heartbeat_post;
    vec![Flow { id: "posts", what: "from DPUs, posted", unit: "B/s", mean: bytes(&mean), peak: bytes(&peak) }]
}

/// GB that a month sends.
pub(crate) fn month_gb(flows: &[Flow]) -> f64 {
    const MONTH_S: f64 = 365.25 / 12.0 * 86_400.0;
    flows.iter().filter(|flow| flow.unit == "B/s").map(|flow| flow.mean).sum::<f64>() * MONTH_S / 1e9
}
