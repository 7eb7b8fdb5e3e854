//! A cluster, in process or real, what is sent to it, and what should come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use engines::Kafka;
use ingest_kafka::{Consumer, ConsumerConfig, KafkaConfig, KafkaError, Metrics, Running, TopicPolicy, Wanted};
use occupancy::crossing::{Direction, Key};
use occupancy::id::DpuId;
use occupancy::ledger::Totals;
use occupancy::time::UnixMs;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use store::faults::Rng;
use store::{Ledgers, MemoryStore, Store};
use wire::Report;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The same test on the in-process cluster and on a real broker.
macro_rules! on_both {
    ($test:ident, $partitions:literal) => {
        mod $test {
            use crate::cluster::Cluster;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_process() {
                super::$test(Cluster::mock($partitions)).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_a_real_broker() {
                if let Some(cluster) = Cluster::real($partitions).await {
                    super::$test(cluster).await;
                }
            }
        }
    };
}
pub(crate) use on_both;

/// Lives on one thread: the library's cluster cannot be sent.
pub(crate) struct Cluster {
    mock: Option<MockCluster<'static, DefaultProducerContext>>,
    pub(crate) topic: String,
    pub(crate) partitions: u32,
    bootstrap: String,
    /// Produces where it is told to.
    raw: ThreadedProducer<DefaultProducerContext>,
}

impl Cluster {
    pub(crate) fn mock(partitions: u32) -> Self {
        let (mock, topic) = (MockCluster::new(1).unwrap(), "headcount.crossings".to_owned());
        mock.create_topic(&topic, i32::try_from(partitions).unwrap(), 1).unwrap();
        let bootstrap = mock.bootstrap_servers();
        Self { raw: raw(&bootstrap), bootstrap, mock: Some(mock), topic, partitions }
    }

    /// A topic of its own on the broker all tests share, or `None` where Java is missing.
    pub(crate) async fn real(partitions: u32) -> Option<Self> {
        let kafka = engines::or_skip(Kafka::shared()).unwrap()?;
        Some(Self::on(&kafka.bootstrap(), partitions).await)
    }

    /// A new topic of a real cluster.
    pub(crate) async fn on(bootstrap: &str, partitions: u32) -> Self {
        let topic = new_topic();
        create_topic(bootstrap, &topic, partitions, &[("message.timestamp.type", "LogAppendTime")]).await;
        Self { mock: None, topic, partitions, bootstrap: bootstrap.to_owned(), raw: raw(bootstrap) }
    }

    pub(crate) fn in_process(&self) -> &MockCluster<'static, DefaultProducerContext> {
        self.mock.as_ref().unwrap()
    }

    pub(crate) fn kafka(&self) -> KafkaConfig {
        let mut kafka = KafkaConfig::new(&self.bootstrap, &self.topic);
        // Less than 4000 never gets an assignment in process, less than 6000 is refused by a real broker.
        let session_ms = if self.mock.is_some() { "4000" } else { "6000" };
        for (name, value) in [("session.timeout.ms", session_ms), ("heartbeat.interval.ms", "300")] {
            kafka.properties.insert(name.to_owned(), value.to_owned());
        }
        kafka
    }

    pub(crate) fn config(&self) -> ConsumerConfig {
        let checked = TopicPolicy::Checked(Wanted { partitions: Some(self.partitions), replicas: None });
        let topic_policy = if self.mock.is_some() { TopicPolicy::Trusted } else { checked };
        ConsumerConfig { topic_policy, ..ConsumerConfig::new(self.kafka(), &format!("{}-group", self.topic)) }
    }

    pub(crate) async fn join(&self, store: &Arc<MemoryStore>) -> (Result<Running, KafkaError>, prometheus::Registry) {
        join_as(self.config(), Arc::clone(store) as Arc<dyn Store>).await
    }

    pub(crate) fn home(&self, dpu: &DpuId) -> u32 {
        dpu.murmur2() % self.partitions
    }

    pub(crate) fn send(&self, partition: u32, key: &str, payload: &[u8]) {
        let record = BaseRecord::to(&self.topic).key(key).payload(payload).partition(i32::try_from(partition).unwrap());
        self.raw.send(record).map_err(|(error, _)| error).unwrap();
    }

    pub(crate) fn flush(&self) {
        self.raw.flush(PATIENCE).unwrap();
    }
}

pub(crate) async fn join_as(config: ConsumerConfig, store: Arc<dyn Store>) -> (Result<Running, KafkaError>, prometheus::Registry) {
    let registry = prometheus::Registry::new();
    let metrics = Metrics::new(&registry, ingest::Metrics::new(&registry).unwrap()).unwrap();
    (Consumer::start(config, store, None, metrics).await, registry)
}

/// A name no other test has.
pub(crate) fn new_topic() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("test-{}.crossings", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Asks a real cluster to change something, without the code under test.
pub(crate) fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap()
}

