//! Producing reports: keyed by DPU, acknowledged by all replicas, bounded.

use std::borrow::Cow;
use std::time::Duration;

use occupancy::id::DpuId;
use rdkafka::ClientContext;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::oneshot;
use wire::Report;

use crate::config::KafkaConfig;
use crate::error::KafkaError;

/// The most crossings in one record: about 300 kB of protobuf, under the 1 MB that brokers take by default.
const CROSSINGS_PER_RECORD: usize = 10_000;
/// How long to wait before trying a full queue again.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// Told once what became of a record.
pub(crate) type OnDelivery = Box<dyn FnOnce(Result<(), KafkaError>) + Send + Sync>;

/// Calls each record's [`OnDelivery`].
struct Deliveries;

impl ClientContext for Deliveries {
    fn error(&self, error: ClientError, reason: &str) {
        tracing::warn!(%error, reason, "the Kafka producer");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<OnDelivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, told: Box<OnDelivery>) {
        let result = result.as_ref().map(|_| ()).map_err(|(error, _)| KafkaError::doing("producing")(error.clone()));
        told(result);
    }
}

/// One record to produce.
pub(crate) struct Outgoing<'a> {
    pub(crate) key: Option<&'a DpuId>,
    /// `None` for the home partition of the key.
    pub(crate) partition: Option<i32>,
    pub(crate) payload: &'a [u8],
}

/// Why a record was not queued.
pub(crate) enum Refused {
    /// The queue is full: try again later.
    Full(OnDelivery),
    /// Kafka does not take it, and will not.
    Failed(KafkaError),
}

/// Produces to the topic of crossings. Every DPU's records go to its home partition, as its key says.
pub struct Producer {
    topic: String,
    client: ThreadedProducer<Deliveries>,
}

impl Producer {
    /// Makes a producer; it connects by itself, and a record not delivered after `delivery_timeout_ms` fails (0: it is
    /// tried without end).
    ///
    /// # Errors
    /// The configuration is wrong.
    pub fn new(config: &KafkaConfig, delivery_timeout_ms: u64) -> Result<Self, KafkaError> {
        let client = config.producer(delivery_timeout_ms)?.create_with_context(Deliveries);
        Ok(Self { topic: config.topic.clone(), client: client.map_err(KafkaError::doing("making a Kafka producer"))? })
    }

    /// Queues a report, waiting while the queue is full. The parts of it that could not be read travel as they came, as
    /// records of their own: whoever consumes them quarantines them.
    ///
    /// # Errors
    /// Kafka does not take it, and will not.
    pub async fn send(&self, report: &Report) -> Result<Delivery, KafkaError> {
        let mut delivery = Delivery::default();
        for part in split(report) {
            let payload = wire::report::encode(&part);
            delivery.0.push(self.queue(Some(&report.dpu), &payload).await?);
        }
        for bad in report.crossings.iter().filter_map(|crossing| crossing.as_ref().err()) {
            delivery.0.push(self.queue(Some(&report.dpu), &bad.payload).await?);
        }
        Ok(delivery)
    }

    /// Queues a payload that need not be a report, in any partition, waiting while the queue is full.
    ///
    /// # Errors
    /// Kafka does not take it, and will not.
    pub async fn send_raw(&self, payload: &[u8]) -> Result<Delivery, KafkaError> {
        Ok(Delivery(vec![self.queue(None, payload).await?]))
    }

