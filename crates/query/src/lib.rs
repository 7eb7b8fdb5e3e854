//! Answers: how many people are in a space at an instant, which crossings make that so, how the DPUs are.
//!
//! # Guarantees
//!
//! - An answer is made of one world (the edits up to one revision) and of totals read as of one moment, so it never
//!   mixes two states of the same ledger.
//! - What a DPU was last heard at is read *before* its totals: `settled` never claims more than the totals hold.
//! - A history starts from totals of one moment and walks on from there: what is committed meanwhile may or may not be in
//!   it, but nothing that was stored at that moment is left out or counted twice.
//! - History that is kept from earlier walks is what a walk would find; where other processes write, some of what they
//!   published in the last two seconds may not be in it, nor what one that died did not live to publish.
//! - A count of now that is made of what an earlier one read is what a read would make of all that was acknowledged.
//! - What is [watched](Watch) ends as what is asked: see its own guarantees.
//! - Over a [`Live`] view the same holds: see its own guarantees.
//! - Every read is bounded: pages end at a limit, walks at a number of crossings given in the documentation.

mod census;
mod corrections;
mod count;
mod dpus;
mod effect;
mod error;
mod events;
mod explain;
mod groups;
mod history;
mod hung;
mod kept;
mod live;
mod missing;
mod offset;
mod quarantine;
mod shift;
mod standing;
mod suspects;
mod topology;
mod verify;
mod walk;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use occupancy::count::SILENT_AFTER_MS;
use occupancy::time::Clock;
use store::Store;

pub use census::Census;
pub use corrections::{BY_MOST_CHARS, CORRECTIONS_MOST, Corrected, Counted, REASON_MOST_CHARS};
pub use count::SPACES_MOST;
pub use dpus::{Dpu, State};
pub use effect::{Delta, Effect};
pub use error::{CorrectionFailed, EditFailed, QueryError, WatchFailed};
pub use events::{Event, EventKey};
pub use explain::{CHILDREN_MOST, DoorwayPart, Explained, InstallationPart, Residual};
pub use history::{History, HistoryBucket, HistoryCaps, HistoryKey, Series, Span, Stats};
pub use live::{FRESH, Live};
pub use missing::WALK_MOST;
pub use offset::{ClockOffset, OFFSETS_BACK_MS, OFFSETS_MOST};
pub use shift::Shift;
pub use store::{Quarantined, Reason, Source, StoreError};
pub use suspects::{Evidence, Numbers, Suspect, Suspects, Unjudged};
pub use topology::{Edited, Snapshot, Topology};
pub use verify::{Difference, Standing, Verified, verify};
pub use watch::{LATE_MS, News, TELL_EVERY, ToldCount, WATCH_SPACES_MOST, Watch, Watcher};

/// How answers are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How far ahead of the server's clock an instant may be asked for, in ms.
    pub max_clock_ahead_ms: i64,
    /// After how long without a word a DPU counts as silent, in ms.
    pub silent_after_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_clock_ahead_ms: 300_000, silent_after_ms: SILENT_AFTER_MS }
    }
}

/// Answers over one store.
pub struct Query {
    store: Arc<dyn Store>,
    topology: Topology,
    clock: Clock,
    settings: Settings,
    census: census::Cache,
    kept: kept::Kept,
    standings: standing::Standings,
}

impl Query {
    /// Answers over a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, settings: Settings) -> Self {
        let topology = Topology::new(store.clone());
        Self {
            store,
            topology,
            clock,
            settings,
            census: census::Cache::default(),
            kept: kept::Kept::default(),
            standings: standing::Standings::default(),
        }
    }

    /// The spaces, doorways and installations, and their edits.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The time the answers go by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What the store takes on disk, in bytes; `None` where that cannot be told.
    #[must_use]
    pub fn store_size_bytes(&self) -> Option<u64> {
        self.store.size_bytes()
    }
}

/// A part of a list, and where the next part begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, K> {
    /// The part.
    pub items: Vec<T>,
    /// Ask for what comes after this; `None` at the end.
    pub next: Option<K>,
}

/// A lock under which nothing panics halfway through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks the size of a page.
fn check_limit(limit: usize, most: usize) -> Result<usize, QueryError> {
    if (1..=most).contains(&limit) { Ok(limit) } else { Err(QueryError::Limit { asked: limit, most }) }
}
