//! The program on real engines: Kafka in, Cassandra or ScyllaDB behind.

mod backlog;
mod bare;
mod fold;
mod heard;
mod lookups;
mod steady;
mod walks;

use std::time::Duration;

use anyhow::{Context, Result};
use occupancy::crossing::{Direction, Key};
use occupancy::time::UnixMs;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use wire::Report;

use crate::args::{Args, Part, Plan};
use crate::figure::Figure;
use crate::fleet::{Fleet, Seen, seen};
use crate::served::{Program, Served};

/// What topics are made with.
pub(crate) const PARTITIONS: usize = 16;
/// Slots of a keyspace, as `headcount migrate` makes one unless told otherwise.
pub(crate) const SLOTS: u32 = 4096;

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
    /// Tells this run's topics and keyspaces from those of others.
    run: u32,
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
    let hosts = store.strip_prefix("cql://").with_context(|| format!("{store} is no cql:// URL"))?.split('/').next().unwrap_or_default();
    let session = connect(hosts.split(',')).await?;
    let (brokers, nodes) = (brokers.clone(), format!("cql://{hosts}"));
    let engines = Engines { program, brokers, nodes, session, run: std::process::id() };
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
    if args.wants(Part::Lookups) {
        figures.extend(lookups::answered(&engines, plan).await?);
    }
    if args.wants(Part::Walk) {
        figures.extend(walks::walked(&engines, plan).await?);
    }
    Ok(figures)
}

async fn connect(nodes: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Session> {
    SessionBuilder::new().known_nodes(nodes).build().await.context("the cluster cannot be reached")
}

/// A room for each of so many DPUs, each over its only doorway; `resets` are those of the document.
fn rooms(count: usize, dpu: &str, resets: &str) -> String {
    let each = |one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"space":[{{"id":"campus","time_zone":"UTC"}},{}],"reset":[{resets}],"doorway":[{}],"installation":[{}]}}"#,
        each(&|room| format!(r#"{{"id":"room-{room}","parent":"campus"}}"#)),
        each(&|room| format!(r#"{{"id":"door-{room}","between":["outside","room-{room}"]}}"#)),
        each(&|room| format!(r#"{{"dpu":"{dpu}{room}","doorway":"door-{room}","enters":"room-{room}","from":"2024-01-01T00:00:00Z"}}"#)),
    )
}

impl Engines<'_> {
    /// How many there are of each: what was measured holds for so many.
    fn size(&self) -> Result<Vec<Figure>> {
        let brokers = self.producer()?.client().fetch_metadata(None, PATIENCE)?.brokers().len();
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
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", &self.brokers).create()?;
        let new =
            NewTopic::new(&topic, i32::try_from(PARTITIONS)?, TopicReplication::Fixed(1)).set("message.timestamp.type", "LogAppendTime");
        for made in admin.create_topics([&new], &AdminOptions::new()).await? {
            made.map_err(|(topic, error)| anyhow::anyhow!("the topic {topic} cannot be made: {error}"))?;
        }
        Ok(topic)
    }

    /// A producer as firmware should have one.
    fn producer(&self) -> Result<BaseProducer> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("partitioner", "murmur2_random").set("acks", "all");
        Ok(config.set("enable.idempotence", "true").set("linger.ms", "5").create()?)
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
    let producer = engines.producer()?;
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

/// Produces a report; waits for room in the producer's queue.
fn send(producer: &BaseProducer, topic: &str, dpu: &str, crossings: impl IntoIterator<Item = Seen>) -> Result<()> {
    let key = |seen: Seen| {
        let direction = if seen.direction > 0 { Direction::Plus } else { Direction::Minus };
        anyhow::Ok(Ok(Key { at: UnixMs::new(seen.at_ms)?, boot: 1, seq: seen.seq as u64, direction }))
    };
    let crossings = crossings.into_iter().map(key).collect::<Result<_>>()?;
    let report = Report { dpu: dpu.parse()?, crossings, heartbeat: None, accept_clock: false };
    let payload = wire::report::encode(&report);
    let mut record = BaseRecord::to(topic).key(dpu).payload(&payload);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => record = back,
            Err((error, _)) => return Err(error.into()),
        }
        producer.poll(Duration::from_millis(10));
    }
}

/// Waits until Kafka has everything.
fn flush(producer: &BaseProducer) -> Result<()> {
    Ok(producer.flush(Duration::from_secs(60))?)
}
