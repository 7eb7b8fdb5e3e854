//! The store as a process reaches it: over a network, one step of a commit after the other, each in parts that arrive
//! in any order, late, twice or never.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use occupancy::crossing::Key;
use occupancy::few::Few;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row, Tail, Totals};
use occupancy::time::{Day, UnixMs};
use store::{Commit, LedgerWrite, Ledgers, Part, Quarantined, Source, Stamped, StoreError};
use tokio::time::sleep;

use crate::Bug;
use crate::bug;
use crate::feed::Written;
use crate::gate::{Gate, Life};
use crate::torn;
use crate::world::World;

/// How long an answer is waited for, in ms.
const TIMEOUT_MS: u64 = 30;

/// The partitions a process has not given up.
#[derive(Debug, Default)]
pub(crate) struct Rights(Mutex<BTreeSet<i32>>);

impl Rights {
    pub(crate) fn set(&self, partition: i32, held: bool) {
        let mut partitions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held {
            partitions.insert(partition)
        } else {
            partitions.remove(&partition)
        };
    }

    fn held(&self, partition: i32) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&partition)
    }
}

/// One process's way to the store.
pub(crate) struct Remote {
    pub(crate) world: Arc<World>,
    pub(crate) process: u64,
    pub(crate) gate: Arc<Gate>,
    pub(crate) rights: Arc<Rights>,
    pub(crate) written: Arc<Written>,
}

/// The steps of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Openings,
    Crossings,
    Counters,
}

impl Remote {
    /// A question that may not be answered.
    async fn asks(&self) -> Result<(), StoreError> {
        self.gate.pass().await;
        sleep(Duration::from_millis(self.world.below(3))).await;
        if self.world.fault(self.world.plan.wire.unread) {
            sleep(Duration::from_millis(TIMEOUT_MS)).await;
            self.gate.pass().await;
            return Err(StoreError::Unavailable("a read timed out".to_owned()));
        }
        Ok(())
    }

    /// An answer reaches a process only while it runs.
    async fn hears(&self) {
        sleep(Duration::from_millis(self.world.below(3))).await;
        self.gate.pass().await;
    }

    /// Sends one step; fails unless all of it is answered.
    async fn step(&self, step: Step, commit: &Commit) -> Result<(), StoreError> {
        self.gate.pass().await;
        for write in &commit.ledgers {
            let home = self.world.log().home(&write.dpu);
            if !self.rights.held(home) {
                self.world.wrong(format!("process {} writes to {} after it gave up partition {home}", self.process, write.dpu));
            }
        }
        let mut answered_ms = Some(0);
        for part in self.parts(step, commit) {
            let answer_ms = self.world.send(Arc::new(part)).await;
            answered_ms = answered_ms.zip(answer_ms).map(|(some, other)| some.max(other));
        }
        if self.world.rare_fault(self.world.plan.process.dies_at_step) {
            self.world.note(format_args!("process {} dies after {step:?}", self.process));
            self.gate.set(Life::Dead);
        }
        sleep(Duration::from_millis(answered_ms.map_or(TIMEOUT_MS, |ms| ms.min(TIMEOUT_MS)))).await;
        self.gate.pass().await;
        match answered_ms {
            Some(ms) if ms <= TIMEOUT_MS => Ok(()),
            Some(_) | None => Err(StoreError::Unavailable("a write timed out".to_owned())),
        }
    }

    /// What is sent apart: each ledger's part of a step, now and then in two.
    fn parts(&self, step: Step, commit: &Commit) -> Vec<Commit> {
        let mut parts = Vec::new();
        for write in &commit.ledgers {
            let empty = LedgerWrite { openings: Vec::new(), rows: Few::default(), counters: None, ..write.clone() };
            match step {
                Step::Openings if !write.openings.is_empty() => {
                    let (some, rest) = self.cut(&write.openings);
                    parts.extend([some, rest].map(|openings| LedgerWrite { openings, ..empty.clone() }));
                }
                Step::Crossings if !write.rows.is_empty() => {
                    let (some, rest) = self.cut(&write.rows);
                    parts.extend([some, rest].map(|rows| LedgerWrite { rows: rows.into(), ..empty.clone() }));
                }
                Step::Counters => parts.push(LedgerWrite { counters: write.counters, ..empty }),
                Step::Openings | Step::Crossings => {}
            }
        }
        parts.retain(|part| !part.openings.is_empty() || !part.rows.is_empty() || part.counters.is_some());
        let ledgers = parts.into_iter().map(|part| Commit { ledgers: vec![part], quarantine: Vec::new() });
        let quarantine = if step == Step::Openings { commit.quarantine.as_slice() } else { &[] };
        let quarantine = quarantine.iter().map(|row| Commit { ledgers: Vec::new(), quarantine: vec![row.clone()] });
        ledgers.chain(quarantine).collect()
    }

    fn cut<T: Clone>(&self, all: &[T]) -> (Vec<T>, Vec<T>) {
        if self.world.fault(50) { all.iter().cloned().partition(|_| self.world.below(2) == 0) } else { (all.to_vec(), Vec::new()) }
    }

    /// Writes the counters behind the caller's back, as long as the process lives.
    fn counters_later(&self, commit: Arc<Commit>) {
        let Self { world, process, gate, rights, written } = self;
        let (rights, written) = (Arc::clone(rights), Arc::clone(written));
        let remote = Self { world: Arc::clone(world), process: *process, gate: Arc::clone(gate), rights, written };
        world.later(world.below(30), async move {
            while remote.gate.life() != Life::Dead && remote.step(Step::Counters, &commit).await.is_err() {}
        });
    }
}

#[async_trait]
impl Ledgers for Remote {
    async fn counters(&self, dpus: &[DpuId]) -> Result<Vec<Option<Counters>>, StoreError> {
        self.asks().await?;
        let found = self.world.store.counters(dpus).await;
        self.hears().await;
        found
    }

    async fn tail(&self, dpu: &DpuId, from: &[Key]) -> Result<Tail, StoreError> {
        self.asks().await?;
        let torn = self.world.fault(self.world.plan.wire.torn);
        let found = if torn { torn::tail(&self.world, dpu, from).await } else { self.world.store.tail(dpu, from).await };
        self.hears().await;
        found
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), StoreError> {
        self.written.note(&commit);
        let commit = bug::spoil(&self.world, commit).await?;
        self.step(Step::Openings, &commit).await?;
        self.step(Step::Crossings, &commit).await?;
        if self.world.bug == Some(Bug::OffsetBeforeCounters) {
            self.counters_later(commit);
            return Ok(());
        }
        self.step(Step::Counters, &commit).await
    }

    async fn totals(&self, before: &[(DpuId, UnixMs)]) -> Result<Vec<Totals>, StoreError> {
        self.world.store.totals(before).await
    }

    async fn stamped(&self, before: &[(DpuId, UnixMs, Part)]) -> Result<Vec<Stamped>, StoreError> {
        self.world.store.stamped(before).await
    }

    async fn crossings(&self, dpu: &DpuId, from: Key, until: UnixMs, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.world.store.crossings(dpu, from, until, limit).await
    }

    async fn openings(&self, dpu: &DpuId) -> Result<Vec<(Day, Totals)>, StoreError> {
        self.world.store.openings(dpu).await
    }

    async fn dpus(&self, after: Option<&DpuId>, limit: usize) -> Result<Vec<(DpuId, Counters)>, StoreError> {
        self.world.store.dpus(after, limit).await
    }

    async fn quarantined(&self, after: Option<&Source>, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        self.world.store.quarantined(after, limit).await
    }
}