    /// Queues a record for the home partition of its key, waiting while the queue is full.
    pub(crate) async fn queue(&self, key: Option<&DpuId>, payload: &[u8]) -> Result<oneshot::Receiver<Result<(), KafkaError>>, KafkaError> {
        loop {
            let (tell, told) = oneshot::channel();
            // Whoever gave up waiting need not be told.
            let on_delivery: OnDelivery = Box::new(move |result| drop(tell.send(result)));
            match self.try_send(&Outgoing { key, partition: None, payload }, on_delivery) {
                Ok(()) => return Ok(told),
                Err(Refused::Full(_)) => tokio::time::sleep(FULL_PAUSE).await,
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
    }

    /// Queues a record, if there is room.
    pub(crate) fn try_send(&self, record: &Outgoing<'_>, on_delivery: OnDelivery) -> Result<(), Refused> {
        let mut out = BaseRecord::<str, [u8], _>::with_opaque_to(&self.topic, Box::new(on_delivery)).payload(record.payload);
        out.key = record.key.map(DpuId::as_str);
        out.partition = record.partition;
        match self.client.send(out) {
            Ok(()) => Ok(()),
            Err((ClientError::MessageProduction(RDKafkaErrorCode::QueueFull), out)) => Err(Refused::Full(*out.delivery_opaque)),
            Err((error, _)) => Err(Refused::Failed(KafkaError::doing("producing")(error))),
        }
    }

    /// Whether it will never deliver anything any more.
    pub(crate) fn has_failed(&self) -> bool {
        self.client.client().fatal_error().is_some()
    }

    /// Waits until everything queued was delivered or failed. Blocks.
    ///
    /// # Errors
    /// Patience ran out.
    pub fn flush(&self, patience: Duration) -> Result<(), KafkaError> {
        self.client.flush(patience).map_err(KafkaError::doing("waiting for Kafka to acknowledge"))
    }
}

/// Records on their way.
#[derive(Debug, Default)]
#[must_use = "only a delivery that was waited for is durable"]
pub struct Delivery(pub(crate) Vec<oneshot::Receiver<Result<(), KafkaError>>>);

impl Delivery {
    /// Waits until it is durable.
    ///
    /// # Errors
    /// It was not delivered, or that cannot be told.
    pub async fn durable(self) -> Result<(), KafkaError> {
        for told in self.0 {
            let unknown = KafkaError::doing("producing");
            told.await.unwrap_or_else(|_| Err(unknown(ClientError::Canceled)))?;
        }
        Ok(())
    }
}

/// A report in pieces that fit into records: nearly always itself.
fn split(report: &Report) -> Vec<Cow<'_, Report>> {
    if report.crossings.len() <= CROSSINGS_PER_RECORD {
        return vec![Cow::Borrowed(report)];
    }
    let piece = |crossings: &[_]| Report {
        dpu: report.dpu.clone(),
        crossings: crossings.to_vec(),
        heartbeat: None,
        accept_clock: report.accept_clock,
    };
    let mut pieces: Vec<Report> = report.crossings.chunks(CROSSINGS_PER_RECORD).map(piece).collect();
    if let Some(last) = pieces.last_mut() {
        last.heartbeat = report.heartbeat;
    }
    pieces.into_iter().map(Cow::Owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use occupancy::crossing::{Heartbeat, Key};
    use occupancy::time::UnixMs;

    #[test]
    fn a_long_report_is_split_and_says_the_same() {
        let crossings: Vec<_> = (0..25_000).map(|ms| Ok(Key::first_at(UnixMs::CLOCK_SET.plus_ms(ms)))).collect();
        let heartbeat = Heartbeat { at: UnixMs::CLOCK_SET, boot: 1, last_seq: 2 };
        let report = Report { dpu: "d".parse().unwrap(), crossings, heartbeat: Some(heartbeat), accept_clock: true };
        let pieces = split(&report);
        assert_eq!(pieces.iter().map(|piece| piece.crossings.len()).collect::<Vec<_>>(), [10_000, 10_000, 5_000]);
        assert!(pieces.iter().all(|piece| wire::report::encode(piece).len() < 900_000 && piece.accept_clock));
        let together: Vec<_> = pieces.iter().flat_map(|piece| piece.crossings.clone()).collect();
        assert_eq!(together, report.crossings);
        assert_eq!(pieces.iter().filter_map(|piece| piece.heartbeat).collect::<Vec<_>>(), [heartbeat]);
    }
}
