//! How Kafka, or what it holds, can be wrong.

use store::StoreError;

/// Why a consumer did not start or stopped, or a producer did not deliver.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KafkaError {
    /// A property that is not the operator's to choose.
    #[error("the Kafka property {0} is set by Headcount itself: remove it")]
    Protected(String),
    /// The client library or the cluster failed.
    #[error("{doing}: {source}")]
    Client {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: rdkafka::error::KafkaError,
    },
    /// No broker answered.
    #[error("no Kafka broker answers at {bootstrap_servers}")]
    Unreachable {
        /// Where it was sought.
        bootstrap_servers: String,
    },
    /// There is no such topic.
    #[error(
        "there is no topic {topic}: create it with `kafka-topics.sh --bootstrap-server {bootstrap_servers} --create --topic {topic} \
         --partitions 12 --replication-factor 3 --config min.insync.replicas=2 --config message.timestamp.type=LogAppendTime`"
    )]
    NoTopic {
        /// The topic.
        topic: String,
        /// Where it was sought.
        bootstrap_servers: String,
    },
    /// The topic does not stamp records with the broker's clock.
    #[error(
        "topic {topic} has message.timestamp.type={found}, and must have LogAppendTime: run `kafka-configs.sh --bootstrap-server \
         {bootstrap_servers} --alter --entity-type topics --entity-name {topic} --add-config message.timestamp.type=LogAppendTime`"
    )]
    TimestampType {
        /// The topic.
        topic: String,
        /// What it has.
        found: String,
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
