//! Counts at random instants, from a small and a large store side by side; and what the large one takes on disk.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::args::Plan;
use crate::client::{Connection, post_all, request};
use crate::figure::{Aim, Figure, Latencies, median};
use crate::fleet::{Fleet, mix};
use crate::ingest::{BATCH, bare_batches, bodies};
use crate::served::{Program, Served, disk_bytes};

/// DPUs of both stores: two to a room.
const DPUS: usize = 100;

/// A server with a history.
struct Filled {
    fleet: Arc<Fleet>,
    served: Served,
    folder: TempDir,
    crossings_per_s: f64,
    json_bytes: usize,
}

async fn fill(program: &Program, plan: &Plan, crossings: usize) -> Result<Filled> {
    let fleet = Arc::new(Fleet::new(DPUS, crossings / DPUS));
    let folder = program.folder()?;
    let served = Served::over(program, folder.path())?;
    served.hang(&fleet).await?;
    let bodies = bodies(&fleet, plan.connections, BATCH)?;
    let json_bytes = bodies.iter().flatten().map(crate::client::Post::len).sum();
    let posted = post_all(served.address, bodies).await?;
    served.check(&fleet).await?;
    let crossings_per_s = fleet.crossings() as f64 / posted.took.as_secs_f64();
    Ok(Filled { fleet, served, folder, crossings_per_s, json_bytes })
}

/// Fills both stores and reads from both.
pub(crate) async fn at_both_sizes(program: &Program, plan: &Plan) -> Result<Vec<Figure>> {
    println!("batches of 1,000 crossings of one DPU, up to {} crossings", plan.large);
    let bare = bare_batches(program, &Fleet::new(DPUS, plan.large / DPUS))?;
    let mut large = fill(program, plan, plan.large).await?;
    let rate = Figure::new("batches of 1,000, of one DPU", large.crossings_per_s, "crossings/s");
    let mut figures = vec![rate.beside("the bare database", bare).aim(Aim::AtLeast(150_000.0))];
    figures.push(Figure::new("memory, after all these", large.served.resident_mb()?, "MB"));
    let per_crossing = |bytes: u64| bytes as f64 / plan.large as f64;
    let sent = large.json_bytes as f64 / plan.large as f64;
    let full = disk_bytes(large.folder.path())?;
    large.served.stop()?;
    let start = Instant::now();
    large.served = Served::over(program, large.folder.path())?;
    figures.push(Figure::new("start over the large store", start.elapsed().as_secs_f64(), "s"));
    large.served.check(&large.fleet).await?;
    figures.push(Figure::new("disk, at the end of ingest", per_crossing(full), "bytes/crossing").id("disk").beside("as sent", sent));
    let again = disk_bytes(large.folder.path())?;
    figures.push(Figure::new("disk, after a restart", per_crossing(again), "bytes/crossing").beside("as sent", sent));

    println!("counts at random instants");
    let small = fill(program, plan, plan.small).await?;
    for (name, subject, connections) in [
        ("a room, at random", Subject::Room, plan.connections),
        ("a room, at random, one connection", Subject::Room, 1),
        ("campus (100 doorways), at random", Subject::Campus, plan.connections),
    ] {
        figures.extend(compare(plan, name, subject, connections, &small, &large).await?);
    }
    small.served.stop()?;
    large.served.stop()?;
    let start = Instant::now();
    program.run(&["verify", "--store", &format!("fjall:{}", large.folder.path().display())])?;
    figures.push(Figure::new("verify of the large store", plan.large as f64 / start.elapsed().as_secs_f64(), "crossings/s"));
    Ok(figures)
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Room,
    Campus,
    /// Nothing of the store: what HTTP alone costs.
    Health,
}

