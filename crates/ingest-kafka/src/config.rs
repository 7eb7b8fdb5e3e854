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
    /// The topic of counters: compacted, the latest of every DPU.
    pub counters_topic: String,
    /// Further properties of the client library, such as those for TLS and SASL.
    pub properties: BTreeMap<String, String>,
}

impl KafkaConfig {
    /// A topic in a cluster, with no further properties. The topic of counters is named after it: `a.counters` beside
    /// `a.crossings`.
    #[must_use]
    pub fn new(bootstrap_servers: &str, topic: &str) -> Self {
        let counters_topic = format!("{}.counters", topic.strip_suffix(".crossings").unwrap_or(topic));
        Self { bootstrap_servers: bootstrap_servers.to_owned(), topic: topic.to_owned(), counters_topic, properties: BTreeMap::new() }
    }
}

/// How a consumer works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// Which log.
    pub kafka: KafkaConfig,
    /// The consumer group.
    pub group: String,
    /// What is asked of the topics.
    pub topic_policy: TopicPolicy,
    /// What is admitted to the ledgers.
    pub policy: Policy,
    /// Limits of each partition's lane.
    pub lane: LaneConfig,
    /// How many records all lanes together have in commits at once; see [`ingest::Shared`].
    pub room_records: u32,
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
            topic_policy: TopicPolicy::Checked(Wanted::default()),
            policy: Policy::default(),
            // A backlog of many DPUs: the more of them a commit holds, the more rows travel in each batch.
            lane: LaneConfig { queue_records: 16_384, batch_records: 16_384, ..LaneConfig::default() },
            room_records: 65_536,
            commit_interval_ms: 200,
            revoke_patience_ms: 10_000,
        }
    }
}

/// What is asked of the topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicPolicy {
    /// Created where they are missing, refused where they are not as they must be.
    Checked(Wanted),
    /// The in-process cluster, which cannot be asked: its records carry the producer's clock, and that serves.
    Trusted,
}

/// How topics are to be laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How many partitions; without it, [`Wanted::PARTITIONS`] in a new topic, and however many an old one has.
    pub partitions: Option<u32>,
    /// How many replicas a new topic has; without it 3, or as many as there are brokers.
    pub replicas: Option<u16>,
}

impl Wanted {
    /// In a new topic: a power of two, so that it divides the number of storage slots.
    pub const PARTITIONS: u32 = 16;
}

const DURABLE: &str = "a record counts as safe only once all replicas have it";
const NO_JUMP: &str = "an offset is committed only once everything before it is stored, and a missing one is an error";
const REBALANCE: &str = "partitions are given up one by one, each once its work is done";
const SAID_ELSEWHERE: &str = "it has a setting of its own";
const DELIVERY: &str = "how long a record is tried follows from who waits for it";

/// What the guarantees rest on, and why it is not up for choice.
const PROTECTED: [(&str, &str); 20] = [
    ("acks", DURABLE),
    ("allow.auto.create.topics", "topics are created as they must be, not as a broker makes them by itself"),
    ("auto.offset.reset", NO_JUMP),
    ("bootstrap.servers", SAID_ELSEWHERE),
    ("delivery.timeout.ms", DELIVERY),
    ("enable.auto.commit", NO_JUMP),
    ("enable.auto.offset.store", NO_JUMP),
    ("enable.idempotence", DURABLE),
    ("enable.partition.eof", "the consumer has no use for it"),
    ("group.id", SAID_ELSEWHERE),
    ("group.protocol", REBALANCE),
    ("isolation.level", "what was never committed must not count"),
    ("message.timeout.ms", DELIVERY),
    ("metadata.broker.list", SAID_ELSEWHERE),
    ("partition.assignment.strategy", REBALANCE),
    ("partitioner", "a DPU's home partition follows from it"),
    ("request.required.acks", DURABLE),
    ("statistics.interval.ms", "the lag is read from the statistics"),
    ("test.mock.num.brokers", "that cluster would hold nothing"),
    ("transactional.id", "nothing here is produced in transactions"),
];

/// Makes a member static: it keeps its partitions while it is gone for less than the session timeout.
const INSTANCE_ID: &str = "group.instance.id";

/// How long a record waits for others to travel with, in ms, where the operator does not say.
const LINGER_MS: &str = "1";

