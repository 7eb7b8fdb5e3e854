//! A page of history that walks two million crossings, beside the same rows read by the driver alone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use occupancy::id::DpuId;
use occupancy::time::DAY_MS;
use scylla::value::{CqlTimestamp, CqlVarint};
use serde_json::Value;

use super::{Engines, SLOTS, send_gathered, until_taken_in};
use crate::args::Plan;
use crate::client::{Connection, request};
use crate::cql;
use crate::figure::{Aim, Figure};
use crate::fleet::Fleet;

/// DPUs around one campus.
const DPUS: usize = 100;
/// Crossings in a record, as firmware sends them that gathers.
const GATHERED: usize = 100;
/// The columns a walk reads.
type Row = (CqlTimestamp, CqlVarint, CqlVarint, i8, i64, i64, CqlTimestamp);
/// What is on disk has settled once it is the same this long after; and when it must have.
const SETTLES: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(120);
/// After how long a request is given up, in s.
const REQUEST_S: f64 = 30.0;

pub(super) async fn walked(engines: &Engines<'_>, plan: &Plan) -> Result<Vec<Figure>> {
    let fleet = Fleet::new(DPUS, plan.walk / DPUS);
    println!("history of a campus of {DPUS} doorways, over {} crossings", fleet.crossings());
    let path = engines.path("walks", SLOTS).await?;
    send_gathered(engines, &path.topic, &fleet, GATHERED)?;
    let consumer = path.ingest()?;
    until_taken_in(&consumer, fleet.crossings()).await?;
    consumer.stop()?;
    let served = path.serve()?;
    served.put_topology(&fleet.topology()).await?;
    let mut connection = Connection::to(served.address).await?;
    let (from, to) = (Fleet::instant(0)?, Fleet::instant(fleet.span_ms())?);
    let get = request("GET", &format!("/v1/spaces/campus/history?interval=1h&from={from}&to={to}"), "", "");
    // A walk must not find what one before it has kept: first comes the driver, which warms the cluster up for both.
    let driver_s = by_driver(engines, &path.keyspace, &fleet).await?;
    let start = Instant::now();
    let history: Value = serde_json::from_str(connection.succeed(&get).await?)?;
    let took_s = start.elapsed().as_secs_f64();
    check(&history, &fleet)?;
    let start = Instant::now();
    connection.succeed(&get).await?;
    let kept_s = start.elapsed().as_secs_f64();
    let disk = disk_bytes(engines, &path.keyspace).await? / fleet.crossings() as f64;
    let figures = vec![
        Figure::new("history: one page", took_s, "s").beside("the same rows by the bare driver", driver_s).aim(Aim::AtMost(REQUEST_S)),
        Figure::new("history: crossings walked", fleet.crossings() as f64 / took_s, "crossings/s"),
        Figure::new("history: the same page again", kept_s, "s"),
        Figure::new("history: memory of the API process", served.resident_mb()?, "MB"),
        Figure::new("disk of a node, one copy", disk, "bytes/crossing").id("store_disk"),
    ];
    served.stop()?;
    Ok(figures)
}

/// All of it stands in one page, and no more.
fn check(history: &Value, fleet: &Fleet) -> Result<()> {
    let buckets = history.get("buckets").and_then(Value::as_array).context("a history without buckets")?;
    let number = |bucket: &Value, key| bucket.get(key).and_then(Value::as_u64).unwrap_or_default();
    let seen: u64 = buckets.iter().map(|bucket| number(bucket, "entered") + number(bucket, "exited")).sum();
    if history.get("next").is_some_and(Value::is_null) && usize::try_from(seen)? == fleet.crossings() {
        return Ok(());
    }
    bail!("WRONG HISTORY: {seen} of {} crossings in a page, next {:?}", fleet.crossings(), history.get("next"))
}

/// What a keyspace takes on disk once all of it is there, of every table the MiB begun.
async fn disk_bytes(engines: &Engines<'_>, keyspace: &str) -> Result<f64> {
    for table in ["crossings", "dpu_openings", "dpu_counters", "dpus"] {
        let flush = format!("ALTER TABLE {keyspace}.{table} WITH memtable_flush_period_in_ms = 1000");
        engines.session.query_unpaged(flush, ()).await?;
    }
    let usage = format!("SELECT mebibytes FROM system_views.disk_usage WHERE keyspace_name = '{keyspace}'");
    let (mut before, begun) = (0, Instant::now());
    while begun.elapsed() < PATIENCE {
        tokio::time::sleep(SETTLES).await;
        let now = cql::all::<(i64,)>(&engines.session, &usage).await?.iter().map(|(mebibytes,)| mebibytes).sum::<i64>();
        if now > 0 && now == before {
            return Ok((now << 20) as f64);
        }
        before = now;
    }
    bail!("what {keyspace} takes on disk does not settle")
}

/// Reads each DPU's days, one after the other; how long that takes, in s.
async fn by_driver(engines: &Engines<'_>, keyspace: &str, fleet: &Fleet) -> Result<f64> {
    let start = Instant::now();
    let (first, last) = (Fleet::instant(0)?.ms() / DAY_MS, Fleet::instant(fleet.span_ms())?.ms() / DAY_MS);
    let mut rows = 0;
    for dpu in 0..fleet.dpus {
        let id = format!("d{dpu}");
        let slot = id.parse::<DpuId>()?.murmur2() % SLOTS;
        for day in first..=last {
            let columns = "at, boot, seq, direction, entered, exited, appended_at";
            let text = format!("SELECT {columns} FROM {keyspace}.crossings WHERE slot = {slot} AND day = {day} AND dpu_id = '{id}'");
            rows += cql::all::<Row>(&engines.session, &text).await?.len();
        }
    }
    if rows == fleet.crossings() { Ok(start.elapsed().as_secs_f64()) } else { bail!("{rows} rows for {} crossings", fleet.crossings()) }
}
