//! Headcount beside others: each takes in the same backlog from the same topic, in turn, and is asked for counts.
//!
//! Every count that is asked for, and the totals of every DPU in the end, are compared with ground truth, repeats among
//! what was sent: a wrong one ends the run with exit status 1.

mod args;
mod cluster;
mod counts;
mod designs;
mod ours;
mod report;
mod stored;
mod streams;
mod topic;

// The load and the client are those of `headcount-bench`, which is a program and no library.
#[allow(dead_code, reason = "that program uses the rest")]
#[path = "../../src/client.rs"]
mod client;
#[path = "../../src/cql.rs"]
mod cql;
#[allow(dead_code, reason = "that program uses the rest")]
#[path = "../../src/figure.rs"]
mod figure;
#[allow(dead_code, reason = "that program uses the rest")]
#[path = "../../src/fleet.rs"]
mod fleet;
#[path = "../../src/kafka.rs"]
mod kafka;
#[path = "../../src/machine.rs"]
mod machine;
#[allow(dead_code, reason = "that program uses the rest")]
#[path = "../../src/served.rs"]
mod served;
#[path = "../../src/weighed.rs"]
mod weighed;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use engines::Folder;
use rustix::fs::{FsWord, statfs};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::args::{Args, Peer, Plan};
use crate::cluster::Cluster;
use crate::counts::{Questions, Since, compare};
use crate::designs::{Design, First, Ledger, create, drain};
use crate::fleet::Fleet;
use crate::ours::Ours;
use crate::report::{Measured, Report};
use crate::served::Program;
use crate::stored::Past;
use crate::topic::Topic;

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("headcount-peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: Args) -> Result<()> {
    let plan = Plan::of(&args);
    let folder = Folder::new("headcount-peers-", 12)?;
    on_disk(folder.path())?;
    args.folder = Some(folder.path().to_owned());
    let program = Program::find(&args)?;
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let cluster = Cluster::start(&cluster::programs(folder.path())?, &folder.path().join("postgres"))?;
    let machine = machine::describe(&program)?.against(runtime.block_on(machine::engines(&args.store))?);
    let machine = machine.against([(streams::NAME, streams::version(&args.streams)), ("PostgreSQL", Some(cluster.version()?))]);
    let settings: Vec<String> = cluster.settings().iter().map(|(name, value)| format!("{name}={value}")).collect();
    println!("{}\n{}\nPostgreSQL: {}\n", machine.text(), plan.text(), settings.join(" "));
    let report = measure(&args, &plan, &program, &runtime, &cluster, folder.path())?;
    cluster.stop();
    println!();
    report.print();
    println!("\nEvery DPU's totals and every count were compared with ground truth, repeats among what was sent: all are right.");
    if let Some(file) = &args.json {
        let all = json!({
            "machine": machine.to_json(), "settings": plan.to_json(), "postgres": settings, "figures": report.to_json(),
        });
        std::fs::write(file, format!("{all:#}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// All of them in turn.
fn measure(args: &Args, plan: &Plan, program: &Program, runtime: &Runtime, cluster: &Cluster, folder: &Path) -> Result<Report> {
    let topic = runtime.block_on(Topic::create(&args.kafka, &format!("peers.{}", std::process::id())))?;
    let fleet = Fleet::new(plan.dpus, plan.in_all_per_dpu());
    println!("a backlog of {} crossings of {} DPUs, and {} repeats", fleet.crossings(), fleet.dpus, plan.repeats);
    topic.fill(fleet.dpus, fleet.per_dpu, plan.repeats)?;
    let mut backlog = Vec::new();
    let mut add = |one: Measured| {
        println!("  {}: {:.0} crossings/s, count p50 {:.3} ms", one.who, one.crossings_per_s, one.took.p50_ms);
        backlog.push(one);
    };
    let ours = Ours { program, runtime, topic: &topic, plan, fleet: &fleet };
    add(ours.on_cassandra(&args.store)?);
    add(ours.embedded()?);
    if args.wants(Peer::First) {
        add(postgres::<First>(cluster, &topic, plan, &fleet)?);
    }
    if args.wants(Peer::Ledger) {
        add(postgres::<Ledger>(cluster, &topic, plan, &fleet)?);
    }
    if args.wants(Peer::Streams) {
        add(streams::measure(&args.streams, &folder.join("streams"), runtime, &topic, plan, &fleet)?);
    }
    let past = Past { args, plan, program, runtime, cluster, folder };
    let stored = if plan.stored == 0 { Vec::new() } else { past.measure()? };
    Ok(Report { backlog, crossings: fleet.crossings(), stored })
}

/// Has a design take the topic in, then asks it.
fn postgres<D: Design>(cluster: &Cluster, topic: &Topic, plan: &Plan, fleet: &Fleet) -> Result<Measured> {
    let database = cluster.database(D::GROUP)?;
    create::<D>(&database, fleet.dpus)?;
    let crossings_per_s = drain::<D>(&database, topic, plan)?;
    let disk_bytes = database.disk_bytes()?;
    compare(D::NAME, fleet, D::totals(&mut database.connect()?)?)?;
    let questions = Questions { fleet, since: Since::Beginning, rooms: plan.rooms, counts: plan.lookups };
    let took = questions.of_postgres(D::NAME, &database, D::COUNT)?;
    database.remove()?;
    Ok(Measured { who: D::NAME, crossings_per_s, took, disk_bytes })
}

/// Refuses a folder in memory: nothing would be durable there.
fn on_disk(folder: &Path) -> Result<()> {
    const TMPFS: FsWord = 0x0102_1994;
    if statfs(folder)?.f_type == TMPFS {
        bail!("{} is in memory: set TMPDIR to a folder on a disk", folder.display());
    }
    Ok(())
}
