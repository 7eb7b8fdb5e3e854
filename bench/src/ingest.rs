//! Crossings in over HTTP, each acknowledged only when it is on disk.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::Instant;

use crate::args::Plan;
use crate::bare;
use crate::client::{Connection, Post, post_all};
use crate::figure::{Aim, Figure, Latencies, number};
use crate::fleet::{Fleet, report_of};
use crate::rate::Rate;
use crate::served::{Program, Served};

/// Crossings in a body.
pub(crate) const BATCH: usize = 1_000;
/// How many single posts are under way at once.
const SINGLES_AT_ONCE: usize = 100;
/// Posts a second at a fixed rate: 100,000 DPUs that see somebody once a minute.
pub(crate) const POSTS_PER_S: usize = 1_700;
/// Connections that post at a fixed rate: as many as never wait for each other, unless an answer is late.
pub(crate) const OPEN: usize = 50;
/// Rows the bare database writes one by one, and in batches at most.
const BARE_SINGLES: usize = 2_000;
const BARE_MOST: usize = 2_000_000;

/// Bodies of one DPU's crossings of these numbers. A DPU's bodies go over one connection, so that they arrive in order.
pub(crate) fn bodies(fleet: &Fleet, numbers: Range<usize>, connections: usize, batch: usize) -> Result<Vec<Vec<Post>>> {
    let mut queues: Vec<Vec<Post>> = Vec::new();
    queues.resize_with(connections, Vec::new);
    for first in numbers.clone().step_by(batch) {
        for dpu in 0..fleet.dpus {
            let count = batch.min(numbers.end - first);
            let body = report_of(dpu, first..first + count)?;
            queues.get_mut(dpu % connections).into_iter().for_each(|queue| queue.push(Post::new(&body, count)));
        }
    }
    Ok(queues)
}

/// Bodies of one crossing each of 1,000 DPUs.
pub(crate) fn spread_bodies(fleet: &Fleet, connections: usize) -> Result<Vec<Vec<Post>>> {
    let mut queues: Vec<Vec<Post>> = Vec::new();
    queues.resize_with(connections, Vec::new);
    for k in 0..fleet.per_dpu {
        for (i, first) in (0..fleet.dpus).step_by(BATCH).enumerate() {
            let (mut body, last) = (String::from("["), fleet.dpus.min(first + BATCH));
            for dpu in first..last {
                if dpu > first {
                    body.push(',');
                }
                body.push_str(&report_of(dpu, k..k + 1)?);
            }
            body.push(']');
            queues.get_mut(i % connections).into_iter().for_each(|queue| queue.push(Post::new(&body, last - first)));
        }
    }
    Ok(queues)
}

/// The bare database with rows in the order of bodies of one DPU.
pub(crate) fn bare_batches(program: &Program, fleet: &Fleet) -> Result<f64> {
    let blocks = (0..fleet.per_dpu).step_by(BATCH);
    let rows = blocks.flat_map(|first| (0..fleet.dpus).flat_map(move |dpu| (first..first + BATCH).map(move |k| (dpu, k))));
    Ok(bare::write(program, rows.take(fleet.crossings().min(BARE_MOST)), BATCH)?.rows_per_s)
}

/// One crossing a post: many posts at once, each connection posting again once it is answered, then at a fixed rate.
pub(crate) async fn singles(program: &Program, plan: &Plan) -> Result<Vec<Figure>> {
    println!("single posts, {SINGLES_AT_ONCE} at once, then {POSTS_PER_S} a second for {} s", plan.mixed_s);
    let bare = bare::write(program, (0..BARE_SINGLES).map(|i| (i % SINGLES_AT_ONCE, i / SINGLES_AT_ONCE)), 1)?;
    let closed = plan.singles.div_ceil(SINGLES_AT_ONCE);
    let fleet = Fleet::new(SINGLES_AT_ONCE, closed + (POSTS_PER_S * plan.mixed_s).div_ceil(SINGLES_AT_ONCE));
    let folder = program.folder()?;
    let served = Served::over(program, folder.path())?;
    served.hang(&fleet).await?;
    let posted = post_all(served.address, bodies(&fleet, 0..closed, SINGLES_AT_ONCE, 1)?).await?;
    let open = steadily(&served, bodies(&fleet, closed..fleet.per_dpu, 1, 1)?.into_iter().flatten().collect()).await?;
    served.check(&fleet).await?;
    served.stop()?;
    let synced = || "one row, one sync, one at a time";
    let rate = posted.each.len() as f64 / posted.took.as_secs_f64();
    let mut figures = vec![Figure::new("single posts, 100 at once", rate, "posts/s").id("posts").beside(synced(), bare.rows_per_s)];
    let fixed = format!("{} a second, each from when it was due", number(POSTS_PER_S as f64));
    for (how, each) in [("100 at once, closed loop", &posted.each), (&fixed, &open)] {
        for percent in [50.0, 99.0, 99.9] {
            let figure = Figure::new(format!("single posts, {how}, p{percent}"), each.percentile_ms(percent), "ms");
            let figure = figure.beside(synced(), bare.each.percentile_ms(percent));
            figures.push(if percent == 99.0 { figure.aim(Aim::AtMost(10.0)) } else { figure });
        }
    }
    Ok(figures)
}

/// Posts in this order at the fixed rate.
async fn steadily(served: &Served, posts: Vec<Post>) -> Result<Latencies> {
    let rate = Rate { start: Instant::now() + Duration::from_millis(100), per_s: POSTS_PER_S as f64 };
    let post = async |connection: &mut Connection, i| connection.post(posts.get(i).context("there is no such post")?).await;
    rate.ask(posts.len(), OPEN, || Connection::to(served.address), post).await
}

/// Batches of 1,000 crossings of as many DPUs.
pub(crate) async fn many_dpus(program: &Program, plan: &Plan) -> Result<Vec<Figure>> {
    println!("batches of 1,000 crossings of 1,000 DPUs");
    let dpus = plan.connections * BATCH;
    let fleet = Fleet::new(dpus, plan.spread.div_ceil(dpus));
    let rows = (0..fleet.per_dpu).flat_map(|k| (0..dpus).map(move |dpu| (dpu, k)));
    let bare = bare::write(program, rows.take(BARE_MOST), BATCH)?;
    let folder = program.folder()?;
    let served = Served::over(program, folder.path())?;
    served.hang(&fleet).await?;
    let posted = post_all(served.address, spread_bodies(&fleet, plan.connections)?).await?;
    served.check(&fleet).await?;
    served.stop()?;
    let rate = fleet.crossings() as f64 / posted.took.as_secs_f64();
    let figure = Figure::new("batches of 1,000, of 1,000 DPUs", rate, "crossings/s").id("gathered");
    Ok(vec![
        figure.beside("the bare database, one row a crossing", bare.rows_per_s).aim(Aim::AtLeast(150_000.0)),
        Figure::new("the same, as a share of the bare database", rate / bare.rows_per_s, "times").aim(Aim::AtLeast(0.6)),
    ])
}
