//! The consumer group as Kafka sees it.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::Offset;
use rdkafka::{ClientConfig, TopicPartitionList};

use super::load::Log;

/// How long a broker that may be away is asked.
const ASKING: Duration = Duration::from_secs(5);

/// Looks on, and never joins.
pub(crate) struct Group {
    client: BaseConsumer,
    topic: String,
    partitions: i32,
}

impl Group {
    pub(crate) fn new(log: &Log, group: &str) -> Self {
        let client = ClientConfig::new().set("bootstrap.servers", &log.bootstrap).set("group.id", group).create().unwrap();
        Self { client, topic: log.topic.clone(), partitions: i32::try_from(log.partitions).unwrap() }
    }

    /// The committed offset of each partition; `None` while there is no answer.
    pub(crate) fn done(&self) -> Option<Vec<i64>> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(&self.topic, 0, self.partitions - 1);
        let found = self.client.committed_offsets(asked, ASKING).ok()?;
        found.elements().iter().map(|element| if let Offset::Offset(offset) = element.offset() { Some(offset) } else { None }).collect()
    }

    /// The end of each partition; `None` while there is no answer.
    pub(crate) fn ends(&self) -> Option<Vec<i64>> {
        (0..self.partitions).map(|partition| Some(self.client.fetch_watermarks(&self.topic, partition, ASKING).ok()?.1)).collect()
    }

    /// Whether all there is was consumed. What is sent home shows at home before it is done with elsewhere: so the ends
    /// are looked at last.
    pub(crate) fn is_done(&self) -> bool {
        let done = self.done();
        done.is_some() && done == self.ends()
    }

    /// How many records are still to be done; `None` while there is no answer.
    pub(crate) fn behind(&self) -> Option<i64> {
        let (done, ends) = (self.done()?, self.ends()?);
        Some(ends.iter().sum::<i64>() - done.iter().sum::<i64>())
    }
}
