//! The program on real engines: Kafka in, Cassandra or ScyllaDB behind.

mod backlog;
mod bare;
mod columns;
mod fold;
mod heard;
mod load;
mod lookups;
mod mixed;
mod row;
mod steady;
mod walks;
mod watchers;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rdkafka::ClientConfig;
use rdkafka::producer::Producer as _;
use scylla::client::session::Session;

use crate::args::{Args, Part, Plan};
use crate::cql;
use crate::figure::Figure;
use crate::fleet::{Fleet, seen};
use crate::kafka::{create_topic, flush, producer, send};
use crate::served::{Program, Served};

/// Slots of a keyspace, as `headcount migrate` makes one unless told otherwise.
pub(crate) const SLOTS: u32 = 4096;
/// Crossings in a record, as firmware sends them that gathers.
const GATHERED: usize = 100;

/// How long a cluster may take to say what it consists of.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often something awaited is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// Where the engines are, and what is made on them.
struct Engines<'a> {
    program: &'a Program,
    brokers: String,
    /// `cql://HOST,HOST`.
    nodes: String,
    session: Session,
    /// Tells this run's topics and keyspaces from those of others, and those of one size from those of another.
    run: String,
}

/// A topic and a keyspace, both new.
struct Path<'a> {
    engines: &'a Engines<'a>,
    keyspace: String,
    store: String,
    topic: String,
}

/// Measures what is asked for on the engines that are named.
pub(crate) async fn measure(program: &Program, args: &Args, plan: &Plan) -> Result<Vec<Figure>> {
    let (Some(brokers), Some(store)) = (&args.kafka, &args.store) else { return Ok(Vec::new()) };
    let hosts = cql::hosts(store)?;
    let session = cql::connect(hosts.split(',')).await?;
    let (brokers, nodes) = (brokers.clone(), format!("cql://{hosts}"));
    let engines = Engines { program, brokers, nodes, session, run: format!("{}_{}", std::process::id(), plan.reporting_dpus) };
    let mut figures = engines.size()?;
    if args.wants(Part::Backlog) {
        figures.extend(backlog::drained(&engines, plan).await?);
    }
    if args.wants(Part::Fold) {
        figures.extend(fold::folded(&engines, plan).await?);
    }
    if args.wants(Part::Steady) {
        figures.extend(steady::visible(&engines, plan).await?);
    }
    if args.wants(Part::Watchers) {
        figures.extend(watchers::told(&engines, plan).await?);
    }
    if args.wants(Part::Mixed) {
        figures.extend(mixed::measured(&engines, plan).await?);
    }
    if args.wants(Part::Lookups) {
        figures.extend(lookups::answered(&engines, plan).await?);
    }
    if args.wants(Part::Walk) {
        figures.extend(walks::walked(&engines, plan).await?);
    }
    if args.wants(Part::Columns) {
        figures.extend(columns::weighed(&engines, plan).await?);
    }
    Ok(figures)
}

impl Engines<'_> {
    /// How many there are of each: what was measured holds for so many.
    fn size(&self) -> Result<Vec<Figure>> {
        let brokers = producer(&self.brokers)?.client().fetch_metadata(None, PATIENCE)?.brokers().len();
        let nodes = self.session.get_cluster_state().get_nodes_info().len();
        let figure = |name, count: usize, id| Figure::new(name, count as f64, "").id(id);
        Ok(vec![figure("Kafka brokers", brokers, "brokers"), figure("nodes of the cluster", nodes, "nodes")])
    }

    /// A topic and a keyspace named after what they are for.
    async fn path(&self, name: &str, slots: u32) -> Result<Path<'_>> {
        let keyspace = format!("bench_{name}_{}", self.run);
        let store = format!("{}/{keyspace}", self.nodes);
        self.program.run(&["migrate", "--store", &store, "--replication", "1", "--slots", &slots.to_string()])?;
        let topic = self.topic(name).await?;
        Ok(Path { engines: self, keyspace, store, topic })
    }

    /// A topic named after what it is for.
    async fn topic(&self, name: &str) -> Result<String> {
        let topic = format!("bench_{name}_{}", self.run).replace('_', ".");
        create_topic(&self.brokers, &topic).await?;
        Ok(topic)
    }
}

