//! The view as a store: counters and totals from memory where it can, everything else from the store behind it.

use std::sync::Arc;

use ::store::{AppendError, Commit, Edits, Ledgers, Part, Quarantined, Settings, Source, Stamped, Store, StoreError};
use async_trait::async_trait;
use occupancy::crossing::Key;
use occupancy::edit::Edit;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row, Tail, Totals};
use occupancy::time::{Day, UnixMs};

use super::Live;
use super::lookups::Lookups;

/// Whether totals must be those over all time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    Needed,
    NotNeeded,
}

impl Live {
    async fn look_up(&self, before: &[(DpuId, UnixMs)], whole: Whole) -> Result<Vec<Totals>, StoreError> {
        let Some(mut lookups) = self.fresh(|view| Lookups::new(view, before, |instants| whole.part(instants))) else {
            self.metrics.read(0, before.len());
            return self.read_totals(before, whole).await;
        };
        let held = lookups.held();
        self.metrics.read(held, before.len() - held);
        let to_read = lookups.to_read();
        if !to_read.is_empty() {
            lookups.put(self.store.stamped(&to_read).await?);
        }
        let anew = self.read_totals(&lookups.to_read_anew(), whole).await?;
        Ok(lookups.complete(anew, &mut self.state().view))
    }

    async fn read_totals(&self, before: &[(DpuId, UnixMs)], whole: Whole) -> Result<Vec<Totals>, StoreError> {
        match whole {
            _ if before.is_empty() => Ok(Vec::new()),
            Whole::Needed => self.store.totals(before).await,
            Whole::NotNeeded => self.store.relative_totals(before).await,
        }
    }
}

impl Whole {
    /// What is needed of one DPU.
    fn part(self, instants: &[UnixMs]) -> Part {
        if self == Self::Needed { Part::Whole } else { Part::between(instants) }
    }
}

#[async_trait]
impl Ledgers for Live {
    async fn counters(&self, dpus: &[DpuId]) -> Result<Vec<Option<Counters>>, StoreError> {
        if let Some(held) = self.fresh(|view| dpus.iter().map(|dpu| view.counters(dpu)).collect()) {
            self.metrics.read(dpus.len(), 0);
            return Ok(held);
        }
        let found = self.store.counters(dpus).await?;
        self.metrics.read(0, dpus.len());
        let mut state = self.state();
        for (dpu, counters) in dpus.iter().zip(&found).filter_map(|(dpu, counters)| Some((dpu, (*counters)?))) {
            state.view.learn(dpu, counters);
        }
        Ok(found)
    }

    async fn totals(&self, before: &[(DpuId, UnixMs)]) -> Result<Vec<Totals>, StoreError> {
        self.look_up(before, Whole::Needed).await
    }

    async fn relative_totals(&self, before: &[(DpuId, UnixMs)]) -> Result<Vec<Totals>, StoreError> {
        self.look_up(before, Whole::NotNeeded).await
    }

    async fn stamped(&self, before: &[(DpuId, UnixMs, Part)]) -> Result<Vec<Stamped>, StoreError> {
        self.store.stamped(before).await
    }

    async fn tail(&self, dpu: &DpuId, from: &[Key]) -> Result<Tail, StoreError> {
        self.store.tail(dpu, from).await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), StoreError> {
        self.store.commit(commit).await
    }

    async fn crossings(&self, dpu: &DpuId, from: Key, until: UnixMs, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.store.crossings(dpu, from, until, limit).await
    }

    async fn openings(&self, dpu: &DpuId) -> Result<Vec<(Day, Totals)>, StoreError> {
        self.store.openings(dpu).await
    }

    async fn dpus(&self, after: Option<&DpuId>, limit: usize) -> Result<Vec<(DpuId, Counters)>, StoreError> {
        self.store.dpus(after, limit).await
    }

    async fn quarantined(&self, after: Option<&Source>, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        self.store.quarantined(after, limit).await
    }
}

#[async_trait]
impl Edits for Live {
    async fn since(&self, revision: u64) -> Result<Vec<Edit>, StoreError> {
        self.store.since(revision).await
    }

    async fn append(&self, expected: u64, edit: &Edit) -> Result<(), AppendError> {
        self.store.append(expected, edit).await
    }

    async fn settings(&self) -> Result<Settings, StoreError> {
        self.store.settings().await
    }

    async fn put_settings(&self, expected: &Settings, new: &Settings) -> Result<bool, StoreError> {
        self.store.put_settings(expected, new).await
    }
}

impl Store for Live {
    fn size_bytes(&self) -> Option<u64> {
        self.store.size_bytes()
    }
}
