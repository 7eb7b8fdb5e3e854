//! Two designs on `PostgreSQL`, fed from the topic alike.

mod first;
mod ledger;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use occupancy::crossing::Key;
use occupancy::time::UnixMs;
use postgres::Client;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::args::Plan;
use crate::cluster::Database;
use crate::kafka::PARTITIONS;
use crate::topic::Topic;

pub(crate) use first::First;
pub(crate) use ledger::Ledger;

/// Connections, each with partitions of its own: while one waits for the disk, others have work.
const WORKERS: i32 = 4;
/// The most crossings of one transaction.
pub(crate) const BATCH: usize = 10_000;
/// How long a batch waits for more.
const LINGER: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);

/// A crossing, its DPU as the number it has in the database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crossing {
    pub(crate) dpu: i32,
    pub(crate) key: Key,
    pub(crate) appended_at: UnixMs,
}

/// A way to keep crossings in `PostgreSQL`.
pub(crate) trait Design: Sized {
    /// What people call it.
    const NAME: &str;
    /// What its topic's group and its database are called.
    const GROUP: &str;
    /// Its tables and indexes.
    const TABLES: &str;

    fn new(client: &mut Client) -> Result<Self>;

    /// Takes crossings in, of DPUs that nobody else takes in; durable when `Ok`.
    fn take(&mut self, client: &mut Client, crossings: &[Crossing]) -> Result<()>;

    /// The statement that counts a room with one doorway, (DPU, instant), up to an instant, itself included.
    const COUNT: &str;

    /// Each DPU's number, and how many entered and exited.
    fn totals(client: &mut Client) -> Result<Vec<(usize, i64, i64)>>;
}

/// Makes the tables of a design, with so many DPUs, each over the only doorway of a room of the same number.
pub(crate) fn create<D: Design>(database: &Database, dpus: usize) -> Result<()> {
    let mut client = database.connect()?;
    client
        .batch_execute("CREATE TABLE dpus (id int PRIMARY KEY, name text NOT NULL UNIQUE, space int NOT NULL, sign smallint NOT NULL)")?;
    let last = i32::try_from(dpus)? - 1;
    client.execute("INSERT INTO dpus SELECT n, 'd' || n, n, 1 FROM generate_series(0, $1::int) n", &[&last])?;
    client.batch_execute(D::TABLES)?;
    client.batch_execute("ANALYZE")?;
    Ok(())
}

/// Has a design take the topic in; how many of the timed crossings it took in a second.
pub(crate) fn drain<D: Design>(database: &Database, topic: &Topic, plan: &Plan) -> Result<f64> {
    let failed = AtomicBool::new(false);
    let work = |number| {
        let done = consume::<D>(database, topic, number);
        failed.fetch_or(done.is_err(), Ordering::Relaxed);
        done
    };
    thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..WORKERS).map(|number| scope.spawn(move || work(number))).collect();
        let rate = topic
            .await_taken(D::GROUP, plan, || if failed.load(Ordering::Relaxed) { bail!("{} stopped taking in", D::NAME) } else { Ok(()) });
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("{} panicked", D::NAME))??;
        }
        rate
    })
}

/// Takes in the partitions of one worker, as long as they are now.
fn consume<D: Design>(database: &Database, topic: &Topic, worker: i32) -> Result<()> {
    let mut client = database.connect()?;
    let dpus: HashMap<String, i32> = client.query("SELECT name, id FROM dpus", &[])?.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut design = D::new(&mut client)?;
    let mut config = topic.client();
    config.set("group.id", D::GROUP).set("enable.auto.commit", "false").set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer = config.set("queued.min.messages", "100000").create()?;
    let (mut assigned, mut remaining) = (TopicPartitionList::new(), 0);
    for partition in (0..PARTITIONS).filter(|partition| partition % WORKERS == worker) {
        assigned.add_partition_offset(&topic.name, partition, Offset::Beginning)?;
        let (low, high) = consumer.fetch_watermarks(&topic.name, partition, PATIENCE)?;
        remaining += high - low;
    }
    consumer.assign(&assigned)?;
    while remaining > 0 {
        let (mut crossings, mut done) = (Vec::with_capacity(BATCH), HashMap::new());
        let mut until = Instant::now() + PATIENCE;
        while crossings.len() < BATCH && remaining > 0 {
            let Some(message) = consumer.poll(until.saturating_duration_since(Instant::now())) else { break };
            let message = message?;
            let report = wire::report::decode(message.payload().unwrap_or_default()).map_err(|error| anyhow::anyhow!("{error}"))?;
            let dpu = *dpus.get(report.dpu.as_str()).with_context(|| format!("{} is not known", report.dpu))?;
            let appended_at = UnixMs::new(message.timestamp().to_millis().context("a record has no time")?)?;
            let keys = report.crossings.into_iter().flatten();
            crossings.extend(keys.map(|key| Crossing { dpu, key, appended_at }));
            done.insert(message.partition(), message.offset() + 1);
            remaining -= 1;
            until = until.min(Instant::now() + LINGER);
        }
        if crossings.is_empty() {
            bail!("nothing came for {PATIENCE:?}");
        }
        design.take(&mut client, &crossings)?;
        let mut offsets = TopicPartitionList::new();
        for (partition, next) in done {
            offsets.add_partition_offset(&topic.name, partition, Offset::Offset(next))?;
        }
        consumer.commit(&offsets, CommitMode::Async)?;
    }
    // The last offsets are on their way: what is asked for after them comes after them.
    consumer.commit(&consumer.position()?, CommitMode::Sync)?;
    Ok(())
}
