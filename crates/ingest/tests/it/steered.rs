//! A memory store whose commits can be held up and made to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use occupancy::crossing::{Direction, Key};
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Record, Row, Tail, Totals};
use occupancy::time::{Day, UnixMs};
use store::{Commit, Ledgers, MemoryStore, Part, Quarantined, Source, Stamped, StoreError};
use tokio::sync::Semaphore;

/// Starts open: commits go through.
pub(crate) struct Steered {
    pub(crate) inner: MemoryStore,
    /// A commit needs a permit, and gives it back.
    pub(crate) gate: Semaphore,
    /// So many commits to come fail, every other one after it was applied.
    pub(crate) failing: AtomicU32,
    pub(crate) corrupt: AtomicBool,
    pub(crate) halted: AtomicBool,
    pub(crate) commits: AtomicU32,
    /// Commits that came, those held up too.
    pub(crate) came: AtomicU32,
    /// The most ledgers read at once.
    pub(crate) reads: AtomicU32,
}

impl Steered {
    pub(crate) fn new() -> Self {
        let (failing, [corrupt, halted]) = (AtomicU32::new(0), [false; 2].map(AtomicBool::new));
        Self {
            inner: MemoryStore::new(),
            gate: Semaphore::new(1),
            failing,
            corrupt,
            halted,
            commits: AtomicU32::new(0),
            came: AtomicU32::new(0),
            reads: AtomicU32::new(0),
        }
    }

    /// Holds up every commit until the gate gets a permit again.
    pub(crate) async fn hold(&self) {
        self.gate.acquire().await.unwrap().forget();
    }

    pub(crate) fn release(&self) {
        self.gate.add_permits(1);
    }
}

#[async_trait]
impl Ledgers for Steered {
    async fn counters(&self, dpus: &[DpuId]) -> Result<Vec<Option<Counters>>, StoreError> {
        self.inner.counters(dpus).await
    }

    async fn tail(&self, dpu: &DpuId, from: &[Key]) -> Result<Tail, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.tail(dpu, from).await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), StoreError> {
        self.came.fetch_add(1, Ordering::SeqCst);
        let _permit = self.gate.acquire().await.unwrap();
        // Others go on while it is written.
        tokio::task::yield_now().await;
        self.commits.fetch_add(1, Ordering::SeqCst);
        if self.corrupt.load(Ordering::SeqCst) {
            return Err(StoreError::Corrupt("on purpose".to_owned()));
        }
        if self.halted.load(Ordering::SeqCst) {
            return Err(StoreError::Halted("on purpose".to_owned()));
        }
        let left = self.failing.load(Ordering::SeqCst);
        if left > 0 {
            self.failing.store(left - 1, Ordering::SeqCst);
            if left.is_multiple_of(2) {
                self.inner.commit(commit).await?;
            }
            return Err(StoreError::Unavailable("on purpose".to_owned()));
        }
        self.inner.commit(commit).await
    }

    async fn totals(&self, before: &[(DpuId, UnixMs)]) -> Result<Vec<Totals>, StoreError> {
        self.inner.totals(before).await
    }

    async fn stamped(&self, before: &[(DpuId, UnixMs, Part)]) -> Result<Vec<Stamped>, StoreError> {
        self.inner.stamped(before).await
    }

    async fn crossings(&self, dpu: &DpuId, from: Key, until: UnixMs, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.inner.crossings(dpu, from, until, limit).await
    }

    async fn openings(&self, dpu: &DpuId) -> Result<Vec<(Day, Totals)>, StoreError> {
        self.inner.openings(dpu).await
    }

    async fn dpus(&self, after: Option<&DpuId>, limit: usize) -> Result<Vec<(DpuId, Counters)>, StoreError> {
        self.inner.dpus(after, limit).await
    }

    async fn quarantined(&self, after: Option<&Source>, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        self.inner.quarantined(after, limit).await
    }
}

/// 2024-01-01 and so many ms.
pub(crate) fn at(ms: i64) -> UnixMs {
    UnixMs::new(1_704_067_200_000 + ms).unwrap()
}

pub(crate) fn plus(ms: i64) -> Key {
    Key { direction: Direction::Plus, ..Key::first_at(at(ms)) }
}

pub(crate) fn dpu(name: &str) -> DpuId {
    name.parse().unwrap()
}

pub(crate) fn record(crossings: &[Key]) -> Record {
    Record { crossings: crossings.to_vec().into(), heartbeat: None, appended_at: at(0), position: None }
}

pub(crate) async fn keys(store: &dyn Ledgers, name: &str) -> Vec<Key> {
    let rows = store.crossings(&dpu(name), Key::first_at(UnixMs::MIN), UnixMs::MAX, usize::MAX).await.unwrap();
    rows.into_iter().map(|row| row.key).collect()
}
