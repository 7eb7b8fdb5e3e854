//! Follows the changelog of counters, for a view that answers in the store's place.
//!
//! # Guarantees
//!
//! - It notes where every partition ends, then reads all counters from the store, then follows from the noted ends. A
//!   change published before was durable before, so the store had it; one published later comes from the log.
//! - Whenever it may have missed a change it begins anew: an offset that is left out (the log was compacted, and keeps
//!   the last change of a DPU, which need not be the newest), a partition that came, went or got shorter, an offset that
//!   is gone, a record it cannot read.
//! - It confirms only what it has read: every change published up to the instant of the confirmation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use occupancy::ledger::Change;
use occupancy::time::UnixMs;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, TopicPartitionList};
use store::{Ledgers, StoreError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use wire::WireError;

use crate::config::KafkaConfig;
use crate::error::KafkaError;
use crate::marks::{Ends, Marks};

/// How long a poll waits for a record: no longer than this do confirmations and a stop wait.
const IDLE: Duration = Duration::from_millis(20);
/// The pause before it begins anew.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a stop waits for the thread.
const LAST: Duration = Duration::from_secs(1);
/// DPUs read from the store at once.
const PAGE: usize = 1000;

/// A view that follows.
pub trait Follow: Send + Sync {
    /// It begins anew: forget everything.
    fn restart(&self);
    /// A change, or counters as the store holds them.
    fn take(&self, change: Change);
    /// Every change published up to an instant has been taken.
    fn confirm(&self, as_of: Instant);
}

/// A running follower. Dropped, it ends by itself.
#[derive(Debug)]
pub struct Follower {
    stop: watch::Sender<bool>,
    ended: watch::Receiver<()>,
}

impl Follower {
    /// Follows, on a thread of its own, until stopped; Kafka and the store need not be there yet. It never joins the
    /// group, whose name stands only for who asks.
    ///
    /// # Errors
    /// The configuration is wrong.
    pub fn start(kafka: &KafkaConfig, group: &str, store: Arc<dyn Ledgers>, view: Arc<dyn Follow>) -> Result<Self, KafkaError> {
        kafka.follower(group)?;
        let (stop, stopped) = watch::channel(false);
        let (ending, ended) = watch::channel(());
        let (kafka, group) = (kafka.clone(), group.to_owned());
        let following = Following { kafka, group, store, view, runtime: Handle::current(), stopped };
        let thread = std::thread::Builder::new().name("kafka-follower".to_owned()).spawn(move || {
            let _ending = ending;
            following.run();
        });
        thread.map_err(|error| KafkaError::Thread(error.to_string()))?;
        Ok(Self { stop, ended })
    }

    /// Stops; the view gets nothing more.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // It ends in time (the sender goes with the thread), unless it waits for Kafka, and then it does nothing after.
        let _ = tokio::time::timeout(LAST, self.ended.changed()).await;
    }
}

struct Following {
    kafka: KafkaConfig,
    group: String,
    store: Arc<dyn Ledgers>,
    view: Arc<dyn Follow>,
    runtime: Handle,
    stopped: watch::Receiver<bool>,
}

/// Why it begins anew.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the changelog had {followed} partitions and has {found}")]
    Partitions { followed: usize, found: usize },
    #[error("partition {partition} of the changelog ended at offset {before} and ends at {found}")]
    Shorter { partition: usize, before: i64, found: i64 },
    #[error("partition {partition} of the changelog goes on at offset {found} after {next}")]
    Gap { partition: i32, next: i64, found: i64 },
    #[error("offset {offset} of partition {partition} of the changelog: {error}")]
    Unreadable { partition: i32, offset: i64, error: WireError },
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Following {
    fn run(mut self) {
        while !self.is_stopped() {
            self.view.restart();
            if let Err(lost) = self.follow()
                && !self.is_stopped()
            {
                tracing::warn!(%lost, "the live view begins anew; counts are read from the store meanwhile");
                let (runtime, stopped) = (self.runtime.clone(), &mut self.stopped);
                // Either way it is looked at again.
                let _ = runtime.block_on(async { tokio::time::timeout(PAUSE, stopped.wait_for(|stopped| *stopped)).await.is_ok() });
            }
        }
    }

    fn is_stopped(&self) -> bool {
        *self.stopped.borrow() || self.stopped.has_changed().is_err()
    }

    /// From the store to the end of the log, and on, until stopped.
    fn follow(&self) -> Result<(), Lost> {
        let marks = Marks::new(&self.kafka, &self.group, &self.kafka.counters_topic)?;
        let Ends { offsets, .. } = marks.ends()?;
        if offsets.is_empty() {
            return Err(Lost::Partitions { followed: 1, found: 0 });
        }
        self.load()?;
        let client = self.assigned(&offsets)?;
        let watch = marks.watch()?;
        let mut place = Place { next: offsets.clone(), ends: offsets, confirming: None };
        while !self.is_stopped() {
            match client.poll(IDLE) {
                Some(Ok(message)) => self.view.take(place.read(&message)?),
                Some(Err(error)) => judge(error)?,
                None => {}
            }
            if place.confirming.is_none()
                && let Some(ends) = watch.seen()
            {
                place.look(ends)?;
            }
            if let Some(as_of) = place.confirmed() {
                self.view.confirm(as_of);
            }
        }
        Ok(())
    }

    /// All counters, as the store holds them.
    fn load(&self) -> Result<(), Lost> {
        let mut after = None;
        while !self.is_stopped() {
            let page = self.runtime.block_on(self.store.dpus(after.as_ref(), PAGE))?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (dpu, counters) in page {
                self.view.take(Change { dpu, counters, from: Some(UnixMs::MIN) });
            }
        }
        Ok(())
    }

    fn assigned(&self, offsets: &[i64]) -> Result<BaseConsumer<Quiet>, KafkaError> {
        let failed = KafkaError::doing("following the changelog");
        let client: BaseConsumer<Quiet> = self.kafka.follower(&self.group)?.create_with_context(Quiet).map_err(&failed)?;
        let mut list = TopicPartitionList::new();
        for (partition, offset) in (0..).zip(offsets) {
            list.add_partition_offset(&self.kafka.counters_topic, partition, Offset::Offset(*offset)).map_err(&failed)?;
        }
        client.assign(&list).map_err(&failed)?;
        Ok(client)
    }
}

