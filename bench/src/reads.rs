//! Counts at random instants, from a small and a large store side by side; and what the large one takes on disk.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::args::Plan;
use crate::bare_served::BareServed;
use crate::client::{Connection, post_all, raw_of, request};
use crate::disk;
use crate::figure::{Aim, Figure, Latencies, median};
use crate::fleet::{Fleet, mix};
use crate::ingest::{BATCH, bare_batches, bodies};
use crate::served::{Program, Served, disk_bytes};

/// DPUs of both stores: two to a room.
const DPUS: usize = 100;
/// Crossings in the bodies that are made at once.
const BODIES_AT_ONCE: usize = 10_000_000;
/// Rows of each DPU in the bare database.
const BARE_ROWS: usize = 10_000;

/// A server with a history.
struct Filled {
    fleet: Fleet,
    served: Served,
    folder: TempDir,
    crossings_per_s: f64,
    json_bytes: usize,
}

async fn fill(program: &Program, plan: &Plan, crossings: usize) -> Result<Filled> {
    let fleet = Fleet::new(DPUS, crossings / DPUS);
    let folder = program.folder()?;
    let served = Served::over(program, folder.path())?;
    served.put_topology(&fleet.with_halls()).await?;
    let (mut took, mut json_bytes) = (Duration::ZERO, 0);
    // Some at a time: what is sent is made beforehand, and need not fit into memory all at once.
    for first in (0..fleet.per_dpu).step_by(BODIES_AT_ONCE / DPUS) {
        let numbers = first..fleet.per_dpu.min(first + BODIES_AT_ONCE / DPUS);
        let bodies = bodies(&fleet, numbers, plan.connections, BATCH)?;
        json_bytes += bodies.iter().flatten().map(crate::client::Post::len).sum::<usize>();
        took += post_all(served.address, bodies).await?.took;
    }
    served.check(&fleet).await?;
    let crossings_per_s = fleet.crossings() as f64 / took.as_secs_f64();
    Ok(Filled { fleet, served, folder, crossings_per_s, json_bytes })
}

/// Fills both stores and reads from both.
pub(crate) async fn at_both_sizes(program: &Program, plan: &Plan) -> Result<Vec<Figure>> {
    println!("batches of 1,000 crossings of one DPU, up to {} crossings", plan.large);
    let bare = bare_batches(program, &Fleet::new(DPUS, plan.large / DPUS))?;
    let mut large = fill(program, plan, plan.large).await?;
    let rate = Figure::new("batches of 1,000, of one DPU", large.crossings_per_s, "crossings/s");
    let mut figures = vec![rate.beside("the bare database", bare).aim(Aim::AtLeast(500_000.0)).stretch(Aim::AtLeast(1_700_000.0))];
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
    let bare = BareServed::over(program, DPUS, BARE_ROWS).await?;
    for (name, subject, connections) in [
        ("a hall (1 doorway), at random, one connection", Subject::Hall, 1),
        ("a room, at random", Subject::Room, plan.connections),
        ("a room, at random, one connection", Subject::Room, 1),
        ("campus (100 doorways), at random", Subject::Campus, plan.connections),
    ] {
        figures.extend(compare(plan, name, subject, connections, [&small, &large], bare.address).await?);
    }
    bare.stop();
    small.served.stop()?;
    large.served.stop()?;
    let start = Instant::now();
    program.run(&["verify", "--store", &format!("fjall:{}", large.folder.path().display())])?;
    figures.push(Figure::new("verify of the large store", plan.large as f64 / start.elapsed().as_secs_f64(), "crossings/s"));
    figures.push(disk::sealed(large.folder.path(), plan.large, per_crossing(full))?);
    Ok(figures)
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Campus,
    Room,
    /// With one doorway.
    Hall,
    /// Nothing of the store: what HTTP alone costs.
    Health,
    /// One row of the bare database.
    Row,
}

