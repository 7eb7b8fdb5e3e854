//! A steady 1,700 crossings a second: how long after it is produced a crossing shows in a count, and what that costs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::producer::BaseProducer;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant as Tick;

use super::backlog::{SLOT_FOR_EACH_DPU, drain};
use super::heard::Heard;
use super::{Engines, Path, SLOTS, until_taken_in};
use crate::args::Plan;
use crate::client::{Connection, request};
use crate::figure::{Aim, Figure, Latencies};
use crate::fleet::{Fleet, mix, now, rooms};
use crate::kafka::{flush, producer, send};
use crate::served::Served;

/// 100,000 DPUs at a crossing a minute.
const PER_S: usize = 1_700;
/// A load that these machines carry easily: what is left of the times is not waiting for a processor.
const LIGHT_PER_S: usize = PER_S / 4;
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
    let dpus = plan.reporting_dpus;
    println!("{LIGHT_PER_S}, then {PER_S} crossings a second for {} s each, of {dpus} DPUs", plan.steady_s);
    // Rows one by one, as a steady load writes them: a cluster that has just started is slow until its code is compiled.
    drain(&engines.path("steady_warm", SLOT_FOR_EACH_DPU).await?, &Fleet::new(dpus, 1)).await?;
    let path = engines.path("steady", SLOTS).await?;
    let (served, consumer) = (path.serve()?, path.ingest()?);
    served.put_topology(&rooms(PROBES, "probe-", "")).await?;
    let producer = producer(&engines.brokers)?;
    // Every DPU has reported once today.
    for dpu in 0..dpus {
        send(&producer, &path.topic, &format!("d{dpu}"), [now(1, 0)?])?;
    }
    flush(&producer)?;
    until_taken_in(&consumer, dpus).await?;
    let heard = Heard::start(&path)?;
    let mut load = Load { path: &path, producer, heard, dpus, sent: 0, probes: 0, served: &served, consumer: &consumer };
    let mut light = load.run(LIGHT_PER_S, plan.steady_s).await?;
    let mut full = load.run(PER_S, plan.steady_s).await?;
    let a_quarter = || format!("at {LIGHT_PER_S} a second");
    let share = |seconds: f64| 100.0 * seconds / full.took_s;
    let ratio = full.each.percentile_ms(99) / full.heard.percentile_ms(99);
    let figures = vec![
        Figure::new("steady: crossings a second", full.crossings as f64 / full.took_s, "crossings/s")
            .id("steady")
            .aim(Aim::AtLeast(PER_S as f64 * 0.98)),
        Figure::new("steady: produced to seen in a count, p50", full.each.percentile_ms(50), "ms")
            .beside(a_quarter(), light.each.percentile_ms(50)),
        Figure::new("steady: produced to seen in a count, p99", full.each.percentile_ms(99), "ms")
            .id("steady_p99")
            .beside(a_quarter(), light.each.percentile_ms(99))
            .aim(Aim::AtMost(100.0)),
        Figure::new("steady: as many times as to a bare consumer of the topic, p99", ratio, "times")
            .beside(a_quarter(), light.each.percentile_ms(99) / light.heard.percentile_ms(99))
            .aim(Aim::AtMost(2.0)),
        Figure::new("steady: produced to a bare consumer of the topic, p99", full.heard.percentile_ms(99), "ms")
            .beside(a_quarter(), light.heard.percentile_ms(99)),
        Figure::new("steady: consumer, of one core", share(full.busy_s.1), "%")
            .id("steady_consumer")
            .beside(a_quarter(), 100.0 * light.busy_s.1 / light.took_s),
        Figure::new("steady: API process, of one core", share(full.busy_s.0), "%")
            .id("steady_api")
            .beside(a_quarter(), 100.0 * light.busy_s.0 / light.took_s),
        Figure::new("steady: idle, of all cores", share(full.idle_s) / cores(), "%")
            .id("steady_idle")
            .beside(a_quarter(), 100.0 * light.idle_s / light.took_s / cores()),
        Figure::new("steady: consumer's memory", consumer.resident_mb()?, "MB"),
        Figure::new("steady: API process's memory", served.resident_mb()?, "MB").id("api_memory"),
    ];
    load.heard.stop()?;
    served.stop()?;
    consumer.stop()?;
    Ok(figures)
}

/// Who reports, and who answers.
struct Load<'a> {
    path: &'a Path<'a>,
    producer: BaseProducer,
    /// Hears of the same probes.
    heard: Heard,
    dpus: usize,
    /// Crossings sent so far of those nobody waits for, and of probes.
    sent: usize,
    probes: usize,
    served: &'a Served,
    consumer: &'a Served,
}

/// What a load took.
struct Taken {
    crossings: usize,
    took_s: f64,
    each: Latencies,
    /// To a bare consumer.
    heard: Latencies,
    /// Of the API process and of the consumer.
    busy_s: (f64, f64),
    idle_s: f64,
}

impl Load<'_> {
    /// So many crossings a second for so long, once the same has gone on for a while.
    async fn run(&mut self, per_s: usize, for_s: usize) -> Result<Taken> {
        let (warm, all) = (per_s * WARM_S, per_s * (WARM_S + for_s));
        let (mut before, mut from, begun) = ((0.0, 0.0, 0.0), Tick::now(), Tick::now());
        let mut waiting: JoinSet<Result<Duration>> = JoinSet::new();
        for n in 0..all {
            // Open loop: each has its time, and counts from there however late it is sent.
            let due = begun + Duration::from_secs(1).mul_f64(n as f64 / per_s as f64);
            tokio::time::sleep_until(due).await;
            if n == warm {
                (before, from) = (self.used()?, due);
            }
            if n >= warm && n.is_multiple_of(per_s / PROBES_PER_S) {
                let (room, people) = (self.probes % PROBES, self.probes / PROBES + 1);
                self.probes += 1;
                let dpu = format!("probe-{room}");
                self.heard.listen(dpu.clone(), due.into_std());
                send(&self.producer, &self.path.topic, &dpu, [now(1, people)?])?;
                waiting.spawn(shows(self.served.address, room, people, due.into_std()));
            } else {
                let direction = if mix(self.sent as u64).is_multiple_of(2) { 1 } else { -1 };
                let (dpu, seq) = (self.sent % self.dpus, self.sent / self.dpus + 1);
                self.sent += 1;
                send(&self.producer, &self.path.topic, &format!("d{dpu}"), [now(direction, seq)?])?;
            }
            self.producer.poll(Duration::ZERO);
        }
        let (took_s, used) = (from.elapsed().as_secs_f64(), self.used()?);
        let mut each = Latencies::default();
        while let Some(shown) = waiting.join_next().await {
            each.push(shown??);
        }
        let heard = self.heard.each().await?;
        if heard.len() != each.len() {
            bail!("a bare consumer heard of {} of {} crossings", heard.len(), each.len());
        }
        let busy_s = (used.0 - before.0, used.1 - before.1);
        Ok(Taken { crossings: all - warm, took_s, each, heard, busy_s, idle_s: used.2 - before.2 })
    }

    /// What both processes have used of the processors, and how long these had nothing to do, in s.
    fn used(&self) -> Result<(f64, f64, f64)> {
        Ok((self.served.busy_s()?, self.consumer.busy_s()?, idle_s()?))
    }
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

/// How long all cores together had nothing to do since the machine started, in s.
fn idle_s() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let all = stat.lines().next().and_then(|line| line.split_whitespace().nth(4)?.parse::<f64>().ok());
    Ok(all.context("the kernel does not tell the idle time")? / 100.0)
}

fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}
