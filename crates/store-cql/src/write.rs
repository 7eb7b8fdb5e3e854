//! Commits: openings, then crossings, then counters; each step is durable before the next begins.

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
                (slot, dpu, day.0, entered, exited, write.stamp_us)
            })
        });
        self.write_rows(&self.statements.put_opening, rows.collect(), |row| row.0).await
    }

    async fn write_crossings(&self, commit: &Commit) -> Result<(), StoreError> {
        let rows = commit.ledgers.iter().flat_map(|write| {
            let (slot, dpu) = (self.slot(&write.dpu), write.dpu.as_str());
            write.rows.iter().map(move |row| {
                let (key, day, (entered, exited)) = (row.key, row.key.at.day().0, numbers(row.totals));
                let (at, direction, appended_at) = (timestamp(key.at), sign(key.direction), timestamp(row.appended_at));
                let (boot, seq) = (Whole(key.boot), Whole(key.seq));
                (slot, day, dpu, at, boot, seq, direction, entered, exited, appended_at, write.stamp_us)
            })
        });
        self.write_rows(&self.statements.put_crossing, rows.collect(), |row| (row.0, row.1)).await
    }

    async fn write_counters(&self, commit: &Commit) -> Result<(), StoreError> {
        let rows = commit.ledgers.iter().filter_map(|write| {
            let slot = self.slot(&write.dpu);
            let counters = CqlCounters::from(write.counters.as_ref()?);
            Some((slot, write.dpu.as_str(), counters, write.stamp_us))
        });
        self.write_rows(&self.statements.put_counters, rows.collect(), |row| row.0).await
    }

    /// Enters DPUs this process has not yet seen into the directory, before there are counters of them.
    async fn enter_dpus(&self, commit: &Commit) -> Result<(), StoreError> {
        let fresh: Vec<(&DpuId, i64)> = {
            let entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = commit.ledgers.iter().filter(|write| write.counters.is_some() && !entered.contains(&write.dpu));
            fresh.map(|write| (&write.dpu, write.stamp_us)).collect()
        };
        // All of them in the one partition of the directory.
        let rows = fresh.iter().map(|(dpu, stamp_us)| (dpu.as_str(), *stamp_us));
        self.write_rows(&self.statements.put_dpu, rows.collect(), |_| ()).await?;
        self.entered.lock().unwrap_or_else(PoisonError::into_inner).extend(fresh.into_iter().map(|(dpu, _)| dpu.clone()));
        Ok(())
    }

    /// Writes rows, those of each partition together, all partitions at once.
    pub(crate) async fn write_rows<V: SerializeRow + Send + Sync, P: Ord>(
        &self,
        statement: &PreparedStatement,
        mut rows: Vec<V>,
        partition: fn(&V) -> P,
    ) -> Result<(), StoreError> {
        // Those of one partition stay in their order.
        rows.sort_by_key(partition);
        let partitions = rows.chunk_by(|one, next| partition(one) == partition(next));
        let writes = partitions.flat_map(|rows| rows.chunks(BATCH_ROWS)).map(|rows| self.db.write_all(statement, rows)).collect();
        all_of(writes, AT_ONCE).await.map(drop)
    }
}
