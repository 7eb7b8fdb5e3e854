//! A page of history that walks two million crossings, beside the same rows read by the driver alone.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use occupancy::id::DpuId;
use occupancy::time::DAY_MS;
use scylla::value::{CqlTimestamp, CqlVarint};
use serde_json::{Value, json};

use super::{Engines, GATHERED, SLOTS, send_gathered, until_taken_in};
use crate::args::Plan;
use crate::client::{Connection, request};
use crate::cql;
use crate::figure::{Aim, Figure};
use crate::fleet::{Fleet, seen};
use crate::weighed::{on_disk, settle};

/// DPUs around one campus.
const DPUS: usize = 100;
/// The columns a walk reads.
type Row = (CqlTimestamp, CqlVarint, CqlVarint, i8, i64, i64, CqlTimestamp);
/// A bucket of the page.
const HOUR_MS: i64 = 3_600_000;
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
    // A walk must not find what one before it has kept, so the driver comes first: once to warm the cluster up for both.
    by_driver(engines, &path.keyspace, &fleet).await?;
    let driver_s = by_driver(engines, &path.keyspace, &fleet).await?;
    let start = Instant::now();
    let history: Value = serde_json::from_str(connection.succeed(&get).await?)?;
    let took_s = start.elapsed().as_secs_f64();
    check(&history, &fleet)?;
    let start = Instant::now();
    connection.succeed(&get).await?;
    let kept_s = start.elapsed().as_secs_f64();
    settle(&engines.session, &path.keyspace).await?;
    let disk = on_disk(&engines.session, &path.keyspace).await?.values().sum::<u64>() as f64 / fleet.crossings() as f64;
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

/// All of it stands in one page, each crossing in its hour, and no more.
fn check(history: &Value, fleet: &Fleet) -> Result<()> {
    let buckets = history.get("buckets").and_then(Value::as_array).context("a history without buckets")?;
    let mut hours = vec![(0_u64, 0_u64); usize::try_from((fleet.span_ms() - 1) / HOUR_MS + 1)?];
    let beginning_ms = Fleet::instant(0)?.ms();
    for seen in (0..fleet.dpus).flat_map(|dpu| (0..fleet.per_dpu).map(move |k| seen(dpu, k))) {
        let hour = hours.get_mut(usize::try_from((seen.at_ms - beginning_ms) / HOUR_MS)?).context("a crossing after the last hour")?;
        *(if seen.direction > 0 { &mut hour.0 } else { &mut hour.1 }) += 1;
    }
    if buckets.len() != hours.len() || !history.get("next").is_some_and(Value::is_null) {
        bail!("WRONG HISTORY: {} of {} hours in a page, next {:?}", buckets.len(), hours.len(), history.get("next"));
    }
    for ((bucket, (entered, exited)), hour) in buckets.iter().zip(hours).zip(0..) {
        let (start_ms, end_ms) = (hour * HOUR_MS, fleet.span_ms().min((hour + 1) * HOUR_MS));
        let right = json!([Fleet::instant(start_ms)?.to_string(), entered, exited, fleet.raw(None, end_ms - 1)]);
        let of = |place| bucket.pointer(place).cloned().unwrap_or_default();
        let found = json!([of("/start"), of("/entered"), of("/exited"), of("/close/raw")]);
        if found != right {
            bail!("WRONG HISTORY: an hour's start, entered, exited and raw count at its end are {found}, but {right} is right");
        }
    }
    Ok(())
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
