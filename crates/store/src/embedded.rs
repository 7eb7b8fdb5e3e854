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
//! - Crossings are packed: up to 128 of a day in a segment, one value. The last ones of a DPU, at most 31, are hot: they
//!   stand beside its counters, so that a commit writes one value for each DPU, and most reads of now need one.
//! - While the volume has less than [`Options::reserve_bytes`] free, writes are refused before they touch anything;
//!   reads go on. An LSM tree that runs out of space amid a write could not be trusted afterwards.

mod kept_day;
mod lay;
mod ledger;
mod look_up;
mod recent;
mod sealed;
mod space;
mod whole;
mod write;

use std::fmt;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fjall::config::{BlockSizePolicy, CompressionPolicy, RestartIntervalPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, Slice, Snapshot};
use occupancy::crossing::Key;
use occupancy::edit::Edit;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row, Tail, Totals};
use occupancy::time::{Day, UnixMs};

use crate::codec::corrupt;
use crate::embedded::ledger::FjallLedger;
use crate::embedded::look_up::Pace;
use crate::embedded::sealed::Sealed;
use crate::embedded::space::Space;
use crate::embedded::whole::Whole;
use crate::embedded::write::Writing;
use crate::key::{StoreKey, Table, decode_dpu, decode_revision, decode_source};
use crate::open::Folder;
use crate::view::{self, View};
use crate::{
    AppendError, Commit, Edits, Ledgers, OpenError, Part, Quarantined, Settings, Source, Stamped, Store, StoreError, Summary, value,
};

/// What journals may take on disk: the least the database allows.
const JOURNALS_BYTES: u64 = 64 << 20;
/// What crossings may take in memory before they are written out: less costs throughput, more costs memory and journals.
const CROSSINGS_MEMTABLE_BYTES: u64 = 16 << 20;
/// The same for counters: they are written anew with every commit, and only the newest of each DPU is written out. More
/// spares a fleet of 100,000 DPUs some of that in a backlog; a value of 50 bytes takes some 170 in memory.
const COUNTERS_MEMTABLE_BYTES: u64 = 8 << 20;
/// The same for days: one is written when it begins, and when a segment of it is full.
const DAYS_MEMTABLE_BYTES: u64 = 2 << 20;
/// The same for each other table.
const MEMTABLE_BYTES: u64 = 8 << 20;

/// How to open a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether to create it where there is nothing.
    pub create: bool,
    /// Writes are refused while the volume has less than this free, in bytes.
    pub reserve_bytes: u64,
    /// Memory for what was read, in bytes: a third for blocks of the disk, the rest for days, segments and records. It
    /// fills as they are asked for.
    pub cache_bytes: u64,
}

impl Default for Options {
    /// Create it; keep 64 MiB of the volume free; cache 96 MiB.
    fn default() -> Self {
        Self { create: true, reserve_bytes: 64 << 20, cache_bytes: 96 << 20 }
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
    writing: Mutex<Writing>,
    /// The newest revision that is durable: whoever knows it asks the database for no edits.
    revision: AtomicU64,
    sealed: Sealed,
    whole: Whole,
    pace: Pace,
    /// Unlocked last.
    folder: Folder,
}

struct Tables {
    crossings: Keyspace,
    days: Keyspace,
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
        let builder = Database::builder(folder.db()).cache_size(options.cache_bytes / 3).max_journaling_size(JOURNALS_BYTES);
        let db = builder.open().map_err(failed)?;
        let tables = Tables::open(&db).map_err(failed)?;
        folder.sync()?;
        let damaged = |error: StoreError| OpenError::Damaged { path: folder.path.clone(), detail: error.to_string() };
        let revision = AtomicU64::new(tables.revision().map_err(damaged)?);
        let sealed = Sealed::new(options.cache_bytes / 3 * 2);
        let writing = Mutex::new(Writing::new(Space::new(folder.path.clone(), options.reserve_bytes)));
        let (whole, pace) = (Whole::default(), Pace::default());
        Ok(Self { inner: Arc::new(Inner { db, tables, writing, revision, sealed, whole, pace, folder }) })
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
            days: open(Table::Days, || KeyspaceCreateOptions::default().max_memtable_size(DAYS_MEMTABLE_BYTES))?,
            counters: open(Table::Counters, || KeyspaceCreateOptions::default().max_memtable_size(COUNTERS_MEMTABLE_BYTES))?,
            edits: open(Table::Edits, small)?,
            settings: open(Table::Settings, small)?,
            quarantine: open(Table::Quarantine, small)?,
        })
    }

    fn of(&self, table: Table) -> &Keyspace {
        match table {
            Table::Crossings => &self.crossings,
            Table::Days => &self.days,
            Table::Counters => &self.counters,
            Table::Edits => &self.edits,
            Table::Settings => &self.settings,
            Table::Quarantine => &self.quarantine,
        }
    }

    fn revision(&self) -> Result<u64, StoreError> {
        let Some(last) = self.edits.last_key_value() else {
            return Ok(0);
        };
        decode_revision(&last.key().map_err(store_error)?)
    }
}

