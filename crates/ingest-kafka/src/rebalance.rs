//! The partitions this process owns: taken over and given up in the callbacks of a rebalance.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ingest::{Drained, Lane, OffsetAck, Shared, Watermark};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::topic_partition_list::Offset;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::ConsumerConfig;
use crate::error::KafkaError;
use crate::metrics::Metrics;
use crate::work::{Log, Work};

/// A partition this process owns.
pub(crate) struct Owned {
    pub(crate) lane: Lane<OffsetAck>,
    pub(crate) watermark: Arc<Watermark>,
    /// What was read and not handed on yet.
    pub(crate) held: VecDeque<Work>,
    /// Whether the partition is paused, as what is held found no room.
    pub(crate) paused: bool,
    /// The last offset sent to be committed.
    requested: Option<i64>,
    /// The same at the last look, if it was not committed then.
    unconfirmed: Option<i64>,
}

impl Owned {
    /// Compares with what is committed; whether an offset did not get there and has to be sent again.
    fn confirm(&mut self, committed: Option<i64>) -> bool {
        let open = self.requested.filter(|_| self.requested != committed);
        let failed = open.is_some() && open == self.unconfirmed;
        if failed {
            self.requested = None;
        }
        self.unconfirmed = open;
        failed
    }
}

/// How the consumer is doing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    pub(crate) assigned: usize,
    pub(crate) lag: Option<u64>,
    /// Whether the group's coordinator knows this member, as of the last second.
    pub(crate) in_group: bool,
    /// Why the store is being asked again; `None` while it answers.
    pub(crate) trouble: Option<String>,
    pub(crate) failure: Option<KafkaError>,
    /// How the lanes were given up in the end.
    pub(crate) drained: Option<Drained>,
    /// Whether it is no member of the group any more.
    pub(crate) left: bool,
}

/// This process's part in the consumer group. All of it happens on the poll thread.
pub(crate) struct Group {
    pub(crate) config: ConsumerConfig,
    pub(crate) log: Log,
    /// What the topic is called in quarantine.
    pub(crate) quarantine_topic: String,
    pub(crate) lanes: Shared,
    pub(crate) runtime: Handle,
    pub(crate) metrics: Metrics,
    pub(crate) status: Arc<watch::Sender<Status>>,
    pub(crate) owned: Mutex<BTreeMap<i32, Owned>>,
}

impl Group {
    pub(crate) fn owned(&self) -> MutexGuard<'_, BTreeMap<i32, Owned>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A list with one offset per partition.
    fn list(&self, offsets: impl IntoIterator<Item = (i32, i64)>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            if let Err(error) = list.add_partition_offset(&self.config.kafka.topic, partition, Offset::Offset(offset)) {
                tracing::warn!(%error, partition, offset, "an offset that cannot be committed");
            }
        }
        list
    }

    /// Takes a partition over: its lane starts with nothing in memory.
    fn take_over(&self, partition: i32) {
        if u32::try_from(partition).is_ok_and(|partition| partition >= self.log.partitions) {
            let (topic, found) = (self.config.kafka.topic.clone(), partition.unsigned_abs() + 1);
            return fail(&self.status, KafkaError::OtherPartitions { topic, stored: self.log.partitions, found });
        }
        let lane = Lane::spawn(&self.runtime, self.config.lane, self.lanes.clone());
        let owned = Owned { lane, watermark: Arc::default(), held: VecDeque::new(), paused: false, requested: None, unconfirmed: None };
        self.owned().insert(partition, owned);
    }

    /// Gives partitions up: when this returns, nothing here writes to their ledgers any more. How far each came is to be
    /// committed then.
    pub(crate) fn give_up(&self, consumer: &BaseConsumer<Self>, partitions: &[i32], patience: Duration) -> (Drained, TopicPartitionList) {
        let given: Vec<(i32, Owned)> = {
            let mut owned = self.owned();
            partitions.iter().filter_map(|partition| Some((*partition, owned.remove(partition)?))).collect()
        };
        for (partition, _) in &given {
            // Whoever has it next shows its lag.
            let _ = self.metrics.partition_lag_records.remove_label_values(&[partition.to_string()]);
        }
        for (partition, owned) in &given {
            owned.lane.close();
            if owned.paused {
                // It would come back paused.
                self.flow(consumer, *partition, true);
            }
        }
        let deadline = Instant::now() + patience;
        let mut worst = Drained::Finished;
        for (partition, owned) in &given {
            let drained = self.runtime.block_on(owned.lane.drain(deadline.saturating_duration_since(Instant::now())));
            if drained != Drained::Finished {
                tracing::warn!(partition, ?drained, "a lane was given up before it was done; its records will be delivered again");
                worst = drained;
            }
        }
        let done = given.iter().filter_map(|(partition, owned)| Some((*partition, owned.watermark.reached()?)));
        (worst, self.list(done))
    }

    /// Commits offsets of partitions that were given up, and waits for that: without brokers it may take long.
    pub(crate) fn commit_last(&self, consumer: &BaseConsumer<Self>, offsets: &TopicPartitionList) {
        if offsets.count() > 0 && !consumer.assignment_lost() {
            // A member that leaves in the middle of a rebalance may be told IllegalGeneration.
            if let Err(error) = consumer.commit(offsets, CommitMode::Sync) {
                self.metrics.failed_offset_commits.inc();
                tracing::info!(%error, "offsets not committed; their records will be delivered again");
            }
        }
    }

    /// Pauses a partition, or lets it flow again: only ever one that does not, as the library refetches what it holds.
    pub(crate) fn flow(&self, consumer: &BaseConsumer<Self>, partition: i32, flows: bool) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.config.kafka.topic, partition);
        let changed = if flows { consumer.resume(&list) } else { consumer.pause(&list) };
        if let Err(error) = changed {
            fail(&self.status, KafkaError::doing("pausing or resuming a partition")(error));
        }
    }

    /// Sends new watermarks to be committed. The library does not tell what became of them but in its statistics.
    pub(crate) fn commit_offsets(&self, consumer: &BaseConsumer<Self>) {
        let mut news = Vec::new();
        for (partition, owned) in self.owned().iter_mut() {
            let reached = owned.watermark.reached();
            if reached > owned.requested {
                owned.requested = reached;
                news.extend(reached.map(|offset| (*partition, offset)));
            }
        }
        if !news.is_empty() {
            let list = self.list(news);
            if let Err(error) = consumer.commit(&list, CommitMode::Async) {
                tracing::info!(%error, "offsets not committed; they will be sent again");
            }
        }
    }

    /// Says what the lanes say of the store.
    pub(crate) fn report_trouble(&self) {
        let trouble = self.owned().values().find_map(|owned| owned.lane.trouble());
        self.status.send_if_modified(|status| {
            let changed = status.trouble != trouble;
            status.trouble = trouble;
            changed
        });
    }

    fn report_assigned(&self) {
        let assigned = self.owned().len();
        self.metrics.assigned_partitions.set(i64::try_from(assigned).unwrap_or(i64::MAX));
        self.status.send_modify(|status| (status.assigned, status.lag) = (assigned, None));
    }
}

