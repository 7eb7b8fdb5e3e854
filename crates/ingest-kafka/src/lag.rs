//! How far a consumer group is behind, asked without joining it: also while none of its members runs.

use crate::config::{ConsumerConfig, KafkaConfig};
use crate::error::KafkaError;
use crate::topic::Topic;

/// How far the group is in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionLag {
    /// Which one.
    pub partition: i32,
    /// The first offset not yet done with; `None` where the group has none.
    pub committed: Option<i64>,
    /// The first offset there is.
    pub first: i64,
    /// The offset after the last record.
    pub end: i64,
}

impl PartitionLag {
    /// How many records are still to be consumed.
    #[must_use]
    pub fn records(&self) -> u64 {
        u64::try_from(self.end.saturating_sub(self.committed.unwrap_or(self.first))).unwrap_or(0)
    }
}

/// How far a group is in each partition of the topic of crossings.
///
/// # Errors
/// Kafka does not answer, or there is no such topic.
pub async fn lag(kafka: &KafkaConfig, group: &str) -> Result<Vec<PartitionLag>, KafkaError> {
    let config = ConsumerConfig::new(kafka.clone(), group);
    let asked = tokio::task::spawn_blocking(move || {
        let topic = Topic::observe(&config)?;
        let of = |(partition, committed)| {
            let (first, end) = topic.ends(partition)?;
            Ok(PartitionLag { partition, committed, first, end })
        };
        topic.committed()?.into_iter().map(of).collect()
    });
    asked.await.unwrap_or_else(|error| Err(KafkaError::Thread(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_an_offset_has_all_before_it() {
        let lag = |committed| PartitionLag { partition: 0, committed, first: 5, end: 9 }.records();
        assert_eq!([lag(None), lag(Some(7)), lag(Some(9)), lag(Some(12))], [4, 2, 0, 0]);
    }
}
