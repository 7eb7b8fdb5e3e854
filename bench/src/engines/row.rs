//! The limit of a count in the past: one row by the driver alone.

use anyhow::Result;
use occupancy::id::DpuId;
use occupancy::time::{DAY_MS, UnixMs};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use super::{Engines, SLOTS};

/// What reads it.
pub(super) struct Row<'a> {
    session: &'a Session,
    statement: PreparedStatement,
}

impl<'a> Row<'a> {
    pub(super) async fn of(engines: &'a Engines<'_>, keyspace: &str) -> Result<Self> {
        let session = &engines.session;
        let text =
            format!("SELECT entered, exited FROM {keyspace}.crossings WHERE slot = ? AND day = ? AND dpu_id = ? AND (at) < (?) LIMIT 1");
        Ok(Self { session, statement: session.prepare(text).await? })
    }

    /// Of a DPU's day, the last crossing up to an instant.
    pub(super) async fn read(&self, dpu: usize, at: UnixMs) -> Result<()> {
        let id = format!("d{dpu}");
        let slot = i32::try_from(id.parse::<DpuId>()?.murmur2() % SLOTS)?;
        let asked = (slot, i32::try_from(at.ms() / DAY_MS)?, id, CqlTimestamp(at.ms() + 1));
        self.session.execute_unpaged(&self.statement, asked).await?;
        Ok(())
    }
}
