//! From reports to durable ledgers: lanes own DPUs, batch their records, commit, retry and acknowledge.
//!
//! # Guarantees
//!
//! - A DPU has one lane, and a lane commits one batch after the other, its records in the order they were submitted.
//!   So nobody else changes a ledger between a read of it and the write that follows.
//! - An [`Ack`] is called after [`store::Ledgers::commit`] returned `Ok` for the batch that holds its item, never
//!   before. An ack that is dropped claims nothing: the item may be durable or not, and sending it again is harmless,
//!   because a crossing already in its ledger is a duplicate.
//! - Where somebody follows the counters, every DPU with records in a batch is published to the [`CountersFeed`] after
//!   the commit and before the acks, also where all its records were known already. So once nothing is left to be
//!   acknowledged, the newest change of each DPU is what is stored, whoever died between a commit and its publication.
//! - A commit whose outcome is unknown is repeated with the same values and the same stamps until it succeeds or the
//!   lane is told to stop: nothing is skipped, and the cached counters change only after it succeeded.
//! - A store that says it is corrupt stops the lane; its owner sees why, and every ack not yet called is dropped.
//! - What is kept out of the ledgers becomes a quarantine row in the same commit, and a metric.

mod access;
mod admit;
mod batch;
mod embedded;
mod feed;
mod intake;
mod item;
mod known;
mod lane;
mod metrics;
mod watermark;

pub use access::Shared;
pub use admit::{Admission, Arrival, Policy, admit};
pub use embedded::{EmbeddedConfig, EmbeddedIntake};
pub use feed::{CountersFeed, FeedError};
pub use intake::{Intake, IntakeError, QuarantinedPart, Receipt, Waiting};
pub use item::{Ack, Item, Outcome};
pub use lane::{Drained, Lane, LaneConfig, Rejected};
pub use metrics::Metrics;
pub use watermark::{OffsetAck, Watermark};
