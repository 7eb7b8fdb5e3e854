//! The first design of this kind of system: for each crossing two rows more and two counters changed; a count at an
//! instant adds up events.
//!
//! As fast as it can be: many crossings in one transaction and one statement, counters once a transaction, an index that
//! holds all that is added up. A repeated crossing is found by the key of the event log, without which a batch that is
//! sent again would count twice.

use anyhow::Result;
use postgres::{Client, Statement};

use super::{Crossing, Design};

pub(crate) struct First {
    take: Statement,
}

const TAKE: &str = "
WITH new AS (
  INSERT INTO events SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[])
  ON CONFLICT DO NOTHING RETURNING dpu, at, direction
), passed AS (
  INSERT INTO space_events SELECT dpus.space, new.at, new.direction * dpus.sign FROM new JOIN dpus ON dpus.id = new.dpu
  RETURNING space, change
), seen AS (
  UPDATE dpu_counters SET entered = dpu_counters.entered + more.entered, exited = dpu_counters.exited + more.exited,
    last_at = greatest(last_at, more.at)
  FROM (SELECT dpu, count(*) FILTER (WHERE direction > 0) AS entered, count(*) FILTER (WHERE direction < 0) AS exited, max(at) AS at
    FROM new GROUP BY dpu) more
  WHERE dpu_counters.dpu = more.dpu
)
UPDATE space_counters SET people = people + more.change FROM (SELECT space, sum(change) AS change FROM passed GROUP BY space) more
WHERE space_counters.space = more.space";

impl First {
    /// As [`Design::COUNT`], of a room that begins anew every day at 04:00 UTC: what was added up before needs no more.
    pub(crate) const COUNT_OF_DAY: &str = "SELECT coalesce(sum(change), 0) FROM space_events
        WHERE space = $1 AND at <= $2 AND at >= ($2 - 14400000) / 86400000 * 86400000 + 14400000";
}

impl Design for First {
    const NAME: &str = "PostgreSQL, first design";
    const GROUP: &str = "first";
    const TABLES: &str = "
        CREATE TABLE events (dpu int, at bigint, boot bigint, seq bigint, direction smallint,
          PRIMARY KEY (dpu, at, boot, seq, direction));
        CREATE TABLE space_events (space int NOT NULL, at bigint NOT NULL, change smallint NOT NULL);
        CREATE INDEX space_events_of_space ON space_events (space, at) INCLUDE (change);
        -- Room on each page, so that a counter changes in place and no index with it.
        CREATE TABLE dpu_counters (dpu int PRIMARY KEY, entered bigint NOT NULL, exited bigint NOT NULL, last_at bigint)
          WITH (fillfactor = 50);
        CREATE TABLE space_counters (space int PRIMARY KEY, people bigint NOT NULL) WITH (fillfactor = 50);
        INSERT INTO dpu_counters SELECT id, 0, 0 FROM dpus;
        INSERT INTO space_counters SELECT DISTINCT space, 0 FROM dpus";

    fn new(client: &mut Client) -> Result<Self> {
        Ok(Self { take: client.prepare(TAKE)? })
    }

    fn take(&mut self, client: &mut Client, crossings: &[Crossing]) -> Result<()> {
        let dpus: Vec<i32> = crossings.iter().map(|crossing| crossing.dpu).collect();
        let at: Vec<i64> = crossings.iter().map(|crossing| crossing.key.at.ms()).collect();
        let boots: Vec<i64> = crossings.iter().map(|crossing| crossing.key.boot.cast_signed()).collect();
        let seqs: Vec<i64> = crossings.iter().map(|crossing| crossing.key.seq.cast_signed()).collect();
        let directions: Vec<i16> = crossings.iter().map(|crossing| crossing.key.direction.sign() as i16).collect();
        // One statement is one transaction.
        client.execute(&self.take, &[&dpus, &at, &boots, &seqs, &directions])?;
        Ok(())
    }

    const COUNT: &str = "SELECT coalesce(sum(change), 0) FROM space_events WHERE space = $1 AND at <= $2";

    fn totals(client: &mut Client) -> Result<Vec<(usize, i64, i64)>> {
        // The counter of a space must say what its only DPU says, and what its events add up to.
        let wrong: i64 = client
            .query_one(
                "SELECT count(*) FROM dpus JOIN dpu_counters ON dpu = id JOIN space_counters USING (space)
                 LEFT JOIN (SELECT space, sum(change) AS change FROM space_events GROUP BY space) added USING (space)
                 WHERE people <> (entered - exited) * sign OR people <> coalesce(change, 0)",
                &[],
            )?
            .get(0);
        if wrong > 0 {
            anyhow::bail!("WRONG COUNT: {} has {wrong} spaces whose counters, events and DPUs differ", Self::NAME);
        }
        let rows = client.query("SELECT dpu, entered, exited FROM dpu_counters WHERE last_at IS NOT NULL", &[])?;
        rows.iter().map(|row| Ok((usize::try_from(row.get::<_, i32>(0))?, row.get(1), row.get(2)))).collect()
    }
}
