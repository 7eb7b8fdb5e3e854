//! Trouble on real Kafka, as a seed has it: brokers that are killed or stand still, consumers that come, leave and are
//! cut off, devices that send everything again, a store that fails. What goes in is what comes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engines::{Kafka, KafkaOptions};
use ingest::Drained;
use ingest_kafka::Running;
use prometheus::Registry;
use store::faults::{Faulty, Rng};
use store::{MemoryStore, Store};
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, PATIENCE, Traffic, admin, join_as, metric, setting, until};

const PARTITIONS: u32 = 6;
/// How many bursts of crossings are sent, at least.
const BURSTS: u32 = 100;
/// How long it may take until all of that happened, on a busy machine.
const LONGEST: Duration = Duration::from_secs(240);
/// How many brokers fall, at least.
const FALLS: u32 = 3;
/// How many members are cut off with something under way, at least.
const CUTS: u32 = 3;
/// The most members the group has.
const MEMBERS: u64 = 3;
/// How many commits fail in one way or another.
const FAULTS_PERCENT: u64 = 20;
/// How long a member that is to be cut off may take to get something to do: it may have no partition yet.
const UNDER_WAY: Duration = Duration::from_secs(3);
/// The pause between two bursts of crossings.
const BEAT: Duration = Duration::from_millis(100);

/// What is going on.
struct Scene {
    kafka: Arc<Kafka>,
    cluster: Cluster,
    store: Arc<Faulty<MemoryStore>>,
    traffic: Traffic,
    rng: Rng,
    members: Vec<Member>,
    fall: Option<JoinHandle<()>>,
    falls: u32,
    cuts: u32,
}

/// A consumer and what it measures.
struct Member {
    running: Running,
    metrics: Registry,
}

impl Scene {
    /// A cluster of its own, as many others share the usual one.
    async fn set(brokers: usize, seed: u64) -> Option<Self> {
        println!("seed {seed}; HEADCOUNT_SEED sets another");
        let kafka = engines::or_skip(Kafka::start(&KafkaOptions { brokers, ..KafkaOptions::default() })).unwrap()?;
        let cluster = Cluster::on(&kafka.bootstrap(), PARTITIONS).await;
        let store = Arc::new(Faulty::new(MemoryStore::new(), seed, FAULTS_PERCENT));
        let (traffic, rng) = (Traffic::new(seed), Rng::new(seed));
        Some(Self { kafka: Arc::new(kafka), cluster, store, traffic, rng, members: Vec::new(), fall: None, falls: 0, cuts: 0 })
    }

    /// Lets the seed decide, again and again.
    async fn play(&mut self) {
        let (begun, mut bursts) = (Instant::now(), 0);
        while bursts < BURSTS || self.falls < FALLS || self.cuts < CUTS {
            assert!(begun.elapsed() < LONGEST, "{bursts} bursts, {} falls, {} cuts", self.falls, self.cuts);
            bursts += 1;
            self.send();
            match self.rng.below(20) {
                0..2 if (self.members.len() as u64) < MEMBERS => self.join().await,
                2 if self.members.len() > 1 => drop(self.member().running.stop(Duration::from_secs(5)).await),
                3..5 if self.members.len() > 1 => self.cut_off().await,
                5..7 => self.fell_a_broker(),
                _ => {}
            }
            if self.members.is_empty() {
                self.join().await;
            }
            self.nobody_failed();
            tokio::time::sleep(BEAT).await;
        }
    }

    fn send(&mut self) {
        let reports = u32::try_from(self.rng.below(60)).unwrap();
        self.traffic.send(&self.cluster, reports);
        if self.rng.percent(10) {
            self.traffic.send_again(&self.cluster);
        }
    }

    /// A member ends at once, with much under way that the store does not take: somebody else has to do it.
    async fn cut_off(&mut self) {
        self.store.set_percent(100);
        let (member, deadline) = (self.member(), Instant::now() + UNDER_WAY);
        while metric(&member.metrics, "headcount_lane_queue_items") < 50.0 && Instant::now() < deadline {
            self.traffic.send(&self.cluster, 100);
            tokio::time::sleep(BEAT).await;
        }
        if member.running.stop(Duration::ZERO).await == Drained::Abandoned {
            self.cuts += 1;
        }
        self.store.set_percent(FAULTS_PERCENT);
    }