/// Rounds of reads from both, turn about, and what HTTP alone does.
async fn compare(plan: &Plan, name: &str, subject: Subject, connections: usize, small: &Filled, large: &Filled) -> Result<Vec<Figure>> {
    let reads = if matches!(subject, Subject::Campus) { plan.reads / 10 } else { plan.reads };
    let (mut at_small, mut at_large) = (Vec::new(), Vec::new());
    let (mut small_each, mut large_each) = (Latencies::default(), Latencies::default());
    for round in 0..=plan.rounds {
        // The order changes, so that neither gains by it; the first round only warms up.
        let order = if round % 2 == 0 { [(small, false), (large, true)] } else { [(large, true), (small, false)] };
        for (filled, is_large) in order {
            let (rate, each) = read(filled, subject, connections, reads, round as u64).await?;
            if round == 0 {
                continue;
            }
            let (rates, all) = if is_large { (&mut at_large, &mut large_each) } else { (&mut at_small, &mut small_each) };
            rates.push(rate);
            all.extend(each);
        }
    }
    let beside = || format!("at {} crossings", plan.small);
    let slower = median(at_small.iter().zip(&at_large).map(|(small, large)| small / large).collect());
    let counts = Figure::new(format!("{name}: counts at {} crossings", plan.large), median(at_large), "reads/s");
    let counts = if matches!(subject, Subject::Room) && connections > 1 { counts.id("counts") } else { counts };
    let mut figures = vec![counts.beside(beside(), median(at_small))];
    for percent in [50, 99] {
        let figure = Figure::new(format!("{name}: p{percent}"), large_each.percentile_ms(percent), "ms");
        figures.push(figure.beside(beside(), small_each.percentile_ms(percent)));
    }
    figures.push(Figure::new(format!("{name}: slower when large"), slower, "times").aim(Aim::AtMost(1.2)));
    if matches!(subject, Subject::Room) {
        let (health, _) = read(large, Subject::Health, connections, plan.reads, 0).await?;
        figures.push(Figure::new(format!("{name}: HTTP alone (healthz)"), health, "reads/s"));
    }
    Ok(figures)
}

/// One round: reads a second, and how long each took. Every answer is compared with the truth.
async fn read(filled: &Filled, subject: Subject, connections: usize, reads: usize, round: u64) -> Result<(f64, Latencies)> {
    let mut reading: JoinSet<Result<Latencies>> = JoinSet::new();
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::to(filled.served.address).await?);
    }
    let start = Instant::now();
    for (i, mut connection) in open.into_iter().enumerate() {
        let fleet = Arc::clone(&filled.fleet);
        reading.spawn(async move {
            let mut each = Latencies::default();
            for n in 0..reads / connections {
                let random = mix(round << 40 | (i as u64) << 32 | n as u64);
                let after_ms = (random % fleet.span_ms().unsigned_abs()).cast_signed();
                let room = matches!(subject, Subject::Room).then_some((random >> 40) as usize % fleet.rooms());
                each.push(ask(&mut connection, &fleet, subject, room, after_ms).await?);
            }
            Ok(each)
        });
    }
    let mut each = Latencies::default();
    while let Some(done) = reading.join_next().await {
        each.extend(done??);
    }
    Ok((each.len() as f64 / start.elapsed().as_secs_f64(), each))
}

/// One read, timed and compared.
async fn ask(
    connection: &mut Connection,
    fleet: &Fleet,
    subject: Subject,
    room: Option<usize>,
    after_ms: i64,
) -> Result<std::time::Duration> {
    let path = match subject {
        Subject::Health => "/healthz".to_owned(),
        Subject::Room | Subject::Campus => {
            let space = room.map_or_else(|| "campus".to_owned(), |room| format!("room-{room}"));
            format!("/v1/spaces/{space}/count?at={}", Fleet::instant(after_ms)?)
        }
    };
    let get = request("GET", &path, "", "");
    let start = Instant::now();
    let answer = connection.succeed(&get).await?;
    let took = start.elapsed();
    if matches!(subject, Subject::Health) {
        return Ok(took);
    }
    let raw = answer.split_once(r#""raw":"#).and_then(|(_, rest)| rest.split_once(',')?.0.parse::<i64>().ok());
    let (raw, right) = (raw.with_context(|| format!("no raw count in {answer}"))?, fleet.raw(room, after_ms));
    if raw != right {
        bail!("WRONG COUNT: {path}: {raw}, but {right} is right");
    }
    Ok(took)
}
