//! How Kafka, or what it holds, can be wrong.

use store::StoreError;

/// Why a consumer did not start or stopped, or a producer did not deliver.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KafkaError {
    /// A property that is not the operator's to choose.
    #[error("the Kafka property {name} is set by Headcount itself, as {why}: remove it")]
    Protected {
        /// The property.
        name: &'static str,
        /// What rests on it.
        why: &'static str,
    },
    /// The client library or the cluster failed.
    #[error("{doing}: {source}")]
    Client {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: rdkafka::error::KafkaError,
    },
    /// No broker answered.
    #[error("no Kafka broker answers at {bootstrap_servers}: {reason}")]
    Unreachable {
        /// Where it was sought.
        bootstrap_servers: String,
        /// What the client library said last.
        reason: String,
    },
    /// A topic that was there is gone.
    #[error(
        "there is no topic {topic} at {bootstrap_servers}, and the store has consumed it: bring it back, or, if a new log is meant, run \
         `headcount log new-epoch`"
    )]
    NoTopic {
        /// The topic.
        topic: String,
        /// Where it was sought.
        bootstrap_servers: String,
    },
    /// A topic that is asked about is not there.
    #[error("there is no topic {topic} at {bootstrap_servers}: check its name; the first consumer or server that starts creates it")]
    UnknownTopic {
        /// The topic.
        topic: String,
        /// Where it was sought.
        bootstrap_servers: String,
    },
    /// There is no such topic, and it cannot be created from here.
    #[error(
        "there is no topic {topic}, and creating it failed ({reason}): create it with `kafka-topics.sh --bootstrap-server \
         {bootstrap_servers} --create --topic {topic} --partitions {partitions} --replication-factor {replicas}{configs}`"
    )]
    NotCreated {
        /// The topic.
        topic: String,
        /// Why it was not created.
        reason: String,
        /// Where it should be.
        bootstrap_servers: String,
        /// How many partitions it is to have.
        partitions: u32,
        /// How many replicas it is to have.
        replicas: u16,
        /// What else it needs, as that command takes it.
        configs: String,
    },
    /// A topic is configured in a way that would cost crossings or counts.
    #[error(
        "topic {topic} has {name}={found} and must have {name}={wanted}, as {why}: run `kafka-configs.sh --bootstrap-server \
         {bootstrap_servers} --alter --entity-type topics --entity-name {topic} --add-config {name}={wanted}`"
    )]
    TopicSetting {
        /// The topic.
        topic: String,
        /// The setting.
        name: &'static str,
        /// What it has.
        found: String,
        /// What it must have.
        wanted: &'static str,
        /// What rests on it.
        why: &'static str,
        /// Where it is.
        bootstrap_servers: String,
    },
    /// A topic has another number of partitions than the configuration asks for.
    #[error(
        "topic {topic} has {found} partitions, and {wanted} are asked for: ask for {found}{}",
        if found < wanted {
            format!(
                ", or, before anything is consumed, run `kafka-topics.sh --bootstrap-server {bootstrap_servers} --alter --topic {topic} \
                 --partitions {wanted}`"
            )
        } else {
            String::new()
        }
    )]
    UnwantedPartitions {
        /// The topic.
        topic: String,
        /// How many are asked for.
        wanted: u32,
        /// How many there are.
        found: u32,
        /// Where it is.
        bootstrap_servers: String,
    },
    /// Another cluster than the one the store's positions mean.
    #[error(
        "the store holds positions in Kafka cluster {stored}, and this is cluster {found}; if the move is meant, drain the old log and run \
         `headcount log new-epoch`"
    )]
    OtherCluster {
        /// The cluster id the store remembers.
        stored: String,
        /// The cluster id found.
        found: String,
    },
    /// Another number of partitions than the store's positions mean: DPUs would change their home.
    #[error("topic {topic} had {stored} partitions and has {found}; if the change is meant, drain it and run `headcount log new-epoch`")]
    OtherPartitions {
        /// The topic.
        topic: String,
        /// How many the store remembers.
        stored: u32,
        /// How many there are.
        found: u32,
    },
    /// The log ends before a record that the store or the group has seen.
    #[error(
        "partition {partition} ends at offset {high}, and offset {seen} was seen before: the topic was created anew or lost records; \
         declare it with `headcount log new-epoch`"
    )]
    LogShorter {
        /// The partition.
        partition: i32,
        /// Where the log ends.
        high: i64,
        /// The offset seen before.
        seen: i64,
    },
    /// The group has no usable offset for a partition, and this is not its first start.
    #[error(
        "group {group} has no usable offset for {}: its offsets expired, were deleted, or point at records deleted \
         meanwhile; set them with `kafka-consumer-groups.sh --reset-offsets`, or, for a new log, run `headcount log new-epoch`",
        partition.map_or_else(|| "a partition".to_owned(), |partition| format!("partition {partition}"))
    )]
    NoOffset {
        /// The group.
        group: String,
        /// The partition, where that is known.
        partition: Option<i32>,
    },
    /// Somebody began to copy into the store after it was opened.
    #[error("the store is an unfinished copy of {0}: finish it with `headcount copy`, then start again")]
    UnfinishedCopy(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread could not be started, or ended by itself.
    #[error("the consumer's thread: {0}")]
    Thread(String),
}

impl KafkaError {
    /// For `map_err`: what was being done when the client failed.
    pub(crate) fn doing(doing: &'static str) -> impl Fn(rdkafka::error::KafkaError) -> Self {
        move |source| Self::Client { doing, source }
    }
}
