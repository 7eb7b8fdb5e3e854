//! Counts of rooms with one doorway at random instants: asked of everybody alike, timed, and compared with the truth.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use occupancy::time::UnixMs;
use postgres::Client;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::client::{Connection, request};
use crate::cluster::Database;
use crate::figure::Latencies;
use crate::fleet::{Fleet, mix};

/// One count in so many, before those that are timed, only warms up.
const WARM_SHARE: usize = 4;

/// How long counts took, in ms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Where a count starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// At 0, when the past begins.
    Beginning,
    /// At 0, every day anew.
    Reset,
}

impl Since {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Beginning => "the beginning",
            Self::Reset => "the day's reset",
        }
    }

    /// What the rooms are called, followed by their number.
    fn rooms(self) -> &'static str {
        match self {
            Self::Beginning => "room-",
            Self::Reset => "day-",
        }
    }
}

/// Which counts to ask for.
#[derive(Clone, Copy)]
pub(crate) struct Questions<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) since: Since,
    /// Of so many rooms.
    pub(crate) rooms: usize,
    /// So many, one after the other.
    pub(crate) counts: usize,
}

impl Questions<'_> {
    /// Asks them all.
    fn ask(&self, who: &str, mut answer: impl FnMut(usize, UnixMs) -> Result<i64>) -> Result<Took> {
        let mut each = Latencies::default();
        let warm = self.counts / WARM_SHARE;
        for n in 0..warm + self.counts {
            let random = mix(n as u64);
            let (room, after_ms) = ((random >> 40) as usize % self.rooms, (random % self.fleet.span_ms().unsigned_abs()).cast_signed());
            let at = Fleet::instant(after_ms)?;
            let right = match self.since {
                Since::Beginning => self.fleet.net_before(room, after_ms + 1),
                Since::Reset => self.fleet.net_of(room..room + 1, after_ms),
            };
            let start = Instant::now();
            let count = answer(room, at)?;
            if n >= warm {
                each.push(start.elapsed());
            }
            if count != right {
                bail!("WRONG COUNT: {who}, room {room} at {at} since {}: {count}, but {right} is right", self.since.text());
            }
        }
        Ok(Took { p50_ms: each.percentile_ms(50), p99_ms: each.percentile_ms(99) })
    }

    /// Over HTTP, on one kept connection.
    pub(crate) fn of_headcount(&self, runtime: &Runtime, who: &str, address: std::net::SocketAddr) -> Result<Took> {
        let mut connection = runtime.block_on(Connection::to(address))?;
        self.ask(who, |room, at| {
            let get = request("GET", &format!("/v1/spaces/{}{room}/count?at={at}", self.since.rooms()), "", "");
            let answer: Value = serde_json::from_str(runtime.block_on(connection.succeed(&get))?)?;
            answer.get("raw").and_then(Value::as_i64).with_context(|| format!("no raw count in {answer}"))
        })
    }

    /// Over HTTP, on one kept connection.
    pub(crate) fn of_streams(&self, runtime: &Runtime, who: &str, address: std::net::SocketAddr) -> Result<Took> {
        let mut connection = runtime.block_on(Connection::to(address))?;
        self.ask(who, |room, at| {
            let get = request("GET", &format!("/count?d{room},{}", at.ms()), "", "");
            Ok(runtime.block_on(connection.succeed(&get))?.parse()?)
        })
    }

    /// By a prepared statement of (room, instant), over a socket in a folder.
    pub(crate) fn of_postgres(&self, who: &str, database: &Database, statement: &str) -> Result<Took> {
        let mut client: Client = database.connect()?;
        // Else an index alone cannot answer.
        client.batch_execute("VACUUM ANALYZE")?;
        let statement = client.prepare(statement)?;
        self.ask(who, |room, at| {
            let row = client.query_opt(&statement, &[&i32::try_from(room)?, &at.ms()])?;
            Ok(row.map_or(0, |row| row.get(0)))
        })
    }
}

/// Compares what each DPU is said to have seen, its number with how many entered and exited, with the truth.
pub(crate) fn compare(who: &str, fleet: &Fleet, found: impl IntoIterator<Item = (usize, i64, i64)>) -> Result<()> {
    let mut right = 0;
    for (dpu, entered, exited) in found {
        let net = fleet.net_before(dpu, fleet.span_ms());
        if (entered + exited, entered - exited) != (i64::try_from(fleet.per_dpu)?, net) {
            bail!("WRONG COUNT: {who}, DPU {dpu}: {entered} entered, {exited} exited; right are {} with a net of {net}", fleet.per_dpu);
        }
        right += 1;
    }
    if right == fleet.dpus { Ok(()) } else { bail!("WRONG COUNT: {who} knows {right} of {} DPUs", fleet.dpus) }
}
