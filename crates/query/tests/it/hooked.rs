//! A memory store to which something may happen while totals are read from it, and whose answers to edits may get lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use occupancy::crossing::Key;
use occupancy::edit::Edit;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row, Tail, Totals};
use occupancy::time::{Day, UnixMs};
use store::{AppendError, Commit, Edits, Ledgers, MemoryStore, Quarantined, Settings, Source, Store, StoreError};

/// What happens between a read and its answer.
pub(crate) struct Meanwhile {
    pub(crate) commit: Arc<Commit>,
    /// Once that is durable.
    pub(crate) then: Box<dyn FnOnce() + Send>,
}

#[derive(Default)]
pub(crate) struct Hooked {
    pub(crate) inner: MemoryStore,
    next: Mutex<Option<Meanwhile>>,
    reads: AtomicUsize,
    lost: Mutex<Option<bool>>,
    fails: AtomicBool,
    walks: AtomicUsize,
    quarantined: AtomicUsize,
}

impl Hooked {
    /// Happens in the next read of totals or crossings, after what it reads.
    pub(crate) fn meanwhile(&self, what: Meanwhile) {
        *self.next.lock().unwrap() = Some(what);
    }

    /// What did not happen, as no totals were read.
    pub(crate) fn missed(&self) -> Option<Meanwhile> {
        self.next.lock().unwrap().take()
    }

    /// The answer to the next edit gets lost, whether the edit is made or not.
    pub(crate) fn lose_answer(&self, made: bool) {
        *self.lost.lock().unwrap() = Some(made);
    }

    /// From now on counters cannot be read, or can be.
    pub(crate) fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    async fn happen(&self) -> Result<(), StoreError> {
        if let Some(Meanwhile { commit, then }) = self.missed() {
            self.inner.commit(commit).await?;
            then();
        }
        Ok(())
    }

    /// How often crossings were read.
    pub(crate) fn walks(&self) -> usize {
        self.walks.load(Ordering::SeqCst)
    }

    /// How many rows of the quarantine were read at once, at most.
    pub(crate) fn quarantined_at_once(&self) -> usize {
        self.quarantined.load(Ordering::SeqCst)
    }

    /// How often totals were read.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Ledgers for Hooked {
    async fn totals(&self, before: &[(DpuId, UnixMs)]) -> Result<Vec<Totals>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let totals = self.inner.totals(before).await;
        self.happen().await?;
        totals
    }

    async fn counters(&self, dpus: &[DpuId]) -> Result<Vec<Option<Counters>>, StoreError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("out of order".to_owned()));
        }
        self.inner.counters(dpus).await
    }

    async fn tail(&self, dpu: &DpuId, from: &[Key]) -> Result<Tail, StoreError> {
        self.inner.tail(dpu, from).await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), StoreError> {
        self.inner.commit(commit).await
    }

    async fn crossings(&self, dpu: &DpuId, from: Key, until: UnixMs, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.walks.fetch_add(1, Ordering::SeqCst);
        let rows = self.inner.crossings(dpu, from, until, limit).await;
        self.happen().await?;
        rows
    }

    async fn openings(&self, dpu: &DpuId) -> Result<Vec<(Day, Totals)>, StoreError> {
        self.inner.openings(dpu).await
    }

    async fn dpus(&self, after: Option<&DpuId>, limit: usize) -> Result<Vec<(DpuId, Counters)>, StoreError> {
        self.inner.dpus(after, limit).await
    }

    async fn quarantined(&self, after: Option<&Source>, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        let rows = self.inner.quarantined(after, limit).await?;
        self.quarantined.fetch_max(rows.len(), Ordering::SeqCst);
        Ok(rows)
    }
}

#[async_trait]
impl Edits for Hooked {
    async fn since(&self, revision: u64) -> Result<Vec<Edit>, StoreError> {
        self.inner.since(revision).await
    }

    async fn append(&self, expected: u64, edit: &Edit) -> Result<(), AppendError> {
        let lost = self.lost.lock().unwrap().take();
        if lost != Some(false) {
            self.inner.append(expected, edit).await?;
        }
        lost.map_or(Ok(()), |_| Err(StoreError::Unavailable("no answer came".to_owned()).into()))
    }

    async fn settings(&self) -> Result<Settings, StoreError> {
        self.inner.settings().await
    }

    async fn put_settings(&self, expected: &Settings, new: &Settings) -> Result<bool, StoreError> {
        self.inner.put_settings(expected, new).await
    }
}

impl Store for Hooked {
    fn size_bytes(&self) -> Option<u64> {
        self.inner.size_bytes()
    }
}
