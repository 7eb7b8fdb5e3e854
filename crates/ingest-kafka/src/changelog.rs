//! The changelog of counters, as lanes publish it: keyed by DPU, on a compacted topic.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ingest::{CountersFeed, FeedError};
use occupancy::ledger::Change;

use crate::config::KafkaConfig;
use crate::error::KafkaError;
use crate::producer::Producer;

/// Publishes changes of counters, for all lanes of a process.
pub struct Changelog {
    kafka: KafkaConfig,
    producer: Mutex<Arc<Producer>>,
}

impl Changelog {
    /// Makes a changelog; it connects by itself.
    ///
    /// # Errors
    /// The configuration is wrong.
    pub fn new(kafka: &KafkaConfig) -> Result<Self, KafkaError> {
        let kafka = KafkaConfig { topic: kafka.counters_topic.clone(), ..kafka.clone() };
        Ok(Self { producer: Mutex::new(Arc::new(producer(&kafka)?)), kafka })
    }

    /// The producer, or another one where it has failed for good.
    fn producer(&self) -> Result<Arc<Producer>, KafkaError> {
        let mut current = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if current.has_failed() {
            *current = Arc::new(producer(&self.kafka)?);
        }
        Ok(Arc::clone(&current))
    }

    async fn produce(&self, changes: &[Change]) -> Result<(), KafkaError> {
        self.producer()?.send_changes(changes).await?.durable().await
    }
}

/// Tries without end: no offset moves before its changes are out.
fn producer(kafka: &KafkaConfig) -> Result<Producer, KafkaError> {
    Producer::new(kafka, 0)
}

#[async_trait]
impl CountersFeed for Changelog {
    async fn publish(&self, changes: &[Change]) -> Result<(), FeedError> {
        self.produce(changes).await.map_err(|error| FeedError { changes: changes.len(), why: error.to_string() })
    }
}
