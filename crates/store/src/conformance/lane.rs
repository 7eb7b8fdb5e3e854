//! A lane at its simplest: what owns DPUs, folds their records and forgets everything when it restarts.

use std::collections::BTreeMap;
use std::sync::Arc;

use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Fold, Record, fold};

use crate::{Commit, LedgerWrite, Store, StoreError};

/// The counters a lane knows.
#[derive(Debug, Clone, Default)]
pub struct Lane {
    known: BTreeMap<DpuId, Counters>,
}

impl Lane {
    /// The commit that folds a batch, read from the store where it must be.
    ///
    /// # Errors
    /// The store fails.
    pub async fn prepare(&mut self, store: &dyn Store, batch: &[(DpuId, Record)]) -> Result<Commit, StoreError> {
        let mut records: BTreeMap<&DpuId, Vec<Record>> = BTreeMap::new();
        for (dpu, record) in batch {
            records.entry(dpu).or_default().push(record.clone());
        }
        let mut commit = Commit::default();
        for (dpu, records) in records {
            let known = match self.known.get(dpu) {
                Some(known) => *known,
                None => store.counters(std::slice::from_ref(dpu)).await?.into_iter().flatten().next().unwrap_or_default(),
            };
            let changes = match fold(&known, &records) {
                None => continue,
                Some(Fold::Append(changes)) => changes,
                Some(Fold::Merge(merge)) => {
                    let tail = store.tail(dpu, &merge.from()).await?;
                    merge.apply(&tail)
                }
            };
            self.known.insert(dpu.clone(), changes.counters);
            commit.ledgers.push(LedgerWrite::new(dpu.clone(), changes));
        }
        Ok(commit)
    }

    /// Folds a batch and commits it.
    ///
    /// # Errors
    /// The store fails.
    pub async fn take(&mut self, store: &dyn Store, batch: &[(DpuId, Record)]) -> Result<(), StoreError> {
        let commit = self.prepare(store, batch).await?;
        store.commit(Arc::new(commit)).await
    }
}
