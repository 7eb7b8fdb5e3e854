//! The few facts a store remembers about what feeds it.

/// What a store remembers besides ledgers and edits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The Kafka cluster whose offsets the positions mean.
    pub cluster_id: Option<String>,
    /// How many partitions the topic had.
    pub partitions: Option<u32>,
    /// The log epoch; 0 while there has been no log.
    pub epoch: u32,
    /// Whether the consumer group's first start is done: from then on a missing offset is an error.
    pub first_start_done: bool,
}
