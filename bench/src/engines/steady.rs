//! A steady 1,700 crossings a second: how long after it is produced a crossing shows in a count, and what that costs.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant as Tick;

use super::backlog::{SLOT_FOR_EACH_DPU, drain};
use super::{Engines, SLOTS, flush, rooms, send, until_taken_in};
use crate::args::Plan;
use crate::client::{Connection, request};
use crate::figure::{Aim, Figure, Latencies};
use crate::fleet::{Fleet, Seen, mix};

/// 100,000 DPUs at a crossing a minute.
const PER_S: usize = 1_700;
/// How many of these a second somebody waits for.
const PROBES_PER_S: usize = 20;
/// Rooms of the probes, each with a DPU of its own: none is used again before its last crossing showed.
const PROBES: usize = 100;
/// How often a room is looked at while somebody waits, at first; later as often as tells the time to a sixteenth, so that
/// looking is never the load.
const LOOK: Duration = Duration::from_millis(2);
const LOOKS: u32 = 16;
/// How long the same load runs before anything is measured.
const WARM_S: usize = 20;
/// When a crossing must show.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn visible(engines: &Engines<'_>, plan: &Plan) -> Result<Vec<Figure>> {
    let (dpus, warm, crossings) = (plan.reporting_dpus, PER_S * WARM_S, PER_S * (WARM_S + plan.steady_s));
    println!("{PER_S} crossings a second for {} s, of {dpus} DPUs", plan.steady_s);
    // Rows one by one, as a steady load writes them: a cluster that has just started is slow until its code is compiled.
    drain(&engines.path("steady_warm", SLOT_FOR_EACH_DPU).await?, &Fleet::new(dpus, 1)).await?;
    let path = engines.path("steady", SLOTS).await?;
    let (served, consumer) = (path.serve()?, path.ingest()?);
    served.put_topology(&rooms(PROBES, "probe-", "")).await?;
    let producer = engines.producer()?;
    // Every DPU has reported once today.
    for dpu in 0..dpus {
        send(&producer, &path.topic, &format!("d{dpu}"), now(1, 0)?)?;
    }
    flush(&producer)?;
    until_taken_in(&consumer, dpus).await?;
    let (mut busy, mut idle, begun) = ((0.0, 0.0), 0.0, Tick::now());
    let mut waiting: JoinSet<Result<Duration>> = JoinSet::new();
    for n in 0..crossings {
        // Open loop: each has its time, and counts from there however late it is sent.
        let due = begun + Duration::from_secs(1).mul_f64(n as f64 / PER_S as f64);
        tokio::time::sleep_until(due).await;
        if n == warm {
            (busy, idle) = ((served.busy_s()?, consumer.busy_s()?), idle_s()?);
        }
        if n >= warm && n.is_multiple_of(PER_S / PROBES_PER_S) {
            let probe = (n - warm) / (PER_S / PROBES_PER_S);
            send(&producer, &path.topic, &format!("probe-{}", probe % PROBES), now(1, probe / PROBES + 1)?)?;
            waiting.spawn(shows(served.address, probe % PROBES, probe / PROBES + 1, due.into_std()));
        } else {
            let direction = if mix(n as u64).is_multiple_of(2) { 1 } else { -1 };
            send(&producer, &path.topic, &format!("d{}", n % dpus), now(direction, n / dpus + 1)?)?;
        }
        producer.poll(Duration::ZERO);
    }
    let took_s = begun.elapsed().as_secs_f64() - WARM_S as f64;
    let mut each = Latencies::default();
    while let Some(shown) = waiting.join_next().await {
        each.push(shown??);
    }
    let share = |seconds: f64| 100.0 * seconds / took_s;
    let figures = vec![
        Figure::new("steady: crossings a second", (crossings - warm) as f64 / took_s, "crossings/s").aim(Aim::AtLeast(PER_S as f64 * 0.98)),
        Figure::new("steady: produced to seen in a count, p50", each.percentile_ms(50), "ms"),
        Figure::new("steady: produced to seen in a count, p99", each.percentile_ms(99), "ms").aim(Aim::AtMost(100.0)),
        Figure::new("steady: consumer, of one core", share(consumer.busy_s()? - busy.1), "%"),
        Figure::new("steady: API process, of one core", share(served.busy_s()? - busy.0), "%"),
        Figure::new("steady: idle, of all cores", share(idle_s()? - idle) / cores(), "%"),
        Figure::new("steady: consumer's memory", consumer.resident_mb()?, "MB"),
        Figure::new("steady: API process's memory", served.resident_mb()?, "MB"),
    ];
    served.stop()?;
    consumer.stop()?;
    Ok(figures)
}

/// Waits until a room has as many people in it; how long after `since` that was.
async fn shows(address: std::net::SocketAddr, room: usize, people: usize, since: Instant) -> Result<Duration> {
    let mut connection = Connection::to(address).await?;
    let get = request("GET", &format!("/v1/spaces/room-{room}/count"), "", "");
    loop {
        let count: Value = serde_json::from_str(connection.succeed(&get).await?)?;
        let raw = count.get("raw").and_then(Value::as_u64).with_context(|| format!("no raw count in {count}"))?;
        if raw >= people as u64 {
            return Ok(since.elapsed());
        }
        if since.elapsed() > PATIENCE {
            bail!("room {room} has {raw} people {PATIENCE:?} after number {people} went in");
        }
        tokio::time::sleep(LOOK.max(since.elapsed() / LOOKS)).await;
    }
}

/// A crossing at this moment.
#[allow(clippy::disallowed_methods, reason = "a load tool is a device with a clock")]
fn now(direction: i8, seq: usize) -> Result<Seen> {
    let at_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    Ok(Seen { at_ms, direction, seq })
}

/// How long all cores together had nothing to do since the machine started, in s.
fn idle_s() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let all = stat.lines().next().and_then(|line| line.split_whitespace().nth(4)?.parse::<f64>().ok());
    Ok(all.context("the kernel does not tell the idle time")? / 100.0)
}

fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}