/// Remembers the first failure; the poll thread ends on it.
pub(crate) fn fail(status: &watch::Sender<Status>, error: KafkaError) {
    status.send_modify(|status| {
        status.failure.get_or_insert(error);
    });
}

impl ClientContext for Group {
    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.config.kafka.topic) else { return };
        let mut lag = Some(0);
        for (partition, owned) in self.owned().iter_mut() {
            let found = topic.partitions.get(partition);
            // Negative where it is not known yet.
            let committed = found.map(|found| found.committed_offset).filter(|offset| *offset >= 0);
            let high = found.map(|found| found.hi_offset).filter(|offset| *offset >= 0);
            let behind = high.zip(committed).map(|(high, committed)| u64::try_from(high - committed).unwrap_or(0));
            lag = lag.zip(behind).map(|(sum, behind)| sum + behind);
            if let Some(behind) = behind {
                let gauge = self.metrics.partition_lag_records.with_label_values(&[partition.to_string()]);
                gauge.set(i64::try_from(behind).unwrap_or(i64::MAX));
            }
            if owned.confirm(committed) {
                self.metrics.failed_offset_commits.inc();
            }
        }
        if let Some(lag) = lag {
            self.metrics.lag_records.set(i64::try_from(lag).unwrap_or(i64::MAX));
        }
        let in_group = statistics.cgrp.is_some_and(|group| group.state == "up");
        self.status.send_modify(|status| (status.lag, status.in_group) = (lag, in_group));
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::warn!(%error, reason, "the Kafka consumer");
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.metrics.rebalances.inc();
        let partitions = |list: &TopicPartitionList| -> Vec<i32> { list.elements().iter().map(|element| element.partition()).collect() };
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = partitions(list);
                tracing::info!(?partitions, "partitions assigned");
                partitions.into_iter().for_each(|partition| self.take_over(partition));
            }
            Rebalance::Revoke(list) => {
                let partitions = partitions(list);
                let lost = consumer.assignment_lost();
                tracing::info!(?partitions, lost, "partitions taken away");
                // What is lost may have another owner already.
                let patience_ms = if lost { 0 } else { self.config.revoke_patience_ms };
                let (_, offsets) = self.give_up(consumer, &partitions, Duration::from_millis(patience_ms));
                self.commit_last(consumer, &offsets);
            }
            Rebalance::Error(error) => tracing::warn!(%error, "a rebalance failed"),
        }
        self.report_assigned();
    }
}
