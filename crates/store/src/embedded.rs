//! The embedded store: an LSM tree in a folder of its own.
//!
//! # Guarantees
//!
//! - A commit is one atomic batch, synced to disk before `Ok`. After [`StoreError::Unavailable`] it happened wholly or
//!   not at all.
//! - One process at a time: the folder is locked while the store is open.
//! - A [`crate::LedgerWrite`] with an older stamp than the DPU's stored counters is dropped whole. That is right because a
//!   stamp is a function of the log prefix folded so far: the counters of the newer one cover every record the older
//!   one held, and their own write brought all rows that follow from those records.
//! - While the volume has less than [`Options::reserve_bytes`] free, writes are refused before they touch anything;
//!   reads go on. An LSM tree that runs out of space amid a write could not be trusted afterwards.

mod space;
mod write;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fjall::config::{BlockSizePolicy, CompressionPolicy, FilterPolicy, RestartIntervalPolicy};
use fjall::{CompressionType, Database, Guard, Keyspace, KeyspaceCreateOptions, Readable, Snapshot};
use occupancy::crossing::Key;
use occupancy::edit::Edit;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row, Tail, Totals};
use occupancy::time::{Day, UnixMs};

use crate::codec::corrupt;
use crate::embedded::space::Space;
use crate::key::{StoreKey, Table, decode_crossing, decode_day};
use crate::open::Folder;
use crate::view::{self, Span, View};
use crate::{AppendError, Commit, Edits, Ledgers, OpenError, Quarantined, Settings, Source, Store, StoreError, value};

/// What journals may take on disk: the least the database allows.
const JOURNALS_BYTES: u64 = 64 << 20;
/// What crossings may take in memory before they are written out: less costs throughput, more costs memory and journals.
const CROSSINGS_MEMTABLE_BYTES: u64 = 32 << 20;
/// The same for each other table.
const MEMTABLE_BYTES: u64 = 8 << 20;

/// How to open a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether to create it where there is nothing.
    pub create: bool,
    /// Writes are refused while the volume has less than this free, in bytes.
    pub reserve_bytes: u64,
    /// Memory for blocks read from disk, in bytes.
    pub cache_bytes: u64,
}

impl Default for Options {
    /// Create it; keep 64 MiB of the volume free; cache 32 MiB.
    fn default() -> Self {
        Self { create: true, reserve_bytes: 64 << 20, cache_bytes: 32 << 20 }
    }
}

/// A store in a folder.
#[derive(Clone)]
pub struct FjallStore {
    inner: Arc<Inner>,
}

struct Inner {
    db: Database,
    tables: Tables,
    /// Held from reading what a write depends on until it is durable.
    writing: Mutex<Space>,
    /// Unlocked last.
    folder: Folder,
}

struct Tables {
    crossings: Keyspace,
    openings: Keyspace,
    counters: Keyspace,
    edits: Keyspace,
    settings: Keyspace,
    quarantine: Keyspace,
}

impl fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FjallStore").field(&self.inner.folder.path).finish()
    }
}

impl FjallStore {
    /// Opens the store in a folder, or creates it there. Blocks.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(path, &Options::default())
    }

    /// Opens the store in a folder; an error where there is none. Blocks.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(path, &Options { create: false, ..Options::default() })
    }

    /// Opens a store as the options say. Blocks.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_with(path: impl AsRef<Path>, options: &Options) -> Result<Self, OpenError> {
        let folder = Folder::open(path.as_ref(), options.create)?;
        let failed = |error| open_error(&folder.path, error);
        let builder = Database::builder(folder.db()).cache_size(options.cache_bytes).max_journaling_size(JOURNALS_BYTES);
        let db = builder.open().map_err(failed)?;
        let tables = Tables::open(&db).map_err(failed)?;
        folder.sync()?;
        let writing = Mutex::new(Space::new(folder.path.clone(), options.reserve_bytes));
        Ok(Self { inner: Arc::new(Inner { db, tables, writing, folder }) })
    }

    /// Runs blocking work where it may block.
    async fn run<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("the work on it was cut short: {error}")).into()))
    }
}

impl Tables {
    fn open(db: &Database) -> fjall::Result<Self> {
        let small = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let open = |table: Table, options: fn() -> KeyspaceCreateOptions| db.keyspace(table.name(), options);
        Ok(Self {
            crossings: open(Table::Crossings, crossings_options)?,
            openings: open(Table::Openings, small)?,
            counters: open(Table::Counters, small)?,
            edits: open(Table::Edits, small)?,
            settings: open(Table::Settings, small)?,
            quarantine: open(Table::Quarantine, small)?,
        })
    }

    fn of(&self, table: Table) -> &Keyspace {
        match table {
            Table::Crossings => &self.crossings,
            Table::Openings => &self.openings,
            Table::Counters => &self.counters,
            Table::Edits => &self.edits,
            Table::Settings => &self.settings,
            Table::Quarantine => &self.quarantine,
        }
    }
}

