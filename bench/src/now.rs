//! Counts of now: how many a second beside bare HTTP, and how soon each comes at half of that load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::args::Plan;
use crate::client::{Connection, Post, post_all, raw_of, request};
use crate::figure::{Aim, Figure, Latencies, median};
use crate::fleet::{Fleet, Seen, half_a_day_before, mix, now, report};
use crate::rate::Rate;
use crate::served::{Program, Served, busy_s};

/// What each DPU has seen today.
const SEEN: usize = 100;
/// Connections at half load: as many as never wait for each other, unless an answer is late.
const OPEN: usize = 100;

/// Whom to ask, and what is right; nothing where any answer is.
#[derive(Clone)]
struct Asked {
    address: SocketAddr,
    rooms: usize,
    raw: Arc<[i64]>,
}

impl Asked {
    /// The i-th question, and its answer.
    async fn ask(&self, connection: &mut Connection, i: usize) -> Result<()> {
        let room = i % self.rooms;
        let answer = connection.succeed(&question(room)).await?;
        let Some(right) = self.raw.get(room) else { return Ok(()) };
        if raw_of(answer)? == *right { Ok(()) } else { bail!("WRONG COUNT: room-{room}: {answer}, but {right} is right") }
    }

    /// So many a second.
    async fn steadily(&self, rate: f64, reads: usize) -> Result<Latencies> {
        let rate = Rate { start: Instant::now() + Duration::from_millis(100), per_s: rate };
        rate.ask(reads, OPEN, || Connection::to(self.address), async |connection, i| self.ask(connection, i).await).await
    }
}

fn question(room: usize) -> Vec<u8> {
    request("GET", &format!("/v1/spaces/room-{room}/count"), "", "")
}

/// What came of some rounds.
#[derive(Default)]
struct Rounds {
    rates: Vec<f64>,
    /// How long they kept processors busy: the server's, the client's.
    busy_s: [f64; 2],
}

/// Rounds of both, turn about, then both at half of the program's load.
pub(crate) async fn measured(program: &Program, plan: &Plan) -> Result<Vec<Figure>> {
    println!("counts of now");
    let folder = program.folder()?;
    let served = Served::over(program, folder.path())?;
    let ours = fill(&served, plan.now_rooms).await?;
    let answer = Connection::to(served.address).await?.succeed(&question(0)).await?.to_owned();
    let alone = Served::run(&program.itself()?, &["--bare-http", &answer])?;
    let bare = Asked { address: alone.address, rooms: ours.rooms, raw: Arc::default() };
    let (mut at_ours, mut at_bare) = (Rounds::default(), Rounds::default());
    for round in 0..=plan.rounds {
        let mut order = [(&ours, &served, &mut at_ours), (&bare, &alone, &mut at_bare)];
        if round % 2 == 1 {
            order.reverse();
        }
        for (asked, server, rounds) in order {
            let before_s = [server.busy_s()?, busy_s("self")?];
            let rate = at_most(asked, plan.connections, plan.reads).await?;
            let after_s = [server.busy_s()?, busy_s("self")?];
            // The first round only warms up.
            if round > 0 {
                rounds.rates.push(rate);
                let spent_s = after_s.iter().zip(before_s).map(|(after, before)| after - before);
                rounds.busy_s.iter_mut().zip(spent_s).for_each(|(sum, spent)| *sum += spent);
            }
        }
    }
    let us = |rounds: &Rounds| rounds.busy_s.map(|busy_s| busy_s * 1e6 / (plan.reads * plan.rounds) as f64);
    let ([server, client], [bare_server, bare_client]) = (us(&at_ours), us(&at_bare));
    let busy = Figure::new("processor time of the server for one", server, "µs").beside("bare HTTP", bare_server);
    let busy_client = Figure::new("processor time of the client for one", client, "µs").beside("bare HTTP", bare_client);
    let (rate, bare_rate) = (median(at_ours.rates), median(at_bare.rates));
    let each = Figure::new("counts of a room, now, median of rounds", rate, "reads/s").beside("bare HTTP, median of rounds", bare_rate);
    let share = Figure::new("the same, as a share of bare HTTP", rate / bare_rate, "times").aim(Aim::AtLeast(0.7));
    let asked = (rate / 2.0 * plan.half_load_s as f64) as usize;
    let half = ours.steadily(rate / 2.0, asked).await?;
    let bare_half = bare.steadily(rate / 2.0, asked).await?;
    let name = |share| format!("counts of a room, now, at half of that load, from when each was due, {share}");
    let beside = "bare HTTP at as many a second";
    let p50 = Figure::new(name("p50"), half.percentile_ms(50), "ms").beside(beside, bare_half.percentile_ms(50));
    let p99 = Figure::new(name("p99"), half.percentile_ms(99), "ms").beside(beside, bare_half.percentile_ms(99)).aim(Aim::AtMost(5.0));
    served.stop()?;
    Ok(vec![each, share, busy, busy_client, p50, p99])
}

/// Rooms that people went in and out of today, a day that began half a day ago.
async fn fill(served: &Served, rooms: usize) -> Result<Asked> {
    let fleet = Fleet::new(rooms * 2, 0);
    let end_ms = now(1, 1)?.at_ms;
    served.put_topology(&fleet.topology_from(&half_a_day_before(end_ms))).await?;
    let mut raw = vec![0; fleet.rooms()];
    let mut posts = Vec::new();
    for dpu in 0..rooms * 2 {
        let mut crossings = Vec::new();
        for seq in 1..=SEEN {
            let direction: i8 = if mix((dpu * SEEN + seq) as u64).is_multiple_of(3) { -1 } else { 1 };
            let at_ms = end_ms - ((SEEN - seq) as i64) * 1_000;
            crossings.push(Seen { at_ms, direction, seq });
            raw.get_mut(dpu / 2).into_iter().for_each(|raw| *raw += i64::from(direction));
        }
        posts.push(Post::new(&report(&format!("d{dpu}"), crossings)?, SEEN));
    }
    post_all(served.address, vec![posts]).await?;
    Ok(Asked { address: served.address, rooms, raw: raw.into() })
}

/// As many a second as the connections get, each asking again once it is answered.
async fn at_most(asked: &Asked, connections: usize, reads: usize) -> Result<f64> {
    let mut reading: JoinSet<Result<()>> = JoinSet::new();
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::to(asked.address).await?);
    }
    let start = Instant::now();
    for (first, mut connection) in open.into_iter().enumerate() {
        let asked = asked.clone();
        reading.spawn(async move {
            for i in (first..reads).step_by(connections) {
                asked.ask(&mut connection, i).await?;
            }
            Ok(())
        });
    }
    while let Some(done) = reading.join_next().await {
        done??;
    }
    Ok(reads as f64 / start.elapsed().as_secs_f64())
}
