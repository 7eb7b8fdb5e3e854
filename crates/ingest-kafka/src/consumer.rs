//! The consumer: one thread that polls, hands records to lanes and commits offsets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ingest::{CountersFeed, Drained, Rejected, Shared};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use store::Store;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use wire::report::Decoder;

use crate::config::ConsumerConfig;
use crate::error::KafkaError;
use crate::metrics::Metrics;
use crate::offsets::{Names, establish};
use crate::producer::{Outgoing, Producer, Refused};
use crate::rebalance::{Group, Owned, Status, fail};
use crate::topic::Topic;
use crate::work::{Foreign, Log, Work};

/// How long a poll waits for a record.
const IDLE: Duration = Duration::from_millis(50);
/// How long a full lane may hold up the others before its partition is paused.
const GRACE: Duration = Duration::from_millis(50);
/// How much is read before it is handed on, in bytes: 1,024 small records.
const READ: usize = 1024 * SMALL;
/// What a record counts as at least.
const SMALL: usize = 64;
/// The same as [`IDLE`] while something is held that may soon find room.
const HOLDING: Duration = Duration::from_millis(2);
/// How long committing the last offsets and leaving the group may take, once everything is given up.
const LEAVE: Duration = Duration::from_secs(5);

/// A member of the consumer group.
#[derive(Debug)]
pub struct Consumer;

impl Consumer {
    /// Checks the log against the store, then joins the group and consumes until stopped, on a thread of its own.
    /// The lanes run on the current runtime, and publish to `feed` where somebody follows.
    ///
    /// # Errors
    /// The configuration is wrong, Kafka or the store does not answer, or the log is not the one the store knows.
    pub async fn start(
        config: ConsumerConfig,
        store: Arc<dyn Store>,
        feed: Option<Arc<dyn CountersFeed>>,
        metrics: Metrics,
    ) -> Result<Running, KafkaError> {
        let runtime = Handle::current();
        let (ready, started) = oneshot::channel();
        let (stop, stopped) = watch::channel(None);
        let (report, status) = watch::channel(Status::default());
        let thread = std::thread::Builder::new().name("kafka-consumer".to_owned()).spawn(move || {
            let report = Arc::new(report);
            match Poll::new(config, store, feed, metrics, runtime, Arc::clone(&report)) {
                Ok(mut poll) => {
                    if ready.send(Ok(())).is_ok() {
                        poll.run(&stopped);
                    }
                    let patience = *stopped.borrow();
                    let (drained, offsets) = poll.give_up(patience);
                    report.send_modify(|status| status.drained = Some(drained));
                    // Both may wait for a broker, without end where the client library misses an answer.
                    poll.consumer.context().commit_last(&poll.consumer, &offsets);
                    drop(poll);
                    report.send_modify(|status| status.left = true);
                }
                // Whoever gave up waiting need not be told.
                Err(error) => drop(ready.send(Err(error))),
            }
        });
        thread.map_err(|error| KafkaError::Thread(error.to_string()))?;
        started.await.unwrap_or_else(|_| Err(gone()))?;
        Ok(Running { stop, status })
    }
}

fn gone() -> KafkaError {
    KafkaError::Thread("it ended by itself".to_owned())
}

/// A running consumer. Dropping it leaves the group without waiting for what is under way.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<Option<Duration>>,
    status: watch::Receiver<Status>,
}

impl Running {
    /// Stops consuming, finishes what is under way as far as patience goes, commits offsets and leaves the group, unless
    /// that takes long: then the group notices by itself that this member is gone.
    pub async fn stop(&self, patience: Duration) -> Drained {
        self.stop.send_replace(Some(patience));
        let mut status = self.status.clone();
        let drained = status.wait_for(|status| status.drained.is_some()).await;
        let drained = drained.ok().and_then(|status| status.drained.clone()).unwrap_or(Drained::Abandoned);
        if tokio::time::timeout(LEAVE, status.wait_for(|status| status.left)).await.is_err() {
            tracing::warn!(waited_s = LEAVE.as_secs(), "the group does not let go: its other members wait for the session to time out");
        }
        drained
    }

