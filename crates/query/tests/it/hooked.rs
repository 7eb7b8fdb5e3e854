//! A memory store to which something may happen while totals are read from it, whose answers to edits may get lost, and
//! whose counters may not be read, or take their time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use occupancy::crossing::Key;
use occupancy::edit::Edit;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row, Tail, Totals};
use occupancy::time::{Day, UnixMs};
use store::{AppendError, Commit, Edits, Ledgers, MemoryStore, Part, Quarantined, Settings, Source, Stamped, Store, StoreError};
use tokio::sync::oneshot;

/// What happens between a read and its answer.
pub(crate) struct Meanwhile {
    pub(crate) commit: Arc<Commit>,
    /// Once that is durable.
    pub(crate) then: Box<dyn FnOnce() + Send>,
}

/// A read that is held, until this is dropped.
pub(crate) struct Hold {
    begun: oneshot::Receiver<()>,
    _free: oneshot::Sender<()>,
}

impl Hold {
    /// Once it has read, and is held.
    pub(crate) async fn begun(&mut self) {
        (&mut self.begun).await.unwrap();
    }
}

/// Whose read is held, whom that is told, and until when.
type Held = (DpuId, oneshot::Sender<()>, oneshot::Receiver<()>);

#[derive(Default)]
pub(crate) struct Hooked {
    pub(crate) inner: Arc<MemoryStore>,
    next: Mutex<Option<Meanwhile>>,
    reads: AtomicUsize,
    rows: AtomicUsize,
    lost: Mutex<Option<bool>>,
    fails: AtomicBool,
    held: Mutex<Option<Held>>,
    walks: AtomicUsize,
    quarantined: AtomicUsize,
}

impl Hooked {
    /// Happens in the next read: after what it reads of totals or crossings, before the last of totals with stamps.
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

    /// The next read of a DPU's counters is answered, with what there was before, once the hold on it is dropped.
    pub(crate) fn hold(&self, dpu: DpuId) -> Hold {
        let ((begins, begun), (free, freed)) = (oneshot::channel(), oneshot::channel());
        *self.held.lock().unwrap() = Some((dpu, begins, freed));
        Hold { begun, _free: free }
    }

    async fn happen(&self) -> Result<(), StoreError> {
        if let Some(Meanwhile { commit, then }) = self.missed() {
            self.commit(commit).await?;
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

    /// How many totals within a day were read, each from one row.
    pub(crate) fn rows(&self) -> usize {
        self.rows.load(Ordering::SeqCst)
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
        let found = self.inner.counters(dpus).await;
        let held = self.held.lock().unwrap().take_if(|(dpu, ..)| dpus.contains(dpu));
        if let Some((_, begins, freed)) = held {
            let _ = begins.send(());
            let _ = freed.await;
        }
        found
    }

    async fn tail(&self, dpu: &DpuId, from: &[Key]) -> Result<Tail, StoreError> {
        self.inner.tail(dpu, from).await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), StoreError> {
        self.inner.commit(commit).await
    }

    async fn stamped(&self, before: &[(DpuId, UnixMs, Part)]) -> Result<Vec<Stamped>, StoreError> {
        let mut found = Vec::new();
        for (place, one) in before.iter().enumerate() {
            if place + 1 == before.len() {
                self.happen().await?;
            }
            found.extend(self.inner.stamped(std::slice::from_ref(one)).await?);
        }
        let rows = before.iter().filter(|(.., part)| *part == Part::WithinDay).count();
        self.rows.fetch_add(rows, Ordering::SeqCst);
        self.reads.fetch_add(usize::from(rows < before.len()), Ordering::SeqCst);
        Ok(found)
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
