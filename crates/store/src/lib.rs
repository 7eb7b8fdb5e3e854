//! Where crossings, counters, edits and quarantined input are kept.
//!
//! # Guarantees
//!
//! A store attempts each operation once; whoever owns a DPU retries.
//!
//! - [`Ledgers::commit`] is durable when it returns `Ok`, and may be repeated: after
//!   [`StoreError::Unavailable`] it may have happened wholly, partly or not at all.
//! - Within a commit, openings become visible before crossings, crossings before counters.
//! - Of two writes to one DPU the newest stamp wins; a stamp is a function of the log prefix, so an old owner that
//!   writes late loses, and a replay writes the same again.
//! - [`Edits::append`] and [`Edits::put_settings`] are compare-and-set: of two that race, one is told.

mod codec;
#[cfg(feature = "testing")]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test suite")]
pub mod conformance;
mod copy;
mod day;
mod embedded;
mod error;
#[cfg(feature = "testing")]
pub mod faults;
#[cfg(test)]
mod golden;
mod key;
mod ledger;
mod memory;
mod open;
mod quarantine;
mod segment;
mod settings;
mod steps;
mod value;
mod view;

use std::sync::Arc;

use async_trait::async_trait;
use occupancy::crossing::Key;
use occupancy::edit::Edit;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row, Tail, Totals};
use occupancy::time::{Day, UnixMs};

pub use copy::{Compared, CopyError, Copying, Mismatch};
pub use embedded::{FjallStore, Options};
pub use error::{AppendError, StoreError};
pub use ledger::{COMMIT_PATIENCE, Commit, LedgerWrite, Part, Stamped, Summary};
pub use memory::MemoryStore;
pub use open::OpenError;
pub use quarantine::{Quarantined, Reason, Source, SourceError};
pub use settings::Settings;

/// The format of what the embedded store keeps on disk.
pub const FORMAT: u32 = 3;

/// The ledgers of all DPUs, and what was kept out of them.
#[async_trait]
pub trait Ledgers: Send + Sync {
    /// The realtime row of each DPU, in the order asked; `None` for one never heard of.
    async fn counters(&self, dpus: &[DpuId]) -> Result<Vec<Option<Counters>>, StoreError>;

    /// What a merge of keys into a DPU's ledger needs: `from` holds the first key to merge of each day, in order.
    /// [`Tail::before`] leans on the latest earlier day that has crossings: an opening without any is what a crash left.
    async fn tail(&self, dpu: &DpuId, from: &[Key]) -> Result<Tail, StoreError>;

    /// Writes all of it; durable when `Ok`. Shared, as whoever retries keeps it.
    async fn commit(&self, commit: Arc<Commit>) -> Result<(), StoreError>;

    /// Each DPU's totals over its crossings with `at` before the instant, in the order asked, as of one moment:
    /// before or after a commit, or, where one stays half done for longer than [`COMMIT_PATIENCE`], amid it.
    async fn totals(&self, before: &[(DpuId, UnixMs)]) -> Result<Vec<Totals>, StoreError>;

    /// As [`Ledgers::totals`], but all those of one DPU may lack one and the same number: enough for what lies between
    /// them, and fewer reads where a store keeps the totals before a day apart.
    async fn relative_totals(&self, before: &[(DpuId, UnixMs)]) -> Result<Vec<Totals>, StoreError> {
        self.totals(before).await
    }

    /// Of each DPU its realtime row, and its totals before instants as [`Ledgers::relative_totals`] gives them, in the
    /// order asked: one read of what a store keeps together.
    async fn summaries(&self, wanted: &[(DpuId, Vec<UnixMs>)]) -> Result<Vec<Summary>, StoreError> {
        let dpus: Vec<DpuId> = wanted.iter().map(|(dpu, _)| dpu.clone()).collect();
        let before: Vec<_> = wanted.iter().flat_map(|(dpu, instants)| instants.iter().map(|at| (dpu.clone(), *at))).collect();
        let counters = self.counters(&dpus).await?;
        let mut totals = if before.is_empty() { Vec::new() } else { self.relative_totals(&before).await? }.into_iter();
        let one = |(counters, (_, instants)): (_, &(DpuId, Vec<UnixMs>))| Summary {
            counters,
            totals: totals.by_ref().take(instants.len()).collect(),
        };
        Ok(counters.into_iter().zip(wanted).map(one).collect())
    }

    /// Each DPU's totals before the instant, of which a part is needed, in the order asked: *not* as of one moment, but with
    /// the stamps that tell which they are of; see [`Stamped`].
    async fn stamped(&self, before: &[(DpuId, UnixMs, Part)]) -> Result<Vec<Stamped>, StoreError>;

    /// A DPU's crossings at or after key `from` and with `at` before `until`, in key order, at most `limit`.
    async fn crossings(&self, dpu: &DpuId, from: Key, until: UnixMs, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// A DPU's openings, in order of day.
    async fn openings(&self, dpu: &DpuId) -> Result<Vec<(Day, Totals)>, StoreError>;

    /// The DPUs with an id after `after`, in order of id, at most `limit`.
    async fn dpus(&self, after: Option<&DpuId>, limit: usize) -> Result<Vec<(DpuId, Counters)>, StoreError>;

    /// Quarantined input from a source after `after`, in order of source, at most `limit`.
    async fn quarantined(&self, after: Option<&Source>, limit: usize) -> Result<Vec<Quarantined>, StoreError>;
}

/// The log of edits, and the few settings a store remembers.
#[async_trait]
pub trait Edits: Send + Sync {
    /// The edits after `revision`, in order: the first made revision + 1.
    async fn since(&self, revision: u64) -> Result<Vec<Edit>, StoreError>;

    /// Appends an edit as revision `expected` + 1.
    async fn append(&self, expected: u64, edit: &Edit) -> Result<(), AppendError>;

    /// The settings; the default ones in a new store.
    async fn settings(&self) -> Result<Settings, StoreError>;

    /// Replaces the settings if they still are as expected; whether they were.
    async fn put_settings(&self, expected: &Settings, new: &Settings) -> Result<bool, StoreError>;
}

/// A whole store.
pub trait Store: Ledgers + Edits {
    /// What it takes on disk, in bytes; `None` where that cannot be told.
    fn size_bytes(&self) -> Option<u64>;
}
