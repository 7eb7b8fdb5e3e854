//! Clients that watch a count at an API process while people come: how soon after each is produced all have heard of it, and
//! what a client takes.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use super::Engines;
use super::heard::Heard;
use super::load::{LIGHT_PER_S, Load};
use crate::args::Plan;
use crate::crowd::Crowd;
use crate::figure::{Aim, Figure, Latencies};
use crate::fleet::{now, rooms};
use crate::rate::Rate;

/// How many people a second enter the room that all watch: a space is told every 100 ms at most.
const PER_S: usize = 5;
/// The room's DPU.
const DPU: &str = "watched-0";

pub(super) async fn told(engines: &Engines<'_>, plan: &Plan) -> Result<Vec<Figure>> {
    let (clients, for_s) = (plan.watchers, plan.steady_s);
    println!("{clients} clients watch a room that {PER_S} of {LIGHT_PER_S} people a second enter, for {for_s} s");
    let load = Load::start(engines, "watchers", plan.reporting_dpus).await?;
    load.served.put_topology(&rooms(1, "watched-", "")).await?;
    let heard = Heard::start(&load.path)?;
    let mut crowd = Crowd::gather(&load.served, clients).await?;
    let at_once = Rate { start: Instant::now() + Duration::from_millis(100), per_s: PER_S as f64 };
    entered(&load, &heard, &mut crowd, at_once, 0, 1).await?;
    // Before the load, which takes memory of its own.
    let [one, socket] = crowd.weigh(&load.served)?;
    let from = Load::soon();
    let rate = Rate { start: from, per_s: PER_S as f64 };
    let (taken, (each, heard_each)) =
        tokio::try_join!(load.run(from, LIGHT_PER_S, PER_S, for_s), entered(&load, &heard, &mut crowd, rate, 1, PER_S * for_s),)?;
    heard.stop()?;
    load.check().await?;
    let bare = "to a bare consumer of the topic";
    let (p50, p99, bare_p99) = (each.percentile_ms(50), each.percentile_ms(99), heard_each.percentile_ms(99));
    let name = |percent: &str| format!("watchers: produced to its event at all of {clients} clients, {percent}");
    let mut figures = vec![
        Figure::new(name("p50"), p50, "ms").beside(bare, heard_each.percentile_ms(50)),
        Figure::new(name("p99"), p99, "ms").beside(bare, bare_p99).aim(Aim::AtMost(100.0)),
        one,
        socket,
    ];
    figures.extend(taken.figures("watchers", None));
    load.stop()?;
    Ok(figures)
}

/// So many people enter, `before` having done so: how long after each was due it was heard by each client, and by a bare
/// consumer.
async fn entered(
    load: &Load<'_>,
    heard: &Heard,
    crowd: &mut Crowd,
    rate: Rate,
    before: usize,
    people: usize,
) -> Result<(Latencies, Latencies)> {
    let enter = rate.each(people, |i| {
        heard.listen(DPU.to_owned(), rate.due(i).into_std());
        load.send(DPU, now(1, before + i + 1)?)
    });
    let (each, ()) = tokio::try_join!(crowd.hear(rate, people), enter)?;
    Ok((each, heard.each(people).await?))
}