    /// A member, taken out of the group.
    fn member(&mut self) -> Member {
        let which = self.rng.below(self.members.len() as u64);
        self.members.swap_remove(usize::try_from(which).unwrap())
    }

    /// Joins, as a supervisor would let it: a start that fails is tried again.
    async fn join(&mut self) {
        let begun = Instant::now();
        loop {
            let (started, metrics) = join_as(self.cluster.config(), Arc::clone(&self.store) as Arc<dyn Store>).await;
            match started {
                Ok(running) => return self.members.push(Member { running, metrics }),
                Err(error) => assert!(begun.elapsed() < PATIENCE, "no start: {error}"),
            }
        }
    }

    /// Kills a broker or stops its clock for a while, unless one is down.
    fn fell_a_broker(&mut self) {
        if self.fall.as_ref().is_some_and(|fall| !fall.is_finished()) {
            return;
        }
        let which = usize::try_from(self.rng.below(self.kafka.brokers().len() as u64)).unwrap();
        let (kills, away) = (self.rng.percent(70), Duration::from_millis(self.rng.below(3_000)));
        let kafka = Arc::clone(&self.kafka);
        self.falls += 1;
        self.fall = Some(tokio::task::spawn_blocking(move || {
            let broker = &kafka.brokers()[which];
            if kills {
                broker.kill();
                std::thread::sleep(away);
                broker.start_again().unwrap();
            } else {
                broker.pause().unwrap();
                std::thread::sleep(away);
                broker.resume().unwrap();
            }
        }));
    }

    fn nobody_failed(&self) {
        let failures: Vec<_> = self.members.iter().filter_map(|member| member.running.failure()).collect();
        assert_eq!(failures, []);
    }

    /// All is well again: everything sent is counted once, and nothing is left to do.
    async fn ends_well(mut self) {
        if let Some(fall) = self.fall.take() {
            fall.await.unwrap();
        }
        self.cluster.flush();
        self.traffic.settles_in(&*self.store).await;
        until("all offsets are committed", async || self.members.iter().map(|member| member.running.lag()).sum::<Option<u64>>() == Some(0))
            .await;
        self.nobody_failed();
        for member in self.members.drain(..) {
            member.running.stop(PATIENCE).await;
        }
        self.traffic.settles_in(&*self.store).await;
        let (last, metrics) = join_as(self.cluster.config(), Arc::clone(&self.store) as Arc<dyn Store>).await;
        let last = last.unwrap();
        until("it owns all", async || last.assigned() == PARTITIONS as usize && last.lag() == Some(0)).await;
        assert_eq!(metric(&metrics, "headcount_kafka_records_total"), 0.0, "all was committed");
        last.stop(PATIENCE).await;
    }
}

fn seed(usual: u64) -> u64 {
    std::env::var("HEADCOUNT_SEED").map_or(usual, |seed| seed.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_broker_falls_again_and_again_and_every_crossing_counts_once() {
    let Some(mut scene) = Scene::set(1, seed(1)).await else { return };
    scene.play().await;
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_brokers_falls_again_and_again_and_every_crossing_counts_once() {
    let Some(mut scene) = Scene::set(3, seed(2)).await else { return };
    scene.join().await;
    // The topic of counters was made by that start: with three replicas, two of which must have a record.
    let (bootstrap, counters) = (scene.kafka.bootstrap(), scene.cluster.kafka().counters_topic);
    let metadata = admin(&bootstrap).inner().fetch_metadata(Some(&counters), PATIENCE).unwrap();
    assert_eq!(metadata.topics()[0].partitions()[0].replicas().len(), 3);
    assert_eq!(setting(&bootstrap, &counters, "min.insync.replicas").await.as_deref(), Some("2"));
    scene.play().await;
    scene.ends_well().await;
}
