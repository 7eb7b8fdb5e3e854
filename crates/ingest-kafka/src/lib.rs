//! Kafka on both sides of the lanes: the consumer group that feeds them, the producer that feeds Kafka, and the changelog
//! of counters that tells other processes what the lanes made durable.
//!
//! # Guarantees
//!
//! - An offset is committed only after everything up to it is durable: folded into ledgers, quarantined, or produced
//!   again to its home partition and acknowledged there. Records finish out of order; what is committed is the lowest
//!   offset not yet finished.
//! - A DPU is folded only in its home partition, `murmur2(dpu_id) mod partitions`, whatever partitioner its producer
//!   used. So it has one owner, the lane of that partition.
//! - A partition is given up in the rebalance callback, before anybody else gets it: its lane is drained or
//!   abandoned, its watermark committed, its DPUs forgotten. Where the group took the partition away already, the lane
//!   is abandoned at once. A commit that comes too late to count is harmless: what is delivered again is found at or
//!   below the position its ledger stands at, and skipped.
//! - Where changes of counters are published, they are on the changelog before the offsets of their records move, so a
//!   follower of it misses none: see [`Follower`].
//! - A log that is not the one the store's positions mean is refused.
//!
//! The append time of a record is the broker's (`LogAppendTime`), and [`TopicPolicy::Checked`] insists on it: topics are
//! created with what the guarantees need, and refused without it.

mod changelog;
mod config;
mod consumer;
mod error;
mod follower;
mod intake;
mod lag;
mod marks;
mod metrics;
mod offsets;
mod producer;
mod rebalance;
mod setup;
mod topic;
mod work;

pub use changelog::Changelog;
pub use config::{ConsumerConfig, KafkaConfig, TopicPolicy, Wanted};
pub use consumer::{Consumer, Running};
pub use error::KafkaError;
pub use follower::{Follow, Follower};
pub use intake::{KafkaIntake, KafkaIntakeConfig};
pub use lag::{PartitionLag, lag};
pub use metrics::Metrics;
pub use producer::{Delivery, Producer};
pub use setup::prepare_topics;