/// How far the changelog was read, by partition.
struct Place {
    /// After the last record read.
    next: Vec<i64>,
    /// Where the partitions ended at the last look.
    ends: Vec<i64>,
    /// When that look was, until it is confirmed.
    confirming: Option<Instant>,
}

impl Place {
    fn read(&mut self, message: &BorrowedMessage<'_>) -> Result<Change, Lost> {
        let (partition, offset) = (message.partition(), message.offset());
        let place = usize::try_from(partition).ok().and_then(|partition| self.next.get_mut(partition));
        let next = place.ok_or(Lost::Partitions { followed: self.ends.len(), found: partition.unsigned_abs() as usize + 1 })?;
        if offset != *next {
            return Err(Lost::Gap { partition, next: *next, found: offset });
        }
        *next += 1;
        let change = wire::change::decode(message.payload().unwrap_or_default());
        change.map_err(|error| Lost::Unreadable { partition, offset, error })
    }

    fn look(&mut self, Ends { as_of, offsets }: Ends) -> Result<(), Lost> {
        if offsets.len() != self.ends.len() {
            return Err(Lost::Partitions { followed: self.ends.len(), found: offsets.len() });
        }
        let shorter = (0..).zip(self.ends.iter().zip(&offsets)).find(|(_, (before, found))| found < before);
        if let Some((partition, (before, found))) = shorter {
            return Err(Lost::Shorter { partition, before: *before, found: *found });
        }
        (self.ends, self.confirming) = (offsets, Some(as_of));
        Ok(())
    }

    /// When the last look was, once all it saw has been read.
    fn confirmed(&mut self) -> Option<Instant> {
        let Self { next, ends, confirming } = self;
        confirming.take_if(|_| next.iter().zip(ends).all(|(next, end)| *next >= *end))
    }
}

/// Whether an error means that the place in the log is lost; the client library gets over others by itself, and
/// meanwhile nothing is confirmed.
fn judge(error: ClientError) -> Result<(), Lost> {
    let lost = match &error {
        ClientError::MessageConsumption(code) => matches!(
            code,
            RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::NoOffset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
        ),
        ClientError::MessageConsumptionFatal(_) => true,
        _ => false,
    };
    if lost {
        return Err(KafkaError::doing("following the changelog")(error).into());
    }
    tracing::warn!(%error, "following the changelog");
    Ok(())
}

/// Logs what the client library says.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: ClientError, reason: &str) {
        tracing::warn!(%error, reason, "the follower of the changelog");
    }
}

impl ConsumerContext for Quiet {}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(next: &[i64]) -> Place {
        Place { next: next.to_vec(), ends: next.to_vec(), confirming: None }
    }

    fn ends(offsets: &[i64]) -> Ends {
        Ends { as_of: Instant::now(), offsets: offsets.to_vec() }
    }

    #[test]
    fn a_look_is_confirmed_once_all_that_it_saw_is_read() {
        let mut place = place(&[5, 0]);
        assert_eq!(place.confirmed(), None, "nothing was looked at");
        let look = ends(&[7, 0]);
        let as_of = look.as_of;
        place.look(look).unwrap();
        for (read, confirmed) in [(5, None), (6, None), (7, Some(as_of)), (8, None)] {
            place.next[0] = read;
            assert_eq!(place.confirmed(), confirmed, "read to {read}");
        }
    }

    #[test]
    fn partitions_that_came_went_or_got_shorter_are_noticed() {
        assert!(place(&[5, 5]).look(ends(&[5, 6])).is_ok());
        for (offsets, why) in [
            (&[5, 4][..], "partition 1 of the changelog ended at offset 5 and ends at 4"),
            (&[5, 5, 0], "the changelog had 2 partitions and has 3"),
            (&[], "the changelog had 2 partitions and has 0"),
        ] {
            assert_eq!(place(&[5, 5]).look(ends(offsets)).unwrap_err().to_string(), why);
        }
    }
}
