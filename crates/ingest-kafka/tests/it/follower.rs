//! The changelog of counters on real Kafka: what lanes publish a live view knows, and where it may have missed something
//! it says nothing until it has begun anew.

use std::sync::Arc;
use std::time::Instant;

use engines::{Kafka, KafkaOptions};
use ingest::{CountersFeed, Drained};
use ingest_kafka::{Changelog, Consumer, Follow, Follower, Metrics};
use occupancy::crossing::Key;
use occupancy::id::DpuId;
use occupancy::ledger::{Change, Record};
use occupancy::time::UnixMs;
use prometheus::Registry;
use query::Live;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminOptions, NewPartitions};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use store::conformance::Lane;
use store::{Ledgers, MemoryStore, Store};

use crate::cluster::{Cluster, PATIENCE, Traffic, admin, create_topic, metric, until};

/// A view over a store, and what it measures.
struct View {
    live: Arc<Live>,
    registry: Registry,
    follower: Follower,
}

struct Following(Arc<Live>);

impl Follow for Following {
    fn restart(&self) {
        self.0.restart();
    }

    fn take(&self, change: Change) {
        self.0.take(change);
    }

    fn confirm(&self, as_of: Instant) {
        self.0.confirm(as_of.into());
    }
}

impl View {
    fn over(store: &Arc<MemoryStore>, cluster: &Cluster) -> Self {
        let (registry, store) = (Registry::new(), Arc::clone(store));
        let live = Arc::new(Live::new(Arc::clone(&store) as Arc<dyn Store>, &registry).unwrap());
        let view = Arc::new(Following(Arc::clone(&live)));
        Self { live, registry, follower: Follower::start(&cluster.kafka(), "headcount", store, view).unwrap() }
    }

    async fn is_fresh(&self) {
        until("the view answers from memory", async || self.live.is_fresh()).await;
    }

    /// How often it began.
    fn starts(&self) -> f64 {
        metric(&self.registry, "headcount_live_bootstraps_total")
    }

