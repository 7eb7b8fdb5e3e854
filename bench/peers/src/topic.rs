//! The backlog: one topic that everybody consumes in turn, each as a group of its own.
//!
//! It holds what each DPU saw, turn about, a record for each crossing: first some that nobody is timed with, so that all
//! are warm, then those that are, then some of these again.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::args::Plan;
use crate::fleet::{Fleet, mix, seen};
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

    /// Produces all that a fleet saw, turn about, so many crossings in a record; how many records that makes.
    pub(crate) fn fill_gathered(&self, fleet: &Fleet, gathered: usize) -> Result<usize> {
        let (producer, mut records) = (producer(&self.brokers)?, 0);
        for first in (0..fleet.per_dpu).step_by(gathered) {
            for dpu in 0..fleet.dpus {
                let some = (first..fleet.per_dpu.min(first + gathered)).map(|k| seen(dpu, k));
                send(&producer, &self.name, &format!("d{dpu}"), some)?;
                records += 1;
            }
        }
        flush(&producer)?;
        Ok(records)
    }

    /// Waits until a group has taken in all; how many of the timed crossings it took in a second. `check` fails where
    /// that is hopeless.
    pub(crate) fn await_taken(&self, group: &str, plan: &Plan, mut check: impl FnMut() -> Result<()>) -> Result<f64> {
        let observer = Observer::of(self, group)?;
        let (first, from) = observer.await_taken(plan.warm(), &mut check)?;
        let (last, to) = observer.await_taken(plan.warm() + plan.timed(), &mut check)?;
        observer.await_taken(plan.warm() + plan.timed() + plan.repeats, &mut check)?;
        if first >= last {
            bail!("{group} was too quick to be timed: give it more crossings");
        }
        Ok((last - first) as f64 / (to - from).as_secs_f64())
    }

    /// Waits until a group has taken in so many records. `check` fails where that is hopeless.
    pub(crate) fn await_records(&self, group: &str, records: usize, mut check: impl FnMut() -> Result<()>) -> Result<()> {
        Observer::of(self, group)?.await_taken(records, &mut check).map(drop)
    }
}

/// Sees how far a group is: what it has committed, which everybody does once it is durable.
struct Observer {
    group: String,
    consumer: BaseConsumer,
    partitions: TopicPartitionList,
}

impl Observer {
    fn of(topic: &Topic, group: &str) -> Result<Self> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(&topic.name, 0, PARTITIONS - 1);
        let consumer = topic.client().set("group.id", group).set("isolation.level", "read_uncommitted").create()?;
        Ok(Self { group: group.to_owned(), consumer, partitions })
    }

    /// Waits until it has taken in at least so many; how many then, and when.
    fn await_taken(&self, least: usize, check: &mut impl FnMut() -> Result<()>) -> Result<(usize, Instant)> {
        let begun = Instant::now();
        loop {
            let taken = self.taken()?;
            if taken >= least {
                return Ok((taken, Instant::now()));
            }
            check()?;
            if begun.elapsed() > PATIENCE {
                bail!("{} has taken in {taken} records after {PATIENCE:?}, not yet {least}", self.group);
            }
            std::thread::sleep(LOOK);
        }
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
