//! The limit of a count in the past: one row by the driver alone.

use anyhow::{Result, bail};
use occupancy::id::DpuId;
use occupancy::time::DAY_MS;
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use super::{Engines, SLOTS};
use crate::fleet::Fleet;

/// What reads it.
pub(super) struct Row<'a> {
    session: &'a Session,
    statement: PreparedStatement,
    fleet: &'a Fleet,
}

impl<'a> Row<'a> {
    pub(super) async fn of(engines: &'a Engines<'_>, keyspace: &str, fleet: &'a Fleet) -> Result<Self> {
        let session = &engines.session;
        let text =
            format!("SELECT entered, exited FROM {keyspace}.crossings WHERE slot = ? AND day = ? AND dpu_id = ? AND (at) < (?) LIMIT 1");
        Ok(Self { session, statement: session.prepare(text).await?, fleet })
    }

    /// Of a DPU's day, the last crossing up to so long after the beginning, which must be the right one. Before the first of a
    /// day there is no row.
    pub(super) async fn read(&self, dpu: usize, after_ms: i64) -> Result<()> {
        let (id, at_ms) = (format!("d{dpu}"), Fleet::instant(after_ms)?.ms());
        let slot = i32::try_from(id.parse::<DpuId>()?.murmur2() % SLOTS)?;
        let asked = (slot, i32::try_from(at_ms / DAY_MS)?, id, CqlTimestamp(at_ms + 1));
        let answer = self.session.execute_unpaged(&self.statement, asked).await?.into_rows_result()?;
        let found = answer.maybe_first_row::<(i64, i64)>()?;
        let day_ms = (after_ms - at_ms % DAY_MS).max(0);
        let right = self.fleet.net_before(dpu, after_ms + 1) - self.fleet.net_before(dpu, day_ms);
        let (entered, exited) = found.unwrap_or_default();
        if entered - exited == right { Ok(()) } else { bail!("WRONG ROW: d{dpu} after {after_ms} ms: {found:?}, but {right} is right") }
    }
}