/// What a topic has for a setting.
pub(crate) async fn setting(bootstrap: &str, topic: &str, name: &str) -> Option<String> {
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let described = admin(bootstrap).describe_configs(&[ResourceSpecifier::Topic(topic)], &options).await.unwrap();
    described.into_iter().next().unwrap().unwrap().get(name).unwrap().value.clone()
}

/// Makes a topic with as many replicas as is usual there.
pub(crate) async fn create_topic(bootstrap: &str, topic: &str, partitions: u32, settings: &[(&str, &str)]) {
    let mut new = NewTopic::new(topic, i32::try_from(partitions).unwrap(), TopicReplication::Fixed(-1));
    for (name, value) in settings {
        new = new.set(name, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    assert_eq!(admin(bootstrap).create_topics([&new], &options).await.unwrap(), [Ok(topic.to_owned())]);
}

/// Produces where it is told to, however long a broker is away.
fn raw(bootstrap: &str) -> ThreadedProducer<DefaultProducerContext> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .create()
        .unwrap()
}

/// Made-up reports and the ledgers they must make: a set of crossings for each DPU, told apart from the code under test.
pub(crate) struct Traffic {
    rng: Rng,
    clock_ms: i64,
    pub(crate) truth: BTreeMap<DpuId, BTreeSet<Key>>,
}

/// How many devices there are.
const DPUS: u32 = 12;

fn dpu(which: usize) -> DpuId {
    format!("dpu-{which}").parse().unwrap()
}

impl Traffic {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), clock_ms: 1_704_067_200_000, truth: BTreeMap::new() }
    }

    /// The next report: mostly new crossings, some hours late, some sent before.
    pub(crate) fn report(&mut self) -> Report {
        let dpu = dpu(usize::try_from(self.rng.below(u64::from(DPUS))).unwrap());
        let sent = self.truth.entry(dpu.clone()).or_default();
        let mut crossings = Vec::new();
        for _ in 0..=self.rng.below(4) {
            self.clock_ms += i64::try_from(self.rng.below(60_000)).unwrap();
            let late_ms = if self.rng.percent(10) { i64::try_from(self.rng.below(40_000_000)).unwrap() } else { 0 };
            let direction = if self.rng.percent(50) { Direction::Plus } else { Direction::Minus };
            let new = Key { direction, ..Key::first_at(UnixMs::new(self.clock_ms - late_ms).unwrap()) };
            let again = sent.last().copied().filter(|_| self.rng.percent(10));
            crossings.push(Ok(again.unwrap_or(new)));
        }
        sent.extend(crossings.iter().flatten());
        Report { dpu, crossings, heartbeat: None, accept_clock: false }
    }

    /// Sends reports, every other one to a partition that is not its home.
    pub(crate) fn send(&mut self, cluster: &Cluster, reports: u32) {
        for i in 0..reports {
            let report = self.report();
            let partition = (cluster.home(&report.dpu) + i % 2) % cluster.partitions;
            cluster.send(partition, "some other key", &wire::report::encode(&report));
        }
    }

    /// A device sends all it has once more, wherever it gets to. Only every other device does so ever: it would heal a
    /// loss.
    pub(crate) fn send_again(&mut self, cluster: &Cluster) {
        let which = usize::try_from(self.rng.below(u64::from(DPUS) / 2)).unwrap() * 2;
        let partition = u32::try_from(self.rng.below(u64::from(cluster.partitions))).unwrap();
        let dpu = dpu(which);
        let Some(keys) = self.truth.get(&dpu) else { return };
        let crossings = keys.iter().copied().map(Ok).collect();
        let report = Report { dpu, crossings, heartbeat: None, accept_clock: false };
        cluster.send(partition, "again", &wire::report::encode(&report));
    }

    /// Waits until the store holds as many crossings as were sent, then compares every row.
    pub(crate) async fn settles_in(&self, store: &dyn Ledgers) {
        let dpus: Vec<DpuId> = self.truth.keys().cloned().collect();
        let sum = |keys: &BTreeSet<Key>| keys.iter().fold(Totals::default(), |sum, key| sum.with(key.direction));
        let expected: Vec<Totals> = self.truth.values().map(sum).collect();
        until("the store holds what was sent", async || {
            let counters = store.counters(&dpus).await.unwrap();
            counters.into_iter().map(|counters| counters.unwrap_or_default().totals()).collect::<Vec<_>>() == expected
        })
        .await;
        for (dpu, keys) in &self.truth {
            let rows = store.crossings(dpu, Key::first_at(UnixMs::MIN), UnixMs::MAX, usize::MAX).await.unwrap();
            assert!(rows.iter().map(|row| row.key).eq(keys.iter().copied()), "{dpu}");
            let totals = store.totals(&[(dpu.clone(), UnixMs::MAX)]).await.unwrap();
            assert_eq!(totals, [sum(keys)], "{dpu}");
        }
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The value of a counter or gauge without labels.
pub(crate) fn metric(registry: &prometheus::Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).unwrap();
    let metric = &family.get_metric()[0];
    metric.get_counter().get_value() + metric.get_gauge().get_value()
}