/// How often the client library reports on its partitions, in ms.
const STATISTICS_INTERVAL_MS: u32 = 1000;

impl KafkaConfig {
    /// What a client of either kind starts from.
    fn client(&self) -> Result<ClientConfig, KafkaError> {
        if let Some((name, why)) = PROTECTED.into_iter().find(|(name, _)| self.properties.contains_key(*name)) {
            return Err(KafkaError::Protected { name, why });
        }
        let mut client = ClientConfig::new();
        client.set("client.id", "headcount");
        client.extend(self.properties.clone());
        client.set("bootstrap.servers", &self.bootstrap_servers);
        Ok(client)
    }

    pub(crate) fn producer(&self, delivery_timeout_ms: u64) -> Result<ClientConfig, KafkaError> {
        let mut client = self.client()?;
        client.remove(INSTANCE_ID);
        // Somebody waits for each record. Records of one commit come together anyway.
        unless_said(&mut client, &["linger.ms", "queue.buffering.max.ms"], LINGER_MS);
        client
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", delivery_timeout_ms.to_string());
        Ok(client)
    }

    /// For a client that asks about a group and never joins it.
    pub(crate) fn observer(&self, group: &str) -> Result<ClientConfig, KafkaError> {
        let mut client = self.consumer(group)?;
        client.remove(INSTANCE_ID);
        Ok(client)
    }

    /// For a client that reads partitions of its own choice.
    pub(crate) fn follower(&self, group: &str) -> Result<ClientConfig, KafkaError> {
        let mut client = self.observer(group)?;
        client.remove("statistics.interval.ms");
        Ok(client)
    }

    pub(crate) fn consumer(&self, group: &str) -> Result<ClientConfig, KafkaError> {
        let mut client = self.client()?;
        // What is fetched ahead, in KiB, and how soon more is fetched once there is room.
        unless_said(&mut client, &["queued.max.messages.kbytes"], "16384");
        unless_said(&mut client, &["fetch.queue.backoff.ms"], "20");
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

/// Sets the first of the names a setting has, unless the operator has set one of them.
fn unless_said(client: &mut ClientConfig, names: &[&str], value: &str) {
    if let Some(name) = names.first().filter(|_| names.iter().all(|name| client.get(name).is_none())) {
        client.set(*name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_member_of_the_group_carries_its_instance() {
        let mut config = KafkaConfig::new("localhost:1", "t");
        config.properties.insert(INSTANCE_ID.to_owned(), "one".to_owned());
        assert_eq!(config.consumer("g").unwrap().get(INSTANCE_ID), Some("one"));
        assert_eq!(config.observer("g").unwrap().get(INSTANCE_ID), None);
        assert_eq!(config.producer(0).unwrap().get(INSTANCE_ID), None);
    }

    #[test]
    fn how_long_a_record_waits_is_the_operators_to_say() {
        let mut config = KafkaConfig::new("localhost:1", "t");
        assert_eq!(config.producer(0).unwrap().get("linger.ms"), Some(LINGER_MS));
        config.properties.insert("queue.buffering.max.ms".to_owned(), "7".to_owned());
        assert_eq!(config.producer(0).unwrap().get("linger.ms"), None);
        config.properties.insert("linger.ms".to_owned(), "3".to_owned());
        assert_eq!(config.producer(0).unwrap().get("linger.ms"), Some("3"));
    }

    #[test]
    fn the_topic_of_counters_is_named_after_that_of_crossings() {
        for (topic, counters) in [("headcount.crossings", "headcount.counters"), ("doors", "doors.counters")] {
            assert_eq!(KafkaConfig::new("localhost:1", topic).counters_topic, counters);
        }
    }

    #[test]
    fn properties_pass_through_but_cannot_weaken_the_guarantees() {
        let mut config = KafkaConfig::new("localhost:1", "t");
        config.properties.insert("sasl.username".to_owned(), "someone".to_owned());
        let client = config.consumer("g").unwrap();
        assert_eq!(client.get("sasl.username"), Some("someone"));
        assert_eq!(client.get("auto.offset.reset"), Some("error"));
        for (name, why) in PROTECTED {
            config.properties = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
            let refused = Err(KafkaError::Protected { name, why });
            assert_eq!((config.consumer("g").map(|_| ()), config.producer(0).map(|_| ())), (refused.clone(), refused));
        }
    }
}
