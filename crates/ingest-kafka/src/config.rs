//! How to reach Kafka, and what is not up for choice.

use std::collections::BTreeMap;

use ingest::{LaneConfig, Policy};
use rdkafka::ClientConfig;

use crate::error::KafkaError;

/// Which log, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `host:port`, more of them separated by commas.
    pub bootstrap_servers: String,
    /// The topic of crossings.
    pub topic: String,
    /// Further properties of the client library, such as those for TLS and SASL.
    pub properties: BTreeMap<String, String>,
}

impl KafkaConfig {
    /// A topic in a cluster, with no further properties.
    #[must_use]
    pub fn new(bootstrap_servers: &str, topic: &str) -> Self {
        Self { bootstrap_servers: bootstrap_servers.to_owned(), topic: topic.to_owned(), properties: BTreeMap::new() }
    }
}

/// How a consumer works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// Which log.
    pub kafka: KafkaConfig,
    /// The consumer group.
    pub group: String,
    /// What is asked of the topic.
    pub topic_policy: TopicPolicy,
    /// What is admitted to the ledgers.
    pub policy: Policy,
    /// Limits of each partition's lane.
    pub lane: LaneConfig,
    /// How often offsets are committed, in ms.
    pub commit_interval_ms: u64,
    /// How long a partition that is taken away may take to finish, in ms: well under `max.poll.interval.ms`.
    pub revoke_patience_ms: u64,
}

impl ConsumerConfig {
    /// The usual way, for a group.
    #[must_use]
    pub fn new(kafka: KafkaConfig, group: &str) -> Self {
        Self {
            kafka,
            group: group.to_owned(),
            topic_policy: TopicPolicy::Checked,
            policy: Policy::default(),
            lane: LaneConfig::default(),
            commit_interval_ms: 200,
            revoke_patience_ms: 10_000,
        }
    }
}

/// What is asked of the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicPolicy {
    /// It must stamp records with the broker's clock.
    Checked,
    /// The in-process cluster, which cannot be asked: its records carry the producer's clock, and that serves.
    Trusted,
}

/// What the guarantees rest on.
const PROTECTED: [&str; 19] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.protocol",
    "isolation.level",
    "message.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "statistics.interval.ms",
    "test.mock.num.brokers",
    "transactional.id",
];

/// How often the client library reports on its partitions, in ms.
const STATISTICS_INTERVAL_MS: u32 = 1000;

impl KafkaConfig {
    /// What a client of either kind starts from.
    fn client(&self) -> Result<ClientConfig, KafkaError> {
        if let Some(name) = self.properties.keys().find(|name| PROTECTED.contains(&name.as_str())) {
            return Err(KafkaError::Protected(name.clone()));
        }
        let mut client = ClientConfig::new();
        client.set("client.id", "headcount");
        client.extend(self.properties.clone());
        client.set("bootstrap.servers", &self.bootstrap_servers);
        Ok(client)
    }

    pub(crate) fn producer(&self, delivery_timeout_ms: u64) -> Result<ClientConfig, KafkaError> {
        let mut client = self.client()?;
        client
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", delivery_timeout_ms.to_string());
        Ok(client)
    }

    pub(crate) fn consumer(&self, group: &str) -> Result<ClientConfig, KafkaError> {
        let mut client = self.client()?;
        // What is fetched ahead, in KiB, and how soon more is fetched once there is room.
        for (name, value) in [("queued.max.messages.kbytes", "16384"), ("fetch.queue.backoff.ms", "20")] {
            if client.get(name).is_none() {
                client.set(name, value);
            }
        }
        client
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "false")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "error")
            .set("statistics.interval.ms", STATISTICS_INTERVAL_MS.to_string());
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_pass_through_but_cannot_weaken_the_guarantees() {
        let mut config = KafkaConfig::new("localhost:1", "t");
        config.properties.insert("sasl.username".to_owned(), "someone".to_owned());
        let client = config.consumer("g").unwrap();
        assert_eq!(client.get("sasl.username"), Some("someone"));
        assert_eq!(client.get("auto.offset.reset"), Some("error"));
        for name in PROTECTED {
            config.properties = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
            let refused = Err(KafkaError::Protected(name.to_owned()));
            assert_eq!((config.consumer("g").map(|_| ()), config.producer(0).map(|_| ())), (refused.clone(), refused));
        }
    }
}
