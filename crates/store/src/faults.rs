//! A store that fails as stores do, by a seed: commits cut between their steps, lost, applied without saying so, or late.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use occupancy::crossing::Key;
use occupancy::edit::Edit;
use occupancy::few::Few;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row, Tail, Totals};
use occupancy::time::{Day, UnixMs};

use crate::{AppendError, Commit, Edits, LedgerWrite, Ledgers, Part, Quarantined, Settings, Source, Stamped, Store, StoreError};

/// SplitMix64: the same seed, the same faults.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator of its own.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw().checked_rem(n).unwrap_or(0)
    }

    /// True this often.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What happens to one commit.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Nothing of it happens.
    Lost,
    /// It happens up to this step and a part of that step: 0 openings, 1 crossings, 2 counters.
    Cut(u64),
    /// All of it happens, and the caller is not told.
    Unheard,
    /// It happens in its own time, and the caller is told.
    Slow,
    /// The caller gives it up; it happens after newer ones.
    Late,
}

/// A store with faults; the reads and the edits are the inner store's.
#[derive(Debug)]
pub struct Faulty<S> {
    inner: S,
    plan: Mutex<Plan>,
}

#[derive(Debug)]
struct Plan {
    rng: Rng,
    percent: u64,
    /// Given up by their callers, not yet applied.
    late: VecDeque<Arc<Commit>>,
}

impl<S: Store> Faulty<S> {
    /// Fails about `percent` of the commits of a store.
    #[must_use]
    pub fn new(inner: S, seed: u64, percent: u64) -> Self {
        Self { inner, plan: Mutex::new(Plan { rng: Rng::new(seed), percent, late: VecDeque::new() }) }
    }

    /// The store itself.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// From now on `percent` of the commits fail.
    pub fn set_percent(&self, percent: u64) {
        self.plan().percent = percent;
    }

    /// Applies every write that is still on its way.
    ///
    /// # Errors
    /// The inner store fails.
    pub async fn land(&self) -> Result<(), StoreError> {
        let late = std::mem::take(&mut self.plan().late);
        for commit in late {
            self.inner.commit(commit).await?;
        }
        Ok(())
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn fault(&mut self) -> Option<Fault> {
        let faulty = self.rng.percent(self.percent);
        faulty.then(|| match self.rng.below(7) {
            0 => Fault::Lost,
            1 => Fault::Unheard,
            2 => Fault::Slow,
            3 => Fault::Late,
            _ => Fault::Cut(self.rng.below(3)),
        })
    }

    /// A commit up to a step, and any part of that step.
    fn cut(&mut self, commit: &Commit, step: u64) -> Commit {
        let mut ledgers = Vec::new();
        for write in &commit.ledgers {
            let openings = self.part(&write.openings, step == 0);
            let rows = if step == 0 { Few::default() } else { self.part(&write.rows, step == 1).into() };
            let counters = if step == 2 && self.rng.percent(50) { write.counters } else { None };
            ledgers.push(LedgerWrite { openings, rows, counters, ..write.clone() });
        }
        Commit { ledgers, quarantine: Vec::new() }
    }

    fn part<T: Clone>(&mut self, all: &[T], cut: bool) -> Vec<T> {
        all.iter().filter(|_| !cut || self.rng.percent(50)).cloned().collect()
    }

    /// A write on its way that arrives now.
    fn arrival(&mut self) -> Option<Arc<Commit>> {
        if self.rng.percent(30) { self.late.pop_front() } else { None }
    }
}

fn unavailable(what: &str) -> StoreError {
    StoreError::Unavailable(format!("injected: {what}"))
}

#[async_trait]
impl<S: Store> Ledgers for Faulty<S> {
    async fn counters(&self, dpus: &[DpuId]) -> Result<Vec<Option<Counters>>, StoreError> {
        self.inner.counters(dpus).await
    }

    async fn tail(&self, dpu: &DpuId, from: &[Key]) -> Result<Tail, StoreError> {
        self.inner.tail(dpu, from).await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), StoreError> {
        let (fault, cut) = {
            let mut plan = self.plan();
            let fault = plan.fault();
            let cut = match fault {
                Some(Fault::Cut(step)) => Some(plan.cut(&commit, step)),
                Some(Fault::Late) => {
                    // Whole, or only what had already been sent.
                    let step = plan.rng.below(4);
                    let late = if step == 3 { Arc::clone(&commit) } else { Arc::new(plan.cut(&commit, step)) };
                    plan.late.push_back(late);
                    None
                }
                _ => None,
            };
            (fault, cut)
        };
        let outcome = match fault {
            None => self.inner.commit(commit).await,
            Some(Fault::Lost) => Err(unavailable("nothing was written")),
            Some(Fault::Late) => Err(unavailable("the write is on its way")),
            Some(Fault::Unheard) => self.inner.commit(commit).await.and(Err(unavailable("all was written"))),
            Some(Fault::Slow) => {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                self.inner.commit(commit).await
            }
            Some(Fault::Cut(_)) => {
                let written = self.inner.commit(Arc::new(cut.unwrap_or_default())).await;
                written.and(Err(unavailable("a part was written")))
            }
        };
        let arrival = self.plan().arrival();
        if let Some(late) = arrival {
            self.inner.commit(late).await?;
        }
        outcome
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

#[async_trait]
impl<S: Store> Edits for Faulty<S> {
    async fn since(&self, revision: u64) -> Result<Vec<Edit>, StoreError> {
        self.inner.since(revision).await
    }

    async fn append(&self, expected: u64, edit: &Edit) -> Result<(), AppendError> {
        self.inner.append(expected, edit).await
    }

    async fn settings(&self) -> Result<Settings, StoreError> {
        self.inner.settings().await
    }

    async fn put_settings(&self, expected: &Settings, new: &Settings) -> Result<bool, StoreError> {
        self.inner.put_settings(expected, new).await
    }
}

impl<S: Store> Store for Faulty<S> {
    fn size_bytes(&self) -> Option<u64> {
        self.inner.size_bytes()
    }
}
