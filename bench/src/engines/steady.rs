//! A steady 1,700 crossings a second: how long after it is produced a crossing shows in a count, and what that costs.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::task::JoinSet;

use super::Engines;
use super::heard::Heard;
use super::load::{LIGHT_PER_S, Load, PER_S, Taken};
use crate::args::Plan;
use crate::client::{Connection, raw_of, request};
use crate::figure::{Aim, Figure, Latencies};
use crate::fleet::{now, rooms};
use crate::rate::Rate;

/// How many of these a second somebody waits for.
const PROBES_PER_S: usize = 20;
/// Rooms of the probes, each with a DPU of its own: none is used again before its last crossing showed.
const PROBES: usize = 100;
/// How often a room is looked at while somebody waits, at first; later as often as tells the time to a sixteenth, so that
/// looking is never the load.
const LOOK: Duration = Duration::from_millis(2);
const LOOKS: u32 = 16;
/// When a crossing must show.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn visible(engines: &Engines<'_>, plan: &Plan) -> Result<Vec<Figure>> {
    println!("{LIGHT_PER_S}, then {PER_S} crossings a second for {} s each, of {} DPUs", plan.steady_s, plan.reporting_dpus);
    let load = Load::start(engines, "steady", plan.reporting_dpus).await?;
    load.served.put_topology(&rooms(PROBES, "probe-", "")).await?;
    let heard = Heard::start(&load.path)?;
    let light = shown(&load, &heard, 0, LIGHT_PER_S, plan.steady_s).await?;
    let full = shown(&load, &heard, light.each.len(), PER_S, plan.steady_s).await?;
    heard.stop()?;
    load.check().await?;
    let a_quarter = || format!("at {LIGHT_PER_S} a second");
    let [consumer, api, idle] = full.taken.figures("steady", Some((&a_quarter(), &light.taken)));
    let ratio = full.each.percentile_ms(99) / full.heard.percentile_ms(99);
    let figures = vec![
        Figure::new("steady: crossings a second", full.taken.per_s, "crossings/s").id("steady").aim(Aim::AtLeast(PER_S as f64 * 0.98)),
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
        consumer.id("steady_consumer"),
        api.id("steady_api"),
        idle.id("steady_idle"),
        Figure::new("steady: consumer's memory", load.consumer.resident_mb()?, "MB"),
        Figure::new("steady: API process's memory", load.served.resident_mb()?, "MB").id("api_memory"),
    ];
    load.stop()?;
    Ok(figures)
}

/// What a load took, and how soon its probes showed.
struct Shown {
    taken: Taken,
    each: Latencies,
    /// To a bare consumer.
    heard: Latencies,
}

/// The load, probes among it; `before` were sent already.
async fn shown(load: &Load<'_>, heard: &Heard, before: usize, per_s: usize, for_s: usize) -> Result<Shown> {
    let from = Load::soon();
    let rate = Rate { start: from, per_s: PROBES_PER_S as f64 };
    let mut waiting: JoinSet<Result<Duration>> = JoinSet::new();
    let probes = rate.each(PROBES_PER_S * for_s, |i| {
        let (room, people, due) = ((before + i) % PROBES, (before + i) / PROBES + 1, rate.due(i).into_std());
        let dpu = format!("probe-{room}");
        heard.listen(dpu.clone(), due);
        load.send(&dpu, now(1, people)?)?;
        waiting.spawn(shows(load.served.address, room, people, due));
        Ok(())
    });
    let (taken, ()) = tokio::try_join!(load.run(from, per_s, PROBES_PER_S, for_s), probes)?;
    let mut each = Latencies::default();
    while let Some(shown) = waiting.join_next().await {
        each.push(shown??);
    }
    let heard = heard.each(each.len()).await?;
    Ok(Shown { taken, each, heard })
}

/// Waits until a room has as many people in it; how long after `since` that was.
async fn shows(address: std::net::SocketAddr, room: usize, people: usize, since: Instant) -> Result<Duration> {
    let mut connection = Connection::to(address).await?;
    let get = request("GET", &format!("/v1/spaces/room-{room}/count"), "", "");
    loop {
        let raw = raw_of(connection.succeed(&get).await?)?;
        if raw >= i64::try_from(people)? {
            return Ok(since.elapsed());
        }
        if since.elapsed() > PATIENCE {
            bail!("room {room} has {raw} people {PATIENCE:?} after number {people} went in");
        }
        tokio::time::sleep(LOOK.max(since.elapsed() / LOOKS)).await;
    }
}