/// Crossings are most of what is stored: compress them. A segment that is asked for is there, which spares the filters of
/// the last level. Segments are long for values, so a block holds few: each other one can be found without unpacking
/// those before it.
fn crossings_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
        .data_block_size_policy(BlockSizePolicy::all(8 << 10))
        .data_block_restart_interval_policy(RestartIntervalPolicy::all(2))
        .expect_point_read_hits(true)
        .max_memtable_size(CROSSINGS_MEMTABLE_BYTES)
}

impl Inner {
    fn ledger<'a>(&'a self, snapshot: &'a Snapshot, dpu: &'a DpuId) -> Result<FjallLedger<'a>, StoreError> {
        FjallLedger::new(snapshot, &self.tables, dpu)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.whole.snapshot(&self.db)
    }

    /// What follows a key in its table (the whole table when `None`), in order.
    fn after(&self, table: Table, after: Option<Vec<u8>>) -> impl Iterator<Item = Result<(Slice, Slice), StoreError>> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.tables.of(table).range((after, Bound::Unbounded)).map(|guard| guard.into_inner().map_err(store_error))
    }

    fn dpus(&self, after: Option<&DpuId>, limit: usize) -> Result<Vec<(DpuId, Counters)>, StoreError> {
        let all = self.after(Table::Counters, after.map(|dpu| StoreKey::Counters(dpu).encode()));
        let known = all.filter_map(|found| {
            let read = |(key, bytes): (Slice, Slice)| Ok((decode_dpu(&key)?, value::read_record(&bytes)?.counters));
            found.and_then(read).map(|(dpu, counters)| Some((dpu, counters?))).transpose()
        });
        known.take(limit).collect()
    }

    fn quarantined(&self, after: Option<&Source>, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        let all = self.after(Table::Quarantine, after.map(|source| StoreKey::Quarantined(source).encode()));
        let read = |(key, bytes): (Slice, Slice)| value::read_quarantined(decode_source(&key)?, &bytes);
        all.map(|found| found.and_then(read)).take(limit).collect()
    }

    fn since(&self, revision: u64) -> Result<Vec<Edit>, StoreError> {
        let decode = |bytes: &[u8]| wire::edit::decode(bytes).map_err(|error| corrupt(&format!("an edit cannot be read: {error}")));
        self.after(Table::Edits, Some(StoreKey::Edit(revision).encode())).map(|found| decode(&found?.1)).collect()
    }

    fn settings(&self) -> Result<Settings, StoreError> {
        let stored = self.tables.settings.get(StoreKey::Settings.encode()).map_err(store_error)?;
        stored.map_or_else(|| Ok(Settings::default()), |bytes| Settings::decode(&bytes))
    }
}

#[async_trait]
impl Ledgers for FjallStore {
    async fn counters(&self, dpus: &[DpuId]) -> Result<Vec<Option<Counters>>, StoreError> {
        self.look_up_counters(dpus).await
    }

    async fn tail(&self, dpu: &DpuId, from: &[Key]) -> Result<Tail, StoreError> {
        let (dpu, from) = (dpu.clone(), from.to_vec());
        self.run(move |inner| view::tail(&inner.ledger(&inner.snapshot(), &dpu)?, &from)).await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), StoreError> {
        self.run(move |inner| inner.commit(&commit)).await
    }

    async fn totals(&self, before: &[(DpuId, UnixMs)]) -> Result<Vec<Totals>, StoreError> {
        self.look_up_totals(before).await
    }

    async fn stamped(&self, before: &[(DpuId, UnixMs, Part)]) -> Result<Vec<Stamped>, StoreError> {
        self.look_up_stamped(before).await
    }

    async fn summaries(&self, wanted: &[(DpuId, Vec<UnixMs>)]) -> Result<Vec<Summary>, StoreError> {
        self.look_up_summaries(wanted).await
    }

    async fn crossings(&self, dpu: &DpuId, from: Key, until: UnixMs, limit: usize) -> Result<Vec<Row>, StoreError> {
        let dpu = dpu.clone();
        self.run(move |inner| view::crossings(&inner.ledger(&inner.snapshot(), &dpu)?, from, until, limit)).await
    }

    async fn openings(&self, dpu: &DpuId) -> Result<Vec<(Day, Totals)>, StoreError> {
        let dpu = dpu.clone();
        self.run(move |inner| inner.ledger(&inner.snapshot(), &dpu)?.openings(Day(i32::MIN))).await
    }

    async fn dpus(&self, after: Option<&DpuId>, limit: usize) -> Result<Vec<(DpuId, Counters)>, StoreError> {
        let after = after.cloned();
        self.run(move |inner| inner.dpus(after.as_ref(), limit)).await
    }

    async fn quarantined(&self, after: Option<&Source>, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        let after = after.cloned();
        self.run(move |inner| inner.quarantined(after.as_ref(), limit)).await
    }
}

#[async_trait]
impl Edits for FjallStore {
    async fn since(&self, revision: u64) -> Result<Vec<Edit>, StoreError> {
        if revision >= self.inner.revision.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
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

/// The number of a segment, as its key holds it.
fn segment_number(number: usize) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|_| corrupt(&format!("a day has {number} segments")))
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
