//! The backlog: one topic that everybody consumes in turn, each as a group of its own.
//!
//! It holds what each DPU saw, turn about, a record for each crossing: first some that nobody is timed with, so that all
//! are warm, then those that are, then some of these again.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::args::Plan;
use crate::fleet::{mix, seen};
use crate::kafka::{PARTITIONS, create_topic, flush, producer, send};

const LOOK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(900);
const ANSWER: Duration = Duration::from_secs(30);

/// A topic with its records.
pub(crate) struct Topic {
    pub(crate) brokers: String,
    pub(crate) name: String,
}

impl Topic {
    /// Makes it.
    pub(crate) async fn create(brokers: &str, name: &str) -> Result<Self> {
        let topic = Self { brokers: brokers.to_owned(), name: name.to_owned() };
        create_topic(brokers, name).await?;
        Ok(topic)
    }

    /// The settings every client begins with.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// Produces what so many DPUs saw, then repeats some of it.
    pub(crate) fn fill(&self, dpus: usize, per_dpu: usize, repeats: usize) -> Result<()> {
        let producer = producer(&self.brokers)?;
        let all = (0..per_dpu).flat_map(|k| (0..dpus).map(move |dpu| (dpu, k)));
        let random = (0..repeats).map(|i| mix(i as u64) as usize);
        for (dpu, k) in all.chain(random.map(|random| (random % dpus, (random >> 32) % per_dpu))) {
            send(&producer, &self.name, &format!("d{dpu}"), [seen(dpu, k)])?;
        }
        flush(&producer)
    }

    /// Waits until a group has taken in all; how many of the timed crossings it took in a second. `check` fails where
    /// that is hopeless.
    pub(crate) fn await_taken(&self, group: &str, plan: &Plan, mut check: impl FnMut() -> Result<()>) -> Result<f64> {
        let observer = Observer::of(self, group)?;
        let begun = Instant::now();
        let mut await_more = |least: usize| loop {
            let taken = observer.taken()?;
            if taken >= least {
                return anyhow::Ok((taken, Instant::now()));
            }
            check()?;
            if begun.elapsed() > PATIENCE {
                bail!("{group} has taken in {taken} records after {PATIENCE:?}, not yet {least}");
            }
            std::thread::sleep(LOOK);
        };
        let (first, from) = await_more(plan.warm())?;
        let (last, to) = await_more(plan.warm() + plan.timed())?;
        await_more(plan.warm() + plan.timed() + plan.repeats)?;
        if first >= last {
            bail!("{group} was too quick to be timed: give it more crossings");
        }
        Ok((last - first) as f64 / (to - from).as_secs_f64())
    }
}

/// Sees how far a group is: what it has committed, which everybody does once it is durable.
struct Observer {
    consumer: BaseConsumer,
    partitions: TopicPartitionList,
}

impl Observer {
    fn of(topic: &Topic, group: &str) -> Result<Self> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(&topic.name, 0, PARTITIONS - 1);
        let consumer = topic.client().set("group.id", group).set("isolation.level", "read_uncommitted").create()?;
        Ok(Self { consumer, partitions })
    }

    fn taken(&self) -> Result<usize> {
        let committed = self.consumer.committed_offsets(self.partitions.clone(), ANSWER)?;
        let offsets = committed.elements().into_iter().map(|partition| match partition.offset() {
            Offset::Offset(offset) => offset,
            _ => 0,
        });
        Ok(usize::try_from(offsets.sum::<i64>())?)
    }
}