/// Rounds of reads from the small and the large one, and of bare rows, turn about; and what HTTP alone does.
async fn compare(
    plan: &Plan,
    name: &str,
    subject: Subject,
    connections: usize,
    [small, large]: [&Filled; 2],
    bare: SocketAddr,
) -> Result<Vec<Figure>> {
    let reads = if subject == Subject::Campus { plan.reads / 10 } else { plan.reads };
    let [mut at_small, mut at_large, mut at_bare] = [(); 3].map(|()| (Vec::new(), Latencies::default()));
    for round in 0..=plan.rounds {
        // The order changes, so that neither gains by it; the first round only warms up.
        let mut order = [
            (small.served.address, &small.fleet, subject, &mut at_small),
            (large.served.address, &large.fleet, subject, &mut at_large),
            (bare, &small.fleet, Subject::Row, &mut at_bare),
        ];
        if round % 2 == 1 {
            order.reverse();
        }
        for (address, fleet, subject, (rates, each)) in order {
            let (rate, latencies) = read(address, fleet, subject, connections, reads, round as u64).await?;
            if round > 0 {
                rates.push(rate);
                each.extend(latencies);
            }
        }
    }
    let ((at_small, small_each), (at_large, large_each), (_, bare_each)) = (at_small, at_large, at_bare);
    let beside = || format!("at {} crossings", plan.small);
    let (small_rate, large_rate) = (median(at_small), median(at_large));
    let counts = Figure::new(format!("{name}: counts at {} crossings, median of rounds", plan.large), large_rate, "reads/s");
    let counts = if matches!(subject, Subject::Room) && connections > 1 { counts.id("counts") } else { counts };
    let mut figures = vec![counts.beside(beside(), small_rate)];
    for percent in [50, 99] {
        let figure = Figure::new(format!("{name}: p{percent}"), large_each.percentile_ms(percent), "ms");
        figures.push(figure.beside(beside(), small_each.percentile_ms(percent)));
    }
    figures.push(Figure::new(format!("{name}: slower when large"), small_rate / large_rate, "times").aim(Aim::AtMost(1.2)));
    if subject == Subject::Hall {
        let (count, row) = (large_each.percentile_ms(50), bare_each.percentile_ms(50));
        let figure = Figure::new(format!("{name}: p50 over that of one bare row behind bare HTTP"), count / row, "times");
        figures.push(figure.aim(Aim::AtMost(1.3)));
        figures.push(Figure::new("one bare row behind bare HTTP, one connection: p50", row, "ms"));
    }
    if subject == Subject::Room {
        let (health, _) = read(large.served.address, &large.fleet, Subject::Health, connections, plan.reads, 0).await?;
        figures.push(Figure::new(format!("{name}: HTTP alone (healthz)"), health, "reads/s"));
    }
    Ok(figures)
}

/// One round: reads a second, and how long each took. Every answer is compared with the truth.
async fn read(
    address: SocketAddr,
    fleet: &Fleet,
    subject: Subject,
    connections: usize,
    reads: usize,
    round: u64,
) -> Result<(f64, Latencies)> {
    let mut reading: JoinSet<Result<Latencies>> = JoinSet::new();
    let mut open = Vec::with_capacity(connections);
    for i in 0..connections {
        let random = |n| mix(round << 40 | (i as u64) << 32 | n as u64);
        // Asked and answered beforehand: the truth over many crossings is itself far apart in memory.
        let questions = (0..reads / connections).map(|n| Question::new(fleet, subject, random(n))).collect::<Result<Vec<_>>>()?;
        open.push((Connection::to(address).await?, questions));
    }
    let start = Instant::now();
    for (mut connection, questions) in open {
        reading.spawn(async move {
            let mut each = Latencies::default();
            for question in questions {
                each.push(question.ask(&mut connection).await?);
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

/// What to ask, and the right raw count where it is a count.
struct Question {
    path: String,
    right: Option<i64>,
}

impl Question {
    fn new(fleet: &Fleet, subject: Subject, random: u64) -> Result<Self> {
        let one_of = |n: usize| (random >> 40) as usize % n;
        let (space, dpus) = match subject {
            Subject::Campus => ("campus".to_owned(), 0..fleet.dpus),
            Subject::Room => {
                let room = one_of(fleet.rooms());
                (format!("room-{room}"), fleet.of_room(room))
            }
            Subject::Hall => {
                let dpu = one_of(fleet.dpus);
                (format!("hall-{dpu}"), dpu..dpu + 1)
            }
            Subject::Health => return Ok(Self { path: "/healthz".to_owned(), right: None }),
            Subject::Row => return Ok(Self { path: format!("/{}/{}", one_of(DPUS), random as usize % BARE_ROWS), right: None }),
        };
        let after_ms = (random % fleet.span_ms().unsigned_abs()).cast_signed();
        let path = format!("/v1/spaces/{space}/count?at={}", Fleet::instant(after_ms)?);
        Ok(Self { path, right: Some(fleet.net_of(dpus, after_ms)) })
    }

    /// Asks, times and compares.
    async fn ask(&self, connection: &mut Connection) -> Result<Duration> {
        let Self { path, right } = self;
        let get = request("GET", path, "", "");
        let start = Instant::now();
        let answer = connection.succeed(&get).await?;
        let took = start.elapsed();
        if let Some(right) = right
            && raw_of(answer)? != *right
        {
            bail!("WRONG COUNT: {path}: {answer}, but {right} is right");
        }
        Ok(took)
    }
}