    /// Waits until it answers from memory, and as the store does.
    async fn knows(&self, store: &MemoryStore, dpus: &[DpuId]) {
        let now: Vec<_> = dpus.iter().map(|dpu| (dpu.clone(), UnixMs::MAX)).collect();
        until("the view knows all", async || {
            let told = (self.live.counters(dpus).await, self.live.totals(&now).await);
            self.live.is_fresh() && told == (store.counters(dpus).await, store.totals(&now).await)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_knows_what_lanes_committed_and_steps_aside_while_the_broker_is_away() {
    let Some(kafka) = engines::or_skip(Kafka::start(&KafkaOptions::default())).unwrap() else { return };
    let cluster = Cluster::on(&kafka.bootstrap(), 3).await;
    let (store, mut traffic, registry) = (Arc::new(MemoryStore::new()), Traffic::new(11), Registry::new());
    let metrics = Metrics::new(&registry, ingest::Metrics::new(&registry).unwrap()).unwrap();
    let feed: Arc<dyn CountersFeed> = Arc::new(Changelog::new(&cluster.kafka()).unwrap());
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    let running = Consumer::start(cluster.config(), shared, Some(feed), metrics).await.unwrap();
    traffic.send(&cluster, 200);
    traffic.settles_in(&*store).await;
    let dpus: Vec<DpuId> = traffic.truth.keys().cloned().collect();

    // Begun in the middle: what was committed comes from the store, what is committed from now on from the log.
    let view = View::over(&store, &cluster);
    view.knows(&store, &dpus).await;
    let taken = metric(&view.registry, "headcount_live_changes_total");
    traffic.send(&cluster, 200);
    traffic.settles_in(&*store).await;
    view.knows(&store, &dpus).await;
    assert!(metric(&view.registry, "headcount_live_changes_total") > taken);
    assert_eq!(view.starts(), 1.0);

    let broker = &kafka.brokers()[0];
    broker.kill();
    until("the view steps aside", async || !view.live.is_fresh()).await;
    assert_eq!(view.live.counters(&dpus).await, store.counters(&dpus).await, "the store answers meanwhile");
    broker.start_again().unwrap();
    view.is_fresh().await;
    traffic.send(&cluster, 200);
    traffic.settles_in(&*store).await;
    view.knows(&store, &dpus).await;
    view.follower.stop().await;
    assert_eq!((running.stop(PATIENCE).await, running.failure()), (Drained::Finished, None));
}

/// An owner of one DPU, without a consumer around it.
struct Owner {
    store: Arc<MemoryStore>,
    lane: Lane,
    changelog: Changelog,
    dpu: DpuId,
    crossings: i64,
}

impl Owner {
    /// One more crossing, stored and published.
    async fn publishes(&mut self) {
        let change = self.change().await;
        until("it is published", async || self.changelog.publish(std::slice::from_ref(&change)).await.is_ok()).await;
    }

    /// One more crossing, stored.
    async fn change(&mut self) -> Change {
        self.crossings += 1;
        let at = UnixMs::CLOCK_SET.plus_ms(self.crossings);
        let record = Record { crossings: vec![Key::first_at(at)].into(), heartbeat: None, appended_at: at, position: None };
        let commit = self.lane.prepare(&*self.store, &[(self.dpu.clone(), record)]).await.unwrap();
        let counters = commit.ledgers[0].counters.unwrap();
        self.store.commit(Arc::new(commit)).await.unwrap();
        Change { dpu: self.dpu.clone(), counters, from: Some(at) }
    }

    /// One more crossing, published in a transaction: its end takes an offset that no reader gets.
    async fn publishes_and_leaves_a_gap(&mut self, bootstrap: &str, topic: &str) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("transactional.id", topic).set("message.timeout.ms", "30000");
        let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
        let payload = wire::change::encode(&self.change().await);
        tokio::task::block_in_place(|| {
            producer.init_transactions(PATIENCE).unwrap();
            producer.begin_transaction().unwrap();
            producer.send(BaseRecord::to(topic).key(self.dpu.as_str()).payload(&payload)).map_err(|(error, _)| error).unwrap();
            producer.commit_transaction(PATIENCE).unwrap();
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_may_hide_a_change_makes_a_view_begin_anew() {
    let Some(cluster) = Cluster::real(1).await else { return };
    let (config, store) = (cluster.kafka(), Arc::new(MemoryStore::new()));
    let (bootstrap, topic) = (&config.bootstrap_servers, &config.counters_topic);
    let compact = [("cleanup.policy", "compact")];
    // There is no changelog yet.
    let view = View::over(&store, &cluster);
    create_topic(bootstrap, topic, 1, &compact).await;
    let dpu: DpuId = "283".parse().unwrap();
    let changelog = Changelog::new(&config).unwrap();
    let mut owner = Owner { store: Arc::clone(&store), lane: Lane::default(), changelog, dpu: dpu.clone(), crossings: 0 };
    let dpus = [dpu];
    for _ in 0..3 {
        owner.publishes().await;
        view.knows(&store, &dpus).await;
    }
    let mut starts = view.starts();
    let begun = starts;
    let mut begins_anew = async |why: &str, owner: &mut Owner| {
        until(why, async || view.starts() > starts).await;
        view.is_fresh().await;
        starts = view.starts();
        owner.publishes().await;
        view.knows(&store, &dpus).await;
    };

    owner.publishes_and_leaves_a_gap(bootstrap, topic).await;
    // The end of a transaction is written in its own time, and noticed by what comes after it.
    until("an offset is left out", async || {
        owner.publishes().await;
        view.starts() > begun
    })
    .await;
    begins_anew("an offset is left out", &mut owner).await;

    let raw: ThreadedProducer<DefaultProducerContext> = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    raw.send(BaseRecord::to(topic).key("283").payload("no change")).map_err(|(error, _)| error).unwrap();
    begins_anew("a record cannot be read", &mut owner).await;

    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    admin(bootstrap).create_partitions([&NewPartitions::new(topic, 3)], &options).await.unwrap();
    begins_anew("there are more partitions", &mut owner).await;

    admin(bootstrap).delete_topics(&[topic], &options).await.unwrap();
    until("the view steps aside", async || !view.live.is_fresh()).await;
    create_topic(bootstrap, topic, 3, &compact).await;
    begins_anew("the topic is made anew", &mut owner).await;
    view.follower.stop().await;
}