/// Crossings are most of what is stored, and only ever read as ranges: compress them, and spare the filters.
fn crossings_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
        .data_block_size_policy(BlockSizePolicy::all(8 << 10))
        .data_block_restart_interval_policy(RestartIntervalPolicy::all(16))
        .filter_policy(FilterPolicy::disabled())
        .max_memtable_size(CROSSINGS_MEMTABLE_BYTES)
}

impl Inner {
    fn ledger<'a>(&'a self, snapshot: &'a Snapshot, dpu: &'a DpuId) -> FjallLedger<'a> {
        FjallLedger { snapshot, tables: &self.tables, dpu }
    }

    fn counters(&self, dpu: &DpuId) -> Result<Option<Counters>, StoreError> {
        let found = self.tables.counters.get(StoreKey::Counters(dpu.clone()).encode()).map_err(store_error)?;
        found.map(|bytes| value::read_counters(&bytes)).transpose()
    }

    /// The values after a key of its table (from the table's start when `None`), in order, at most `limit`.
    fn page(&self, table: Table, after: Option<StoreKey>, limit: usize) -> Result<Vec<(StoreKey, fjall::Slice)>, StoreError> {
        let after = after.map_or(std::ops::Bound::Unbounded, |key| std::ops::Bound::Excluded(key.encode()));
        let rows = self.tables.of(table).range((after, std::ops::Bound::Unbounded)).take(limit);
        rows.map(|guard| {
            let (key, bytes) = guard.into_inner().map_err(store_error)?;
            Ok((StoreKey::decode(table, &key)?, bytes))
        })
        .collect()
    }

    fn since(&self, revision: u64) -> Result<Vec<Edit>, StoreError> {
        let stored = self.page(Table::Edits, Some(StoreKey::Edit(revision)), usize::MAX)?;
        let decode = |bytes: &[u8]| wire::edit::decode(bytes).map_err(|error| corrupt(&format!("an edit cannot be read: {error}")));
        stored.iter().map(|(_, bytes)| decode(bytes)).collect()
    }

    fn revision(&self) -> Result<u64, StoreError> {
        let Some(last) = self.tables.edits.last_key_value() else {
            return Ok(0);
        };
        match StoreKey::decode(Table::Edits, &last.key().map_err(store_error)?)? {
            StoreKey::Edit(revision) => Ok(revision),
            other => Err(corrupt(&format!("{other:?} is among the edits"))),
        }
    }

    fn settings(&self) -> Result<Settings, StoreError> {
        let stored = self.tables.settings.get(StoreKey::Settings.encode()).map_err(store_error)?;
        stored.map_or_else(|| Ok(Settings::default()), |bytes| Settings::decode(&bytes))
    }
}

/// One DPU's ledger in a snapshot.
struct FjallLedger<'a> {
    snapshot: &'a Snapshot,
    tables: &'a Tables,
    dpu: &'a DpuId,
}

impl FjallLedger<'_> {
    fn range(&self, span: Span) -> fjall::Iter {
        let bytes = |key| StoreKey::Crossing(self.dpu.clone(), key).encode();
        self.snapshot.range(&self.tables.crossings, (span.0.map(bytes), span.1.map(bytes)))
    }

    fn row(&self, guard: Guard) -> Result<Row, StoreError> {
        let (key, bytes) = guard.into_inner().map_err(store_error)?;
        value::read_row(decode_crossing(self.dpu, &key)?, &bytes)
    }

    fn days(&self, from: Day, until: Day) -> fjall::Iter {
        let bytes = |day| StoreKey::Opening(self.dpu.clone(), day).encode();
        self.snapshot.range(&self.tables.openings, bytes(from)..=bytes(until))
    }

    fn day(&self, guard: Guard) -> Result<(Day, Totals), StoreError> {
        let (key, bytes) = guard.into_inner().map_err(store_error)?;
        Ok((decode_day(self.dpu, &key)?, value::read_totals(&bytes)?))
    }
}

impl View for FjallLedger<'_> {
    fn opening(&self, until: Day) -> Result<Option<(Day, Totals)>, StoreError> {
        // Most often the day itself was active: one look at it costs less than a search backwards through every run.
        let key = StoreKey::Opening(self.dpu.clone(), until).encode();
        if let Some(bytes) = self.snapshot.get(&self.tables.openings, key).map_err(store_error)? {
            return Ok(Some((until, value::read_totals(&bytes)?)));
        }
        self.days(Day(i32::MIN), until).next_back().map(|guard| self.day(guard)).transpose()
    }

    fn openings(&self, from: Day) -> Result<Vec<(Day, Totals)>, StoreError> {
        self.days(from, Day(i32::MAX)).map(|guard| self.day(guard)).collect()
    }

    fn rows(&self, span: Span, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.range(span).take(limit).map(|guard| self.row(guard)).collect()
    }

    fn last_row(&self, span: Span) -> Result<Option<Row>, StoreError> {
        self.range(span).next_back().map(|guard| self.row(guard)).transpose()
    }
}

