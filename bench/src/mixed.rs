//! Everything at once: posts of one crossing at the rate of 100,000 DPUs, and counts of now, yesterday and any instant beside them.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

use crate::args::Plan;
use crate::asked::{Asked, DPUS, KINDS};
use crate::client::{Connection, post_all, request};
use crate::figure::{Aim, Figure};
use crate::fleet::{Fleet, report};
use crate::ingest::{BATCH, OPEN, POSTS_PER_S, bodies};
use crate::rate::Rate;
use crate::served::{Program, Served};

/// Counts a second of each kind.
const EACH_PER_S: usize = 300;

/// The load, from when each was due; then every count is compared once more.
pub(crate) async fn measured(program: &Program, plan: &Plan) -> Result<Vec<Figure>> {
    println!("{POSTS_PER_S} posts and {} counts a second for {} s", EACH_PER_S * KINDS.len(), plan.mixed_s);
    let folder = program.folder()?;
    let served = Served::over(program, folder.path())?;
    let fleet = Fleet::new(DPUS, plan.large / 10 / DPUS);
    let history = bodies(&fleet, 0..fleet.per_dpu, plan.connections, BATCH)?;
    let asked = Asked::of(&served, fleet).await?;
    post_all(served.address, history).await?;
    let busy_s = served.busy_s()?;
    let start = Instant::now() + Duration::from_millis(100);
    let rate = Rate { start, per_s: POSTS_PER_S as f64 };
    let post = async |connection: &mut Connection, i| post(&asked, connection, i).await;
    let (posts, counts) = tokio::try_join!(
        rate.ask(POSTS_PER_S * plan.mixed_s, OPEN, || Connection::to(served.address), post),
        asked.counts(start, EACH_PER_S, plan.mixed_s),
    )?;
    let busy = (served.busy_s()? - busy_s) / start.elapsed().as_secs_f64();
    asked.check(&served).await?;
    let mut figures = vec![Figure::new("mixed: processors of the server", busy * 100.0, "% of a core")];
    for (what, each) in [("posts", posts)].into_iter().chain(KINDS.into_iter().zip(counts)) {
        figures.push(Figure::new(format!("mixed: {what}, p50"), each.percentile_ms(50), "ms"));
        figures.push(Figure::new(format!("mixed: {what}, p99"), each.percentile_ms(99), "ms").aim(Aim::AtMost(10.0)));
    }
    served.stop()?;
    Ok(figures)
}

/// The i-th person enters.
async fn post(asked: &Asked, connection: &mut Connection, i: usize) -> Result<()> {
    let (hall, dpu, seen) = asked.enter(i)?;
    let answer = connection.succeed(&request("POST", "/v1/crossings", "", &report(&dpu, [seen])?)).await?;
    if !answer.starts_with(r#"{"accepted":1,"duplicate":0,"#) {
        bail!("one new crossing was answered with {answer}");
    }
    hall.answered();
    Ok(())
}