    /// Waits until the consumer fails; without end while it does not.
    pub async fn failed(&self) -> KafkaError {
        let mut status = self.status.clone();
        match status.wait_for(|status| status.failure.is_some() || status.drained.is_some()).await {
            Ok(status) => {
                if let Some(error) = &status.failure {
                    return error.clone();
                }
            }
            Err(_) => return gone(),
        }
        std::future::pending().await
    }

    /// Why the consumer failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<KafkaError> {
        self.status.borrow().failure.clone()
    }

    /// Why the store is being asked again; `None` while it answers.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.status.borrow().trouble.clone()
    }

    /// Whether it has partitions, or waits for some in the group.
    #[must_use]
    pub fn in_group(&self) -> bool {
        let status = self.status.borrow();
        status.assigned > 0 || status.in_group
    }

    /// How many partitions this process consumes now.
    #[must_use]
    pub fn assigned(&self) -> usize {
        self.status.borrow().assigned
    }

    /// How many records of those partitions come after the committed offsets, as of the last second; `None` while it
    /// is not known.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        self.status.borrow().lag
    }
}

/// What the poll thread works with.
struct Poll {
    consumer: BaseConsumer<Group>,
    /// Sends records home.
    producer: Producer,
    decoder: Decoder,
    /// Whether something is held that found no room.
    holding: bool,
}

impl Poll {
    fn new(
        config: ConsumerConfig,
        store: Arc<dyn Store>,
        feed: Option<Arc<dyn CountersFeed>>,
        metrics: Metrics,
        runtime: Handle,
        status: Arc<watch::Sender<Status>>,
    ) -> Result<Self, KafkaError> {
        let client = config.kafka.consumer(&config.group)?;
        // A record must get home: it is tried without end.
        let producer = Producer::new(&config.kafka, 0)?;
        let known = runtime.block_on(store.settings())?;
        let topic = Topic::find(&config, &known, &runtime)?;
        let names = Names { topic: &config.kafka.topic, group: &config.group };
        let log = Log { epoch: establish(&topic, names, &*store, &runtime)?, partitions: topic.partitions };
        drop(topic);
        let name = config.kafka.topic.clone();
        let lanes = Shared::new(store, feed, metrics.lanes.clone(), config.room_records);
        let quarantine_topic = log.named(&name);
        let group = Group { config, log, quarantine_topic, lanes, runtime, metrics, status, owned: Mutex::new(BTreeMap::new()) };
        let consumer: BaseConsumer<Group> = client.create_with_context(group).map_err(KafkaError::doing("making a Kafka consumer"))?;
        consumer.subscribe(&[&name]).map_err(KafkaError::doing("joining the consumer group"))?;
        Ok(Self { consumer, producer, decoder: Decoder::default(), holding: false })
    }

    /// Until told to stop, left alone or failed.
    fn run(&mut self, stopped: &watch::Receiver<Option<Duration>>) {
        let group = Arc::clone(self.consumer.context());
        let interval = Duration::from_millis(group.config.commit_interval_ms);
        let mut next_commit = Instant::now() + interval;
        let told = || stopped.borrow().is_some() || stopped.has_changed().is_err();
        while !told() && group.status.borrow().failure.is_none() {
            self.read(if self.holding { HOLDING } else { IDLE.min(interval) });
            self.holding = hand_on(&self.consumer, &self.producer);
            if Instant::now() >= next_commit {
                next_commit = Instant::now() + interval;
                group.commit_offsets(&self.consumer);
                group.report_trouble();
                if let Some(error) = group.owned().values().find_map(|owned| owned.lane.failure()) {
                    fail(&group.status, error.into());
                }
            }
        }
    }