impl Path<'_> {
    /// Starts a consumer process; its metrics stand at its address.
    fn ingest(&self) -> Result<Served> {
        self.start(&["ingest", "--metrics-listen", "127.0.0.1:0"])
    }

    /// Starts an API process that consumes nothing.
    fn serve(&self) -> Result<Served> {
        self.start(&["serve", "--consume", "false", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
    }

    fn start(&self, words: &[&str]) -> Result<Served> {
        let Engines { program, brokers, .. } = self.engines;
        let common = ["--kafka", brokers, "--store", &self.store, "--topic", &self.topic, "--group", &self.topic];
        Served::run(program, &[words, &common[..]].concat())
    }

    /// Compares the counters of every DPU of an id, `prefix` and a number below `dpus`, with the truth: how many entered
    /// and exited.
    async fn check_totals(&self, prefix: &str, dpus: usize, truth: impl Fn(usize) -> (usize, usize)) -> Result<()> {
        let mut right = 0;
        for (dpu, entered, exited) in cql::totals(&self.engines.session, &self.keyspace, prefix).await? {
            let (found, truth) = ((entered, exited), truth(dpu));
            if found != (i64::try_from(truth.0)?, i64::try_from(truth.1)?) {
                bail!("WRONG COUNT: DPU {prefix}{dpu} has {found:?} entered and exited, but {truth:?} is right");
            }
            right += 1;
        }
        if right == dpus { Ok(()) } else { bail!("{right} of {dpus} DPUs have counters") }
    }
}

/// A client that consumes as the program's does.
fn consumer(brokers: &str, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", group).set("auto.offset.reset", "earliest");
    config.set("enable.auto.commit", "false").set("partition.assignment.strategy", "cooperative-sticky");
    config.set("queued.max.messages.kbytes", "16384").set("fetch.queue.backoff.ms", "20");
    config
}

/// Produces everything a fleet saw, turn about, a record for each crossing.
fn send_all(engines: &Engines<'_>, topic: &str, fleet: &Fleet) -> Result<()> {
    send_gathered(engines, topic, fleet, 1)
}

/// Produces everything a fleet saw, turn about, so many crossings in a record.
fn send_gathered(engines: &Engines<'_>, topic: &str, fleet: &Fleet, gathered: usize) -> Result<()> {
    let producer = producer(&engines.brokers)?;
    for first in (0..fleet.per_dpu).step_by(gathered) {
        for dpu in 0..fleet.dpus {
            let some = (first..fleet.per_dpu.min(first + gathered)).map(|k| seen(dpu, k));
            send(&producer, topic, &format!("d{dpu}"), some)?;
        }
    }
    flush(&producer)
}

/// How many crossings a consumer has taken in.
async fn taken_in(consumer: &Served) -> Result<f64> {
    consumer.metric("headcount_crossings_total{outcome=\"accepted\"}").await
}

/// Waits until a consumer has taken in so many.
async fn until_taken_in(consumer: &Served, crossings: usize) -> Result<()> {
    while taken_in(consumer).await? < crossings as f64 {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Waits until a consumer that was just started has taken in so many; how many a second.
async fn drain_rate(consumer: &Served, crossings: usize, patience: Duration) -> Result<f64> {
    let (mut first, begun) = (None, Instant::now());
    // From the first look that finds something: joining the group is not what is measured.
    let (from, at) = loop {
        let done = taken_in(consumer).await?;
        if done >= crossings as f64 {
            break first.unwrap_or((0.0, begun));
        }
        if done > 0.0 && first.is_none() {
            first = Some((done, Instant::now()));
        }
        if begun.elapsed() > patience {
            bail!("{done} of {crossings} crossings are in after {patience:?}");
        }
        tokio::time::sleep(LOOK).await;
    };
    Ok((crossings as f64 - from) / at.elapsed().as_secs_f64())
}
