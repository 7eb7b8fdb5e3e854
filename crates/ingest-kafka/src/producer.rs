//! Producing reports: keyed by DPU, acknowledged by all replicas, bounded.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use occupancy::id::DpuId;
use occupancy::ledger::Change;
use rdkafka::ClientContext;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::oneshot;
use wire::{Bad, Report};

use crate::config::KafkaConfig;
use crate::error::KafkaError;

/// The most crossings in one record: about 300 kB of protobuf, under the 1 MB that brokers take by default.
const CROSSINGS_PER_RECORD: usize = 10_000;
/// How long to wait before trying a full queue again.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// Told once what became of records.
pub(crate) type OnDelivery = Box<dyn FnOnce(Result<(), KafkaError>) + Send + Sync>;

/// Records whose delivery is awaited together. Each that is queued holds on to it, and so does who queues them. Once all
/// have let go, it is told: that every one was delivered, or why the first that failed did. Where some were never queued, or
/// nobody knows what became of them, it is told nothing.
pub(crate) struct Deliveries {
    /// Not delivered yet.
    open: AtomicUsize,
    failure: Mutex<Option<KafkaError>>,
    told: Option<OnDelivery>,
}

impl Deliveries {
    /// Of so many records.
    pub(crate) fn of(records: usize, told: OnDelivery) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(records), failure: Mutex::new(None), told: Some(told) })
    }

    fn awaited(records: usize) -> (Arc<Self>, Delivery) {
        let (tell, told) = oneshot::channel();
        // Whoever gave up waiting need not be told.
        (Self::of(records, Box::new(move |result| drop(tell.send(result)))), Delivery(told))
    }

    fn delivered(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    fn failed(&self, error: KafkaError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        let failure = self.failure.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let delivered = *self.open.get_mut() == 0;
        match (self.told.take(), failure) {
            (Some(told), Some(error)) => told(Err(error)),
            (Some(told), None) if delivered => told(Ok(())),
            _ => {}
        }
    }
}

/// Tells each record's [`Deliveries`].
struct Teller;

impl ClientContext for Teller {
    fn error(&self, error: ClientError, reason: &str) {
        tracing::warn!(%error, reason, "the Kafka producer");
    }
}

impl ProducerContext for Teller {
    type DeliveryOpaque = Arc<Deliveries>;

    fn delivery(&self, result: &DeliveryResult<'_>, told: Arc<Deliveries>) {
        match result {
            Ok(_) => told.delivered(),
            Err((error, _)) => told.failed(KafkaError::doing("producing")(error.clone())),
        }
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
    Full,
    /// Kafka does not take it, and will not.
    Failed(KafkaError),
}

/// Produces to the topic of crossings. Every DPU's records go to its home partition, as its key says.
pub struct Producer {
    topic: String,
    client: ThreadedProducer<Teller>,
}

impl Producer {
    /// Makes a producer; it connects by itself, and a record not delivered after `delivery_timeout_ms` fails (0: it is
    /// tried without end).
    ///
    /// # Errors
    /// The configuration is wrong.
    pub fn new(config: &KafkaConfig, delivery_timeout_ms: u64) -> Result<Self, KafkaError> {
        let client = config.producer(delivery_timeout_ms)?.create_with_context(Teller);
        Ok(Self { topic: config.topic.clone(), client: client.map_err(KafkaError::doing("making a Kafka producer"))? })
    }

    /// Queues a report, waiting while the queue is full. The parts of it that could not be read travel as they came, as
    /// records of their own: whoever consumes them quarantines them.
    ///
    /// # Errors
    /// Kafka does not take it, and will not.
    pub async fn send(&self, report: &Report) -> Result<Delivery, KafkaError> {
        let parts = split(report);
        let unread: Vec<&Bad> = report.crossings.iter().filter_map(|crossing| crossing.as_ref().err()).collect();
        let (deliveries, delivery) = Deliveries::awaited(parts.len() + unread.len());
        for part in parts {
            self.queue(Some(&report.dpu), &wire::report::encode(&part), &deliveries).await?;
        }
        for bad in unread {
            self.queue(Some(&report.dpu), &bad.payload, &deliveries).await?;
        }
        Ok(delivery)
    }

    /// Queues a payload that need not be a report, in any partition, waiting while the queue is full.
    ///
    /// # Errors
    /// Kafka does not take it, and will not.
    pub async fn send_raw(&self, payload: &[u8]) -> Result<Delivery, KafkaError> {
        let (deliveries, delivery) = Deliveries::awaited(1);
        self.queue(None, payload, &deliveries).await?;
        Ok(delivery)
    }

    /// Queues changes of counters, keyed by DPU, waiting while the queue is full.
    pub(crate) async fn send_changes(&self, changes: &[Change]) -> Result<Delivery, KafkaError> {
        let (deliveries, delivery) = Deliveries::awaited(changes.len());
        for change in changes {
            self.queue(Some(&change.dpu), &wire::change::encode(change), &deliveries).await?;
        }
        Ok(delivery)
    }

    /// Queues a record for the home partition of its key, waiting while the queue is full.
    async fn queue(&self, key: Option<&DpuId>, payload: &[u8], deliveries: &Arc<Deliveries>) -> Result<(), KafkaError> {
        loop {
            match self.try_send(&Outgoing { key, partition: None, payload }, deliveries) {
                Ok(()) => return Ok(()),
                Err(Refused::Full) => tokio::time::sleep(FULL_PAUSE).await,
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
    }

    /// Queues a record, if there is room.
    pub(crate) fn try_send(&self, record: &Outgoing<'_>, deliveries: &Arc<Deliveries>) -> Result<(), Refused> {
        let mut out = BaseRecord::<str, [u8], _>::with_opaque_to(&self.topic, Arc::clone(deliveries)).payload(record.payload);
        out.key = record.key.map(DpuId::as_str);
        out.partition = record.partition;
        self.client.send(out).map_err(|(error, _)| match error {
            ClientError::MessageProduction(RDKafkaErrorCode::QueueFull) => Refused::Full,
            error => Refused::Failed(KafkaError::doing("producing")(error)),
        })
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
#[derive(Debug)]
#[must_use = "only a delivery that was waited for is durable"]
pub struct Delivery(oneshot::Receiver<Result<(), KafkaError>>);

impl Delivery {
    /// Waits until it is durable.
    ///
    /// # Errors
    /// It was not delivered, or that cannot be told.
    pub async fn durable(self) -> Result<(), KafkaError> {
        self.0.await.unwrap_or_else(|_| Err(KafkaError::doing("producing")(ClientError::Canceled)))
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
    fn what_was_never_queued_is_not_delivered() {
        for (records, delivered, told) in [(1, 0, false), (2, 1, false), (2, 2, true), (0, 0, true)] {
            let (deliveries, mut delivery) = Deliveries::awaited(records);
            for _ in 0..delivered {
                deliveries.delivered();
            }
            drop(deliveries);
            assert_eq!(delivery.0.try_recv().is_ok(), told, "{delivered} of {records}");
        }
        let (deliveries, mut delivery) = Deliveries::awaited(2);
        deliveries.delivered();
        deliveries.failed(KafkaError::doing("producing")(ClientError::Canceled));
        drop(deliveries);
        assert!(delivery.0.try_recv().unwrap().is_err(), "one that failed is told");
    }

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