#[async_trait]
impl Ledgers for FjallStore {
    async fn counters(&self, dpus: &[DpuId]) -> Result<Vec<Option<Counters>>, StoreError> {
        let dpus = dpus.to_vec();
        self.run(move |inner| dpus.iter().map(|dpu| inner.counters(dpu)).collect()).await
    }

    async fn tail(&self, dpu: &DpuId, from: &[Key]) -> Result<Tail, StoreError> {
        let (dpu, from) = (dpu.clone(), from.to_vec());
        self.run(move |inner| view::tail(&inner.ledger(&inner.db.snapshot(), &dpu), &from)).await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), StoreError> {
        self.run(move |inner| inner.commit(&commit)).await
    }

    async fn totals(&self, before: &[(DpuId, UnixMs)]) -> Result<Vec<Totals>, StoreError> {
        let before = before.to_vec();
        self.run(move |inner| {
            let snapshot = inner.db.snapshot();
            before.iter().map(|(dpu, at)| view::totals(&inner.ledger(&snapshot, dpu), *at)).collect()
        })
        .await
    }

    async fn crossings(&self, dpu: &DpuId, from: Key, until: UnixMs, limit: usize) -> Result<Vec<Row>, StoreError> {
        let dpu = dpu.clone();
        self.run(move |inner| view::crossings(&inner.ledger(&inner.db.snapshot(), &dpu), from, until, limit)).await
    }

    async fn openings(&self, dpu: &DpuId) -> Result<Vec<(Day, Totals)>, StoreError> {
        let dpu = dpu.clone();
        self.run(move |inner| inner.ledger(&inner.db.snapshot(), &dpu).openings(Day(i32::MIN))).await
    }

    async fn dpus(&self, after: Option<&DpuId>, limit: usize) -> Result<Vec<(DpuId, Counters)>, StoreError> {
        let after = after.cloned().map(StoreKey::Counters);
        let read = |(key, bytes): (StoreKey, fjall::Slice)| match key {
            StoreKey::Counters(dpu) => Ok((dpu, value::read_counters(&bytes)?)),
            other => Err(corrupt(&format!("{other:?} is among the counters"))),
        };
        self.run(move |inner| inner.page(Table::Counters, after, limit)?.into_iter().map(read).collect()).await
    }

    async fn quarantined(&self, after: Option<&Source>, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        let after = after.cloned().map(StoreKey::Quarantined);
        let read = |(key, bytes): (StoreKey, fjall::Slice)| match key {
            StoreKey::Quarantined(source) => value::read_quarantined(source, &bytes),
            other => Err(corrupt(&format!("{other:?} is in quarantine"))),
        };
        self.run(move |inner| inner.page(Table::Quarantine, after, limit)?.into_iter().map(read).collect()).await
    }
}

#[async_trait]
impl Edits for FjallStore {
    async fn since(&self, revision: u64) -> Result<Vec<Edit>, StoreError> {
        self.run(move |inner| inner.since(revision)).await
    }

    async fn append(&self, expected: u64, edit: &Edit) -> Result<(), AppendError> {
        let edit = wire::edit::encode(edit);
        self.run(move |inner| inner.append(expected, edit)).await
    }

    async fn settings(&self) -> Result<Settings, StoreError> {
        self.run(Inner::settings).await
    }

    async fn put_settings(&self, expected: &Settings, new: &Settings) -> Result<bool, StoreError> {
        let (expected, new) = (expected.clone(), new.clone());
        self.run(move |inner| inner.put_settings(&expected, &new)).await
    }
}

impl Store for FjallStore {
    fn size_bytes(&self) -> Option<u64> {
        Some(self.inner.folder.size_bytes())
    }
}

/// What an error of the database means to whoever uses the store.
fn store_error(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => StoreError::Unavailable(error.to_string()),
        fjall::Error::Poisoned => {
            StoreError::Halted("a write to disk failed, so it takes no more; see that there is room, then restart the program".to_owned())
        }
        other => StoreError::Corrupt(other.to_string()),
    }
}

fn open_error(path: &Path, error: fjall::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => OpenError::Io { path, error },
        fjall::Error::Locked => OpenError::Locked { path },
        other => OpenError::Damaged { path, detail: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poisoned_database_asks_for_a_restart() {
        let StoreError::Halted(why) = store_error(fjall::Error::Poisoned) else { panic!("not halted") };
        assert!(why.ends_with("restart the program"), "{why}");
        assert!(matches!(store_error(fjall::Error::InvalidTrailer), StoreError::Corrupt(_)));
    }
}
