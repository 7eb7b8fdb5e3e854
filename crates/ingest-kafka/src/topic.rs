//! What there is in Kafka, looked at before anything is consumed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientContext, TopicPartitionList};
use store::Settings;
use tokio::runtime::Handle;

use crate::config::{ConsumerConfig, KafkaConfig, TopicPolicy};
use crate::error::KafkaError;
use crate::setup::Setup;

/// How long the cluster may take to answer one question.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a client may take to tell what went wrong.
const TELLING: Duration = Duration::from_millis(100);

/// The topic as it is, and the group's offsets in it. Its methods block.
pub(crate) struct Topic<'a> {
    config: &'a ConsumerConfig,
    /// Asks, and never joins the group.
    client: BaseConsumer<Asking>,
    pub(crate) cluster_id: String,
    pub(crate) partitions: u32,
}

impl<'a> Topic<'a> {
    /// Finds the topic, given what the store remembers; creates and checks topics as far as the policy says.
    pub(crate) fn find(config: &'a ConsumerConfig, known: &Settings, runtime: &Handle) -> Result<Self, KafkaError> {
        let kafka = &config.kafka;
        let (client, cluster_id) = reach(kafka, &config.group)?;
        known_cluster(known, &cluster_id)?;
        let found = partitions(&client, &kafka.topic)?;
        let gone = || KafkaError::NoTopic { topic: kafka.topic.clone(), bootstrap_servers: kafka.bootstrap_servers.clone() };
        if found.is_none() && known.partitions.is_some() {
            return Err(gone());
        }
        if let TopicPolicy::Checked(wanted) = config.topic_policy {
            Setup::new(kafka, wanted, &client, runtime)?.settle()?;
        }
        let partitions = partitions(&client, &kafka.topic)?.ok_or_else(gone)?;
        Ok(Self { config, client, cluster_id, partitions })
    }

    /// Finds the topic as it is, and neither checks nor creates anything.
    pub(crate) fn observe(config: &'a ConsumerConfig) -> Result<Self, KafkaError> {
        let KafkaConfig { topic, bootstrap_servers, .. } = &config.kafka;
        let (client, cluster_id) = reach(&config.kafka, &config.group)?;
        let found = partitions(&client, topic)?;
        let partitions =
            found.ok_or_else(|| KafkaError::UnknownTopic { topic: topic.clone(), bootstrap_servers: bootstrap_servers.clone() })?;
        Ok(Self { config, client, cluster_id, partitions })
    }

    /// Every partition.
    pub(crate) fn all(&self) -> impl Iterator<Item = i32> + use<> {
        0..i32::try_from(self.partitions).unwrap_or(i32::MAX)
    }

    /// The first offset of a partition, and the one after its last.
    pub(crate) fn ends(&self, partition: i32) -> Result<(i64, i64), KafkaError> {
        let topic = &self.config.kafka.topic;
        self.client.fetch_watermarks(topic, partition, PATIENCE).map_err(KafkaError::doing("asking where a partition ends"))
    }

    /// The group's offset in each partition, where it has one.
    pub(crate) fn committed(&self) -> Result<Vec<(i32, Option<i64>)>, KafkaError> {
        let mut asked = TopicPartitionList::new();
        for partition in self.all() {
            asked.add_partition(&self.config.kafka.topic, partition);
        }
        let found = self.client.committed_offsets(asked, PATIENCE).map_err(KafkaError::doing("asking for the group's offsets"))?;
        let mut offsets = Vec::new();
        for element in found.elements() {
            element.error().map_err(KafkaError::doing("asking for the group's offsets"))?;
            let offset = if let Offset::Offset(offset) = element.offset() { Some(offset) } else { None };
            offsets.push((element.partition(), offset));
        }
        Ok(offsets)
    }

    /// Sets offsets of a group that has no members yet.
    pub(crate) fn commit(&self, offsets: &[(i32, i64)]) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            let added = list.add_partition_offset(&self.config.kafka.topic, *partition, Offset::Offset(*offset));
            added.map_err(KafkaError::doing("committing the group's first offsets"))?;
        }
        self.client.commit(&list, CommitMode::Sync).map_err(KafkaError::doing("committing the group's first offsets"))
    }
}

/// A client that asks, and the id of the cluster that answered it.
pub(crate) fn reach(kafka: &KafkaConfig, group: &str) -> Result<(BaseConsumer<Asking>, String), KafkaError> {
    let client = kafka.observer(group)?.create_with_context(Asking::default());
    let client: BaseConsumer<Asking> = client.map_err(KafkaError::doing("making a Kafka client"))?;
    match client.client().fetch_cluster_id(PATIENCE) {
        Some(cluster_id) => Ok((client, cluster_id)),
        None => Err(KafkaError::Unreachable { bootstrap_servers: kafka.bootstrap_servers.clone(), reason: reason(&client) }),
    }
}

/// How many partitions a topic has, or `None` where there is no such topic.
pub(crate) fn partitions(client: &BaseConsumer<Asking>, topic: &str) -> Result<Option<u32>, KafkaError> {
    let failed = KafkaError::doing("asking for a topic");
    let metadata = client.fetch_metadata(Some(topic), PATIENCE).map_err(&failed)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
    match found.error() {
        None => Ok(Some(u32::try_from(found.partitions().len()).unwrap_or(u32::MAX)).filter(|partitions| *partitions > 0)),
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Ok(None),
        Some(error) => Err(failed(ClientError::MetadataFetch(error.into()))),
    }
}

/// Refuses another cluster than the one the store remembers.
pub(crate) fn known_cluster(known: &Settings, found: &str) -> Result<(), KafkaError> {
    match &known.cluster_id {
        Some(stored) if stored != found => Err(KafkaError::OtherCluster { stored: stored.clone(), found: found.to_owned() }),
        _ => Ok(()),
    }
}

/// Keeps what the client library said last, as its calls say only that they failed.
#[derive(Default)]
pub(crate) struct Asking(Mutex<Option<String>>);

impl ClientContext for Asking {
    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!(%error, reason, "the Kafka client");
        // That all brokers are down says less than why.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Asking {}

/// Why a client got no answer.
fn reason(client: &BaseConsumer<Asking>) -> String {
    // It tells only while it is polled. There are no records to get: it consumes nothing.
    for _ in 0..100 {
        if client.poll(TELLING).is_none() {
            break;
        }
    }
    let said = client.context().0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    said.unwrap_or_else(|| format!("nothing came within {} s", PATIENCE.as_secs()))
}
