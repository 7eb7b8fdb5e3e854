//! The changelog of counters, and a process's way to it: over a network, each change late, twice or never.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ingest::{CountersFeed, FeedError};
use occupancy::id::DpuId;
use occupancy::ledger::Change;
use occupancy::time::UnixMs;
use store::Commit;
use tokio::time::sleep;

use crate::Bug;
use crate::gate::{Gate, Life};
use crate::world::World;

/// How long an acknowledgement is waited for, in ms.
const TIMEOUT_MS: u64 = 30;

/// The changes of each DPU, as they arrived.
pub(crate) type Changelog = BTreeMap<DpuId, Vec<Change>>;

/// What a process has written: whose counters, and with which stamp.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<BTreeSet<(DpuId, i64)>>);

impl Written {
    pub(crate) fn note(&self, commit: &Commit) {
        let written = commit.ledgers.iter().map(|write| (write.dpu.clone(), write.stamp_us));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(written);
    }

    fn holds(&self, change: &Change) -> bool {
        let of = (change.dpu.clone(), change.counters.stamp_us);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&of)
    }
}

/// One process's way to the changelog.
#[derive(Clone)]
pub(crate) struct Publisher {
    pub(crate) world: Arc<World>,
    pub(crate) process: u64,
    pub(crate) gate: Arc<Gate>,
    pub(crate) written: Arc<Written>,
}

impl Publisher {
    /// Sends all, and waits until all is acknowledged.
    async fn send(&self, changes: &[Change]) -> Result<(), FeedError> {
        self.gate.pass().await;
        let (world, faults) = (&self.world, &self.world.plan.wire);
        let mut acknowledged_ms = 0;
        for change in changes {
            let quick_ms = world.below(4);
            let arrives_ms = if world.fault(faults.slow) { 20 + world.below(400) } else { quick_ms };
            let (lost, unheard) = (world.fault(faults.lost), world.fault(faults.unheard));
            if !lost {
                self.arrives_in(arrives_ms, change);
            }
            if world.fault(faults.twice) {
                self.arrives_in(world.below(200), change);
            }
            acknowledged_ms = acknowledged_ms.max(if lost || unheard { TIMEOUT_MS + 1 } else { arrives_ms + world.below(2) });
        }
        // An arrival at the same ms comes first.
        sleep(Duration::from_millis(acknowledged_ms.min(TIMEOUT_MS) + 1)).await;
        self.gate.pass().await;
        let why = || "no acknowledgement in time".to_owned();
        if acknowledged_ms <= TIMEOUT_MS { Ok(()) } else { Err(FeedError { changes: changes.len(), why: why() }) }
    }

    fn arrives_in(&self, delay_ms: u64, change: &Change) {
        let (world, change) = (Arc::clone(&self.world), change.clone());
        self.world.later(delay_ms, async move { world.publish(change) });
    }

    /// What is published instead by a process with the run's bug.
    fn spoil(&self, changes: &[Change]) -> Vec<Change> {
        let mut changes = changes.to_vec();
        match self.world.bug {
            Some(Bug::SkippedUnpublished) => changes.retain(|change| self.written.holds(change)),
            Some(Bug::FromOfOwnRecord) => {
                for change in changes.iter_mut().filter(|change| change.from == Some(UnixMs::MIN)) {
                    change.from = self.first_of_last_record(change);
                }
            }
            _ => {}
        }
        changes
    }

    fn first_of_last_record(&self, change: &Change) -> Option<UnixMs> {
        let position = change.counters.position?;
        let payload = self.world.log().entry(position.partition, position.offset)?.payload.clone();
        wire::report::decode(&payload).ok()?.crossings.iter().flatten().map(|key| key.at).min()
    }

    /// Publishes behind the caller's back, as long as the process lives.
    fn later(&self, changes: Vec<Change>) {
        let publisher = self.clone();
        self.world.later(self.world.below(30), async move {
            while publisher.gate.life() != Life::Dead && publisher.send(&changes).await.is_err() {}
        });
    }
}

#[async_trait]
impl CountersFeed for Publisher {
    async fn publish(&self, changes: &[Change]) -> Result<(), FeedError> {
        self.gate.pass().await;
        if self.world.rare_fault(self.world.plan.process.dies_at_step) {
            self.world.note(format_args!("process {} dies before it publishes", self.process));
            self.gate.set(Life::Dead);
        }
        let changes = self.spoil(changes);
        if self.world.bug == Some(Bug::PublishedLate) {
            self.later(changes);
            return Ok(());
        }
        self.send(&changes).await
    }
}