    /// Reads what there is, and no more than is handed on soon; waits for the first record only.
    fn read(&mut self, mut wait: Duration) {
        let group = self.consumer.context();
        let (mut read, mut records) = (0, 0);
        while read < READ {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    read += message.payload_len().max(SMALL);
                    // Without an owner here it belongs to somebody else by now.
                    if let Some(owned) = group.owned().get_mut(&message.partition()) {
                        group.take(&mut self.decoder, &message, owned);
                        records += 1;
                    }
                }
                Some(Err(error)) => {
                    read += SMALL;
                    judge(group, error);
                }
                None => break,
            }
            wait = Duration::ZERO;
        }
        group.metrics.records.inc_by(records);
    }

    /// Gives everything up; see [`Group::give_up`].
    fn give_up(&self, patience: Option<Duration>) -> (Drained, TopicPartitionList) {
        let group = self.consumer.context();
        let failed = group.status.borrow().failure.is_some();
        let patience = patience.unwrap_or(Duration::from_millis(if failed { group.config.revoke_patience_ms } else { 0 }));
        let all: Vec<i32> = group.owned().keys().copied().collect();
        group.give_up(&self.consumer, &all, patience)
    }
}

/// Hands on what is held in all partitions; whether something found no room.
fn hand_on(consumer: &BaseConsumer<Group>, producer: &Producer) -> bool {
    let group = consumer.context();
    let mut holding = false;
    for (partition, owned) in group.owned().iter_mut().filter(|(_, owned)| !owned.held.is_empty()) {
        let done = if owned.paused { advance(group, producer, owned) } else { advance_soon(group, producer, owned) };
        if done == owned.paused {
            group.flow(consumer, *partition, done);
            owned.paused = !done;
        }
        holding |= !done;
    }
    holding
}

/// A pause throws away what was fetched ahead: most often the lane has room again sooner than that is worth.
fn advance_soon(group: &Group, producer: &Producer, owned: &mut Owned) -> bool {
    let deadline = Instant::now() + GRACE;
    while !advance(group, producer, owned) {
        if Instant::now() >= deadline {
            group.metrics.pauses.inc();
            return false;
        }
        std::thread::sleep(GRACE / 50);
    }
    true
}

/// Hands on what is held, in order, as far as there is room; whether nothing is held any more.
fn advance(group: &Group, producer: &Producer, owned: &mut Owned) -> bool {
    while let Some(work) = owned.held.pop_front() {
        if let Err(work) = begin(group, producer, owned, work) {
            owned.held.push_front(work);
            return false;
        }
    }
    true
}

/// Hands one piece of work on; it comes back where there is no room.
fn begin(group: &Group, producer: &Producer, owned: &Owned, work: Work) -> Result<(), Work> {
    match work {
        Work::Fold(item) => match owned.lane.try_submit(item) {
            Ok(()) => Ok(()),
            // A closed lane has failed, which is noticed soon.
            Err(Rejected::Full(item) | Rejected::Closed(item)) => Err(Work::Fold(item)),
        },
        Work::SendHome(foreign) => {
            let Foreign { dpu, home, payload, delivery } = &foreign;
            match producer.try_send(&Outgoing { key: Some(dpu), partition: Some(*home), payload }, delivery) {
                Ok(()) => group.metrics.foreign.inc(),
                Err(Refused::Full) => return Err(Work::SendHome(foreign)),
                Err(Refused::Failed(error)) => fail(&group.status, error),
            }
            Ok(())
        }
    }
}

/// Whether an error ends the consumer; the client library gets over most by itself.
fn judge(group: &Group, error: ClientError) {
    match error {
        ClientError::MessageConsumption(
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::NoOffset | RDKafkaErrorCode::OffsetOutOfRange,
        ) => fail(&group.status, KafkaError::NoOffset { group: group.config.group.clone(), partition: None }),
        ClientError::MessageConsumptionFatal(_) => fail(&group.status, KafkaError::doing("consuming")(error)),
        error => tracing::warn!(%error, "consuming"),
    }
}
