//! The gateway: `POST /v1/crossings` into Kafka.
//!
//! Reports that cannot be read are produced too, as they came, so that the consumer quarantines them with the rest and
//! nothing is lost here; a receipt says only that all is in the log.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ingest::{Intake, IntakeError, Receipt, Waiting};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;
use wire::{Bad, Report};

use crate::config::KafkaConfig;
use crate::error::KafkaError;
use crate::producer::Producer;

/// What a caller is told to wait before it tries again, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// Limits of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KafkaIntakeConfig {
    /// How long a request waits until Kafka has acknowledged it, in ms; what was not delivered by then is given up.
    pub timeout_ms: u64,
}

impl Default for KafkaIntakeConfig {
    fn default() -> Self {
        Self { timeout_ms: 5_000 }
    }
}

/// Produces each report to the home partition of its DPU.
pub struct KafkaIntake {
    producer: Producer,
    timeout: Duration,
    waiting: AtomicUsize,
}

impl KafkaIntake {
    /// Makes a gateway; it connects by itself.
    ///
    /// # Errors
    /// The configuration is wrong.
    pub fn new(kafka: &KafkaConfig, config: KafkaIntakeConfig) -> Result<Self, KafkaError> {
        let timeout_ms = config.timeout_ms.max(1);
        let producer = Producer::new(kafka, timeout_ms)?;
        Ok(Self { producer, timeout: Duration::from_millis(timeout_ms), waiting: AtomicUsize::new(0) })
    }

    /// Queues all, then waits for all.
    async fn produce(&self, reports: &[Result<Report, Bad>]) -> Result<(), KafkaError> {
        let mut deliveries = Vec::with_capacity(reports.len());
        for report in reports {
            deliveries.push(match report {
                Ok(report) => self.producer.send(report).await?,
                Err(bad) => self.producer.send_raw(&bad.payload).await?,
            });
        }
        for delivery in deliveries {
            delivery.durable().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Intake for KafkaIntake {
    async fn submit(&self, reports: Vec<Result<Report, Bad>>) -> Result<Receipt, IntakeError> {
        let _waiting = Waiting::new(&self.waiting);
        match tokio::time::timeout(self.timeout, self.produce(&reports)).await {
            Ok(Ok(())) => Ok(Receipt::Queued { reports: reports.len() as u64 }),
            Ok(Err(error)) if is_final(&error) => Err(IntakeError::Failed(error.to_string())),
            Ok(Err(_)) | Err(_) => Err(IntakeError::Busy { waiting: self.waiting.load(Ordering::Relaxed), retry_after_s: RETRY_AFTER_S }),
        }
    }
}

/// Whether the same record would be refused again.
fn is_final(error: &KafkaError) -> bool {
    let KafkaError::Client { source: ClientError::MessageProduction(code), .. } = error else { return false };
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
    )
}
