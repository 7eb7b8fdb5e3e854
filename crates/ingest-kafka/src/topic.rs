//! What there is in Kafka, looked at before anything is consumed.

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;
use tokio::runtime::Handle;

use crate::config::{ConsumerConfig, TopicPolicy};
use crate::error::KafkaError;

/// How long the cluster may take to answer one question.
const PATIENCE: Duration = Duration::from_secs(10);

/// The topic as it is, and the group's offsets in it. Its methods block.
pub(crate) struct Topic<'a> {
    config: &'a ConsumerConfig,
    /// Asks, and never joins the group.
    client: BaseConsumer,
    pub(crate) cluster_id: String,
    pub(crate) partitions: u32,
}

impl<'a> Topic<'a> {
    /// Finds the topic and checks it as far as the policy says.
    pub(crate) fn find(config: &'a ConsumerConfig, runtime: &Handle) -> Result<Self, KafkaError> {
        let client: BaseConsumer = config.kafka.consumer(&config.group)?.create().map_err(KafkaError::doing("making a Kafka client"))?;
        let bootstrap_servers = || config.kafka.bootstrap_servers.clone();
        let unreachable = || KafkaError::Unreachable { bootstrap_servers: bootstrap_servers() };
        let cluster_id = client.client().fetch_cluster_id(PATIENCE).ok_or_else(unreachable)?;
        let name = config.kafka.topic.as_str();
        let metadata = client.fetch_metadata(Some(name), PATIENCE).map_err(KafkaError::doing("asking for the topic"))?;
        let no_topic = || KafkaError::NoTopic { topic: name.to_owned(), bootstrap_servers: bootstrap_servers() };
        let found = metadata.topics().iter().find(|topic| topic.name() == name).ok_or_else(no_topic)?;
        match found.error() {
            None => {}
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => return Err(no_topic()),
            Some(error) => {
                let source = rdkafka::error::KafkaError::MetadataFetch(error.into());
                return Err(KafkaError::Client { doing: "asking for the topic", source });
            }
        }
        let partitions = u32::try_from(found.partitions().len()).unwrap_or(u32::MAX);
        if partitions == 0 {
            return Err(no_topic());
        }
        if config.topic_policy == TopicPolicy::Checked {
            check_timestamps(config, runtime)?;
        }
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

/// Insists on append times by the broker's clock: the stamps of all rows come from them.
fn check_timestamps(config: &ConsumerConfig, runtime: &Handle) -> Result<(), KafkaError> {
    let failed = KafkaError::doing("asking for the topic's configuration");
    let admin: AdminClient<DefaultClientContext> = config.kafka.producer(0)?.create().map_err(&failed)?;
    let topic = config.kafka.topic.as_str();
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let described = runtime.block_on(admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options)).map_err(&failed)?;
    let described = described.into_iter().next().unwrap_or(Err(rdkafka::types::RDKafkaErrorCode::Fail));
    let resource = described.map_err(|code| failed(rdkafka::error::KafkaError::AdminOp(code)))?;
    let found = resource.get("message.timestamp.type").and_then(|entry| entry.value.clone()).unwrap_or_else(|| "nothing".to_owned());
    if found == "LogAppendTime" {
        return Ok(());
    }
    let bootstrap_servers = config.kafka.bootstrap_servers.clone();
    Err(KafkaError::TimestampType { topic: topic.to_owned(), found, bootstrap_servers })
}
