//! Clients that watch a count: what each takes in memory, how soon all hear of a crossing, and what telling them costs.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use crate::args::Plan;
use crate::client::{Connection, request};
use crate::crowd::Crowd;
use crate::figure::{Aim, Figure};
use crate::fleet::{Fleet, now, report};
use crate::rate::Rate;
use crate::served::{Program, Served, busy_s};

/// How many crossings they are told of.
const CROSSINGS: usize = 20;
/// How many of them a second: a space is told every 100 ms at most, and telling all takes a while.
const PER_S: f64 = 2.0;

pub(crate) async fn told(program: &Program, plan: &Plan) -> Result<Vec<Figure>> {
    let clients = plan.watchers;
    println!("{clients} clients watch a count");
    let (fleet, folder) = (Fleet::new(1, CROSSINGS), program.folder()?);
    let served = Served::over(program, folder.path())?;
    served.hang(&fleet).await?;
    let mut crowd = Crowd::gather(&served, clients).await?;
    let (busy, own_busy) = (served.busy_s()?, busy_s("self")?);
    let rate = Rate { start: Instant::now() + Duration::from_millis(100), per_s: PER_S };
    let enter = rate.ask(CROSSINGS, 1, || Connection::to(served.address), enter);
    let (each, _) = tokio::try_join!(crowd.hear(rate, CROSSINGS), enter)?;
    let us = |s: f64| s * 1e6 / clients as f64 / CROSSINGS as f64;
    let (busy, own_busy) = (us(served.busy_s()? - busy), us(busy_s("self")? - own_busy));
    let [one, socket] = crowd.weigh(&served)?;
    served.stop()?;
    Ok(vec![
        one.id("watcher_memory"),
        socket,
        Figure::new("from a post to its event at all clients, p50", each.percentile_ms(50), "ms"),
        Figure::new("the same, p99", each.percentile_ms(99), "ms").aim(Aim::AtMost(100.0)),
        Figure::new("processor time to tell a client, its socket included", busy, "µs").beside("to hear it, on the same cores", own_busy),
    ])
}

/// The i-th person enters.
async fn enter(connection: &mut Connection, i: usize) -> Result<()> {
    let body = report("d0", [now(1, i + 1)?])?;
    connection.succeed(&request("POST", "/v1/crossings", "", &body)).await.map(drop)
}
