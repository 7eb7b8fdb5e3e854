//! Commits: openings, then crossings, then counters; each step is durable before the next begins.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use occupancy::id::DpuId;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use store::{Commit, StoreError};

use crate::CqlStore;
use crate::session::{AT_ONCE, all_of};
use crate::value::{CqlCounters, Whole, numbers, sign, timestamp};

/// The most rows of a batch: beyond it, batches of one partition gain nothing.
const BATCH_ROWS: usize = 100;

/// The partition of all DPUs in order of id.
const DIRECTORY: i32 = 0;

impl CqlStore {
    pub(crate) async fn write(&self, commit: &Commit) -> Result<(), StoreError> {
        futures_util::try_join!(self.write_openings(commit), self.enter_dpus(commit), self.write_quarantine(&commit.quarantine))?;
        self.write_crossings(commit).await?;
        self.write_counters(commit).await
    }

    async fn write_openings(&self, commit: &Commit) -> Result<(), StoreError> {
        let rows = commit.ledgers.iter().flat_map(|write| {
            let (slot, dpu) = (self.slot(&write.dpu), write.dpu.as_str());
            write.openings.iter().map(move |(day, totals)| {
                let (entered, exited) = numbers(*totals);
                (slot, (slot, dpu, day.0, entered, exited, write.stamp_us))
            })
        });
        self.write_partitions(&self.statements.put_opening, by_partition(rows)).await
    }

    async fn write_crossings(&self, commit: &Commit) -> Result<(), StoreError> {
        let rows = commit.ledgers.iter().flat_map(|write| {
            let (slot, dpu) = (self.slot(&write.dpu), write.dpu.as_str());
            write.rows.iter().map(move |row| {
                let (key, day, (entered, exited)) = (row.key, row.key.at.day().0, numbers(row.totals));
                let (at, direction, appended_at) = (timestamp(key.at), sign(key.direction), timestamp(row.appended_at));
                let (boot, seq) = (Whole(key.boot), Whole(key.seq));
                ((slot, day), (slot, day, dpu, at, boot, seq, direction, entered, exited, appended_at, write.stamp_us))
            })
        });
        self.write_partitions(&self.statements.put_crossing, by_partition(rows)).await
    }

    async fn write_counters(&self, commit: &Commit) -> Result<(), StoreError> {
        let rows = commit.ledgers.iter().filter_map(|write| {
            let slot = self.slot(&write.dpu);
            let counters = CqlCounters::from(write.counters.as_ref()?);
            Some((slot, (slot, write.dpu.as_str(), counters, write.stamp_us)))
        });
        self.write_partitions(&self.statements.put_counters, by_partition(rows)).await
    }

    /// Enters DPUs this process has not yet seen into the directory, before there are counters of them.
    async fn enter_dpus(&self, commit: &Commit) -> Result<(), StoreError> {
        let fresh: Vec<(&DpuId, i64)> = {
            let entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = commit.ledgers.iter().filter(|write| write.counters.is_some() && !entered.contains(&write.dpu));
            fresh.map(|write| (&write.dpu, write.stamp_us)).collect()
        };
        let rows = fresh.iter().map(|(dpu, stamp_us)| (DIRECTORY, (dpu.as_str(), *stamp_us)));
        self.write_partitions(&self.statements.put_dpu, by_partition(rows)).await?;
        self.entered.lock().unwrap_or_else(PoisonError::into_inner).extend(fresh.into_iter().map(|(dpu, _)| dpu.clone()));
        Ok(())
    }

    /// Writes the rows of each partition together, all partitions at once.
    pub(crate) async fn write_partitions<V: SerializeRow + Send + Sync>(
        &self,
        statement: &PreparedStatement,
        partitions: Vec<Vec<V>>,
    ) -> Result<(), StoreError> {
        let batches = partitions.iter().flat_map(|rows| rows.chunks(BATCH_ROWS));
        let writes = batches.map(|rows| self.db.write_all(statement, rows)).collect();
        all_of(writes, AT_ONCE).await.map(drop)
    }
}

/// Puts together the rows of each partition.
pub(crate) fn by_partition<P: Ord, V>(rows: impl Iterator<Item = (P, V)>) -> Vec<Vec<V>> {
    let mut partitions: BTreeMap<P, Vec<V>> = BTreeMap::new();
    for (partition, row) in rows {
        partitions.entry(partition).or_default().push(row);
    }
    partitions.into_values().collect()
}
