//! Counts over a long past: what adding up costs, and what not adding up saves.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use occupancy::crossing::{Direction, Key};
use occupancy::time::UnixMs;
use tokio::runtime::Runtime;

use crate::args::{Peer, Plan};
use crate::client::{Post, post_all};
use crate::cluster::{Cluster, Database};
use crate::counts::{Questions, Took};
use crate::designs::{BATCH, Crossing, Design as _, First, Ledger, create};
use crate::fleet::{Fleet, put_report, rooms, seen};
use crate::served::{Program, Served};

/// So many doorways share the past: many, and one.
const DOORWAYS: [usize; 2] = [100, 1];
/// Crossings of one post, and posts made beforehand.
const POSTED: usize = 1_000;
const POSTS: usize = 200;

/// What counts took over a past.
pub(crate) struct Stored {
    pub(crate) doorways: usize,
    pub(crate) crossings: usize,
    pub(crate) who: &'static str,
    pub(crate) took: Took,
}

/// What `headcount` is called here.
pub(crate) const OURS: &str = "headcount, embedded";

/// Fills each with the same past, then asks each.
pub(crate) fn measure(
    program: &Program,
    runtime: &Runtime,
    cluster: &Cluster,
    plan: &Plan,
    wants: impl Fn(Peer) -> bool,
) -> Result<Vec<Stored>> {
    let mut all = Vec::new();
    for doorways in DOORWAYS {
        let fleet = Fleet::new(doorways, plan.stored / doorways);
        println!("counts of a room with one doorway, {} crossings stored, doorways: {doorways}", fleet.crossings());
        let questions = |counts| Questions { fleet: &fleet, rooms: doorways, counts };
        let mut add = |who, took: Took| {
            println!("  {who}: p50 {:.3} ms", took.p50_ms);
            all.push(Stored { doorways, crossings: fleet.crossings(), who, took });
        };
        let folder = program.folder()?;
        add(OURS, ours(program, runtime, folder.path(), &questions(plan.lookups))?);
        folder.close()?;
        if wants(Peer::First) {
            let database = cluster.database("stored_first")?;
            fill_first(&database, &fleet)?;
            add(First::NAME, questions(plan.sums).of_postgres::<First>(&database)?);
            database.remove()?;
        }
        if wants(Peer::Ledger) {
            let database = cluster.database("stored_ledger")?;
            fill_ledger(&database, &fleet)?;
            add(Ledger::NAME, questions(plan.lookups).of_postgres::<Ledger>(&database)?);
            database.remove()?;
        }
    }
    Ok(all)
}

fn ours(program: &Program, runtime: &Runtime, folder: &Path, questions: &Questions<'_>) -> Result<Took> {
    let store = format!("fjall:{}", folder.display());
    // A crossing each half minute, ten million times, ends long after today.
    let words = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--max-clock-ahead-ms", "3155760000000"];
    let served = Served::run(program, &[&words[..], &["--store", &store]].concat())?;
    let fleet = questions.fleet;
    runtime.block_on(async {
        served.put_topology(&rooms(fleet.dpus, "d", "")).await?;
        let blocks = (0..fleet.per_dpu).step_by(POSTED).flat_map(|first| (0..fleet.dpus).map(move |dpu| (dpu, first)));
        let mut queue = Vec::with_capacity(POSTS);
        for (dpu, first) in blocks {
            let (mut body, count) = (String::new(), POSTED.min(fleet.per_dpu - first));
            put_report(&mut body, dpu, first, count)?;
            queue.push(Post::new(&body, count));
            if queue.len() == POSTS {
                post_all(served.address, vec![std::mem::take(&mut queue)]).await?;
            }
        }
        post_all(served.address, vec![queue]).await
    })?;
    let took = questions.of_headcount(runtime, OURS, served.address)?;
    served.stop()?;
    Ok(took)
}

/// The rows that are added up, and no others, in the order in which they are: better than they would come to lie.
fn fill_first(database: &Database, fleet: &Fleet) -> Result<()> {
    create::<First>(database, fleet.dpus)?;
    let mut client = database.connect()?;
    let mut rows = client.copy_in("COPY space_events FROM STDIN")?;
    for dpu in 0..fleet.dpus {
        for seen in (0..fleet.per_dpu).map(|k| seen(dpu, k)) {
            writeln!(rows, "{dpu}\t{}\t{}", seen.at_ms, seen.direction)?;
        }
    }
    rows.finish()?;
    Ok(())
}

/// By the way everything goes in.
fn fill_ledger(database: &Database, fleet: &Fleet) -> Result<()> {
    create::<Ledger>(database, fleet.dpus)?;
    let mut client = database.connect()?;
    let mut ledger = Ledger::new(&mut client)?;
    for dpu in 0..fleet.dpus {
        for first in (0..fleet.per_dpu).step_by(BATCH) {
            let last = fleet.per_dpu.min(first + BATCH);
            let crossings = (first..last).map(|k| crossing(dpu, k)).collect::<Result<Vec<_>>>()?;
            ledger.take(&mut client, &crossings)?;
        }
    }
    Ok(())
}

/// The crossing number k of a DPU, appended as it happened.
pub(crate) fn crossing(dpu: usize, k: usize) -> Result<Crossing> {
    let seen = seen(dpu, k);
    let at = UnixMs::new(seen.at_ms)?;
    let direction = if seen.direction > 0 { Direction::Plus } else { Direction::Minus };
    Ok(Crossing { dpu: dpu.try_into()?, key: Key { at, boot: 1, seq: seen.seq as u64, direction }, appended_at: at })
}
