//! Everything at once: posts of one crossing at the rate of 100,000 DPUs, and counts of now, yesterday and any instant beside them.
//!
//! Past counts are those of a history that nothing adds to, so each is known. People only enter the halls that are counted
//! now: a count must lie between those whose posts were answered before it was asked for, and those posted when it came.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use occupancy::time::{DAY_MS, UnixMs};
use tokio::time::Instant;

use crate::args::Plan;
use crate::client::{Connection, post_all, raw_of, request, steadily};
use crate::figure::{Aim, Figure};
use crate::fleet::{Fleet, mix, now};
use crate::ingest::{BATCH, bodies};
use crate::served::{Program, Served};

/// DPUs with a history, and as many that report now, each over a hall of its own.
const DPUS: usize = 100;
/// Posts a second: 100,000 DPUs that see somebody once a minute.
const POSTS_PER_S: usize = 1_700;
/// Counts a second.
const READS_PER_S: usize = 900;
/// Connections of each kind: as many as never wait for each other, unless an answer is late.
const OPEN: usize = 50;

/// People who entered a hall.
#[derive(Default)]
struct Hall {
    posted: AtomicI64,
    answered: AtomicI64,
}

struct Load {
    served: Served,
    fleet: Fleet,
    halls: Vec<Hall>,
}

/// What a count is asked for.
#[derive(Debug, Clone, Copy)]
enum When {
    Now,
    /// Within the last day of the history.
    Yesterday,
    Random,
}

/// The load, from when each was due; then every count is compared once more.
pub(crate) async fn measured(program: &Program, plan: &Plan) -> Result<Vec<Figure>> {
    println!("{POSTS_PER_S} posts and {READS_PER_S} counts a second for {} s", plan.mixed_s);
    let folder = program.folder()?;
    let served = Served::over(program, folder.path())?;
    let fleet = Fleet::new(DPUS, plan.large / 10 / DPUS);
    served.put_topology(&fleet.topology()).await?;
    served.put_root("now", &halls()?).await?;
    post_all(served.address, bodies(&fleet, 0..fleet.per_dpu, plan.connections, BATCH)?).await?;
    let load = Load { served, fleet, halls: (0..DPUS).map(|_| Hall::default()).collect() };
    let busy_s = load.served.busy_s()?;
    let start = Instant::now() + Duration::from_millis(100);
    let address = load.served.address;
    let post = async |connection: &mut Connection, i| load.post(connection, i).await;
    // The kinds take turns.
    let counts = async |place: usize, when: When| {
        let start = start + Duration::from_secs_f64(place as f64 / READS_PER_S as f64);
        let ask = async |connection: &mut Connection, i| load.ask(connection, when, mix((3 * i + place) as u64)).await;
        steadily(address, OPEN, start, READS_PER_S as f64 / 3.0, READS_PER_S / 3 * plan.mixed_s, ask).await
    };
    let (posts, at_now, yesterday, random) = tokio::try_join!(
        steadily(address, OPEN, start, POSTS_PER_S as f64, POSTS_PER_S * plan.mixed_s, post),
        counts(0, When::Now),
        counts(1, When::Yesterday),
        counts(2, When::Random),
    )?;
    let busy = (load.served.busy_s()? - busy_s) / start.elapsed().as_secs_f64();
    load.served.check(&load.fleet).await?;
    let mut connection = Connection::to(load.served.address).await?;
    for hall in 0..DPUS {
        load.ask(&mut connection, When::Now, hall as u64).await?;
    }
    let mut figures = vec![Figure::new("mixed: processors of the server", busy * 100.0, "% of a core")];
    for (what, mut each) in
        [("posts", posts), ("counts of now", at_now), ("counts of yesterday", yesterday), ("counts of any instant", random)]
    {
        figures.push(Figure::new(format!("mixed: {what}, p50"), each.percentile_ms(50), "ms"));
        figures.push(Figure::new(format!("mixed: {what}, p99"), each.percentile_ms(99), "ms").aim(Aim::AtMost(10.0)));
    }
    load.served.stop()?;
    Ok(figures)
}

/// Halls under a root of their own; their day began half a day ago.
fn halls() -> Result<String> {
    let hour = (now(1, 1)?.at_ms.rem_euclid(DAY_MS) / 3_600_000 + 12) % 24;
    let all = |one: fn(usize) -> String| (0..DPUS).map(one).collect::<Vec<_>>().join(",");
    let spaces = all(|n| format!(r#"{{"id":"now-{n}","parent":"now"}}"#));
    let doorways = all(|n| format!(r#"{{"id":"now-door-{n}","between":["outside","now-{n}"]}}"#));
    let hung = all(|n| format!(r#"{{"dpu":"n{n}","doorway":"now-door-{n}","enters":"now-{n}","from":"2024-01-01T00:00:00Z"}}"#));
    Ok(format!(
        r#"{{"space":[{{"id":"now","time_zone":"UTC"}},{spaces}],"reset":[{{"space":"now","at":"{hour:02}:00","from":"2024-01-01T00:00:00Z"}}],"doorway":[{doorways}],"installation":[{hung}]}}"#
    ))
}

impl Load {
    /// The i-th person enters.
    async fn post(&self, connection: &mut Connection, i: usize) -> Result<()> {
        let (n, seq) = (i % DPUS, i / DPUS + 1);
        let hall = self.halls.get(n).context("there is no such hall")?;
        let at = UnixMs::new(now(1, seq)?.at_ms)?;
        let body = format!(r#"{{"dpu_id":"n{n}","boot":1,"crossings":[{{"at":"{at}","direction":1,"seq":{seq}}}]}}"#);
        hall.posted.fetch_add(1, Ordering::SeqCst);
        let answer = connection.succeed(&request("POST", "/v1/crossings", "", &body)).await?;
        if !answer.starts_with(r#"{"accepted":1,"duplicate":0,"#) {
            bail!("one new crossing was answered with {answer}");
        }
        hall.answered.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// One count, which must be right.
    async fn ask(&self, connection: &mut Connection, when: When, random: u64) -> Result<()> {
        let n = random as usize % DPUS;
        let within = |span_ms: i64| ((random >> 8) % span_ms.max(1).unsigned_abs()).cast_signed();
        let span_ms = self.fleet.span_ms();
        let after_ms = match when {
            When::Now => return self.ask_now(connection, n).await,
            When::Yesterday => span_ms - 1 - within(DAY_MS.min(span_ms)),
            When::Random => within(span_ms),
        };
        let room = n / 2;
        let raw = raw(connection, &format!("/v1/spaces/room-{room}/count?at={}", Fleet::instant(after_ms)?)).await?;
        let right = self.fleet.raw(Some(room), after_ms);
        if raw == right { Ok(()) } else { bail!("WRONG COUNT: room-{room} after {after_ms} ms: {raw}, but {right} is right") }
    }

    async fn ask_now(&self, connection: &mut Connection, n: usize) -> Result<()> {
        let hall = self.halls.get(n).context("there is no such hall")?;
        let least = hall.answered.load(Ordering::SeqCst);
        let raw = raw(connection, &format!("/v1/spaces/now-{n}/count")).await?;
        let most = hall.posted.load(Ordering::SeqCst);
        if (least..=most).contains(&raw) { Ok(()) } else { bail!("WRONG COUNT: now-{n}: {raw}, but {least} to {most} are right") }
    }
}

async fn raw(connection: &mut Connection, path: &str) -> Result<i64> {
    raw_of(connection.succeed(&request("GET", path, "", "")).await?)
}
