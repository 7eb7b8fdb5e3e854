//! Kafka: the consumer group, the producer, and `ingest`, a consumer alone.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use api::{Feed, Ready};
use axum::Router;
use ingest::{CountersFeed, Drained, Intake};
use ingest_kafka::{
    Changelog, Consumer, ConsumerConfig, KafkaConfig, KafkaIntake, KafkaIntakeConfig, Metrics, Producer, Running, TopicPolicy, Wanted,
    prepare_topics,
};
use prometheus::Registry;
use store::Store;
use wire::Report;

use crate::args::{Ingest, Names, Times, Topic};
use crate::feeding::{DRAIN, policy};
use crate::opened;
use crate::run::told_to_stop;
use crate::say::say;
use crate::server::{Answering, listen};

/// How long Kafka may take to acknowledge what is produced, in ms.
const DELIVERY_TIMEOUT_MS: u64 = 30_000;

/// A running consumer and the gateway that hands it what comes over HTTP.
pub(crate) struct Consuming {
    running: Arc<Running>,
    intake: Arc<KafkaIntake>,
    lanes: ingest::Metrics,
}

/// `ingest`: consumes until it is told to stop, or fails for good.
pub(crate) async fn ingest(args: Ingest) -> Result<ExitCode> {
    let listener = listen(args.metrics_listen, "--metrics-listen").await?;
    let store = opened::to_serve(&args.keep).await?;
    let registry = Registry::new();
    // At a store of its own there is nobody to follow.
    let feed = if args.keep.store.is_shared() { Some(changelog(&args.kafka, &args.topic.names)?) } else { None };
    let consuming = start(store.clone(), feed, &args.kafka, &args.topic, args.times, &registry).await?;
    // Until here, with nothing under way, a signal ends the process at once, however long the store takes to answer.
    let stop = told_to_stop()?;
    let router: Router = api::metrics_app(registry).merge(api::probes(consuming.ready(store)));
    let metrics = Answering::on(listener, router)?;
    say!("Headcount {} consumes {} from {}", env!("CARGO_PKG_VERSION"), args.topic.names.topic, args.kafka);
    say!("metrics for Prometheus: http://{}/metrics", metrics.address);
    say!("alive: http://{0}/healthz; ready: http://{0}/readyz", metrics.address);
    let failed = tokio::select! {
        () = stop => None,
        error = consuming.failed() => Some(error),
    };
    consuming.stop().await?;
    metrics.stop().await;
    failed.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// A topic and how to reach it.
pub(crate) fn kafka(brokers: &str, names: &Names) -> KafkaConfig {
    KafkaConfig { properties: names.kafka_setting.iter().cloned().collect(), ..KafkaConfig::new(brokers, &names.topic) }
}

/// A producer for `simulate` and `replay`, which may come before any consumer.
pub(crate) async fn first_producer(brokers: &str, topic: &Topic) -> Result<Producer> {
    prepare_topics(&kafka(brokers, &topic.names), wanted(topic)).await?;
    producer(brokers, topic)
}

/// The way from HTTP to Kafka in a process that consumes nothing; it may come before any consumer.
pub(crate) async fn gateway(brokers: &str, topic: &Topic) -> Result<Arc<KafkaIntake>> {
    let kafka = kafka(brokers, &topic.names);
    prepare_topics(&kafka, wanted(topic)).await?;
    Ok(Arc::new(KafkaIntake::new(&kafka, KafkaIntakeConfig::default())?))
}

/// What is asked of topics.
fn wanted(topic: &Topic) -> Wanted {
    Wanted { partitions: topic.partitions, replicas: topic.replicas }
}

/// A producer into topics that are there.
pub(crate) fn producer(brokers: &str, topic: &Topic) -> Result<Producer> {
    Ok(Producer::new(&kafka(brokers, &topic.names), DELIVERY_TIMEOUT_MS)?)
}

/// Produces reports and waits until Kafka has them.
pub(crate) async fn produce(producer: &Producer, reports: &[Report]) -> Result<()> {
    let mut deliveries = Vec::with_capacity(reports.len());
    for report in reports {
        deliveries.push(producer.send(report).await?);
    }
    for delivery in deliveries {
        delivery.durable().await?;
    }
    Ok(())
}

/// Where lanes publish what they changed for the other processes at the same store.
pub(crate) fn changelog(brokers: &str, names: &Names) -> Result<Arc<dyn CountersFeed>> {
    Ok(Arc::new(Changelog::new(&kafka(brokers, names))?))
}

/// Joins the consumer group over a store, and publishes to a feed, where somebody follows.
pub(crate) async fn start(
    store: Arc<dyn Store>,
    feed: Option<Arc<dyn CountersFeed>>,
    brokers: &str,
    topic: &Topic,
    times: Times,
    registry: &Registry,
) -> Result<Consuming> {
    start_with(TopicPolicy::Checked(wanted(topic)), store, feed, brokers, topic, times, registry).await
}

/// Joins the consumer group; only the demo's own cluster may be trusted unchecked.
pub(crate) async fn start_with(
    topic_policy: TopicPolicy,
    store: Arc<dyn Store>,
    feed: Option<Arc<dyn CountersFeed>>,
    brokers: &str,
    topic: &Topic,
    times: Times,
    registry: &Registry,
) -> Result<Consuming> {
    let kafka = kafka(brokers, &topic.names);
    let config = ConsumerConfig { topic_policy, policy: policy(times), ..ConsumerConfig::new(kafka.clone(), &topic.names.group) };
    let lanes = ingest::Metrics::new(registry)?;
    let running = Consumer::start(config, store, feed, Metrics::new(registry, lanes.clone())?).await?;
    let intake = KafkaIntake::new(&kafka, KafkaIntakeConfig::default())?;
    Ok(Consuming { running: Arc::new(running), intake: Arc::new(intake), lanes })
}

/// Why it does not get on, if it does not.
fn not_ready(running: &Running) -> Option<String> {
    let stopped = running.failure().map(|error| format!("the consumer has stopped: {error}"));
    stopped.or_else(|| running.trouble().map(|why| format!("the store is unavailable: {why}")))
}

impl Consuming {
    /// Where HTTP hands crossings.
    pub(crate) fn intake(&self) -> Arc<dyn Intake> {
        self.intake.clone()
    }

    /// What its lanes have done.
    pub(crate) fn lanes(&self) -> &ingest::Metrics {
        &self.lanes
    }

    /// How it stands, whenever asked.
    pub(crate) fn feed(&self) -> Arc<dyn Fn() -> Feed + Send + Sync> {
        let running = self.running.clone();
        let lanes = self.lanes.clone();
        Arc::new(move || Feed { not_ready: not_ready(&running), queued: lanes.queued(), lag: running.lag() })
    }

    /// Whether it consumes, or waits for its turn, asked anew each time.
    fn ready(&self, store: Arc<dyn Store>) -> Ready {
        let running = self.running.clone();
        Arc::new(move || {
            let (running, store) = (running.clone(), store.clone());
            Box::pin(async move {
                let apart = || (!running.in_group()).then(|| "it is not in the consumer group yet".to_owned());
                let unanswered = store.settings().await.err().map(|error| error.to_string());
                not_ready(&running).or_else(apart).or(unanswered)
            })
        })
    }

    /// Completes when it has failed for good.
    pub(crate) async fn failed(&self) -> anyhow::Error {
        self.running.failed().await.into()
    }

    /// Drains, commits and leaves the group.
    pub(crate) async fn stop(self) -> Result<()> {
        match self.running.stop(DRAIN).await {
            Drained::Finished => Ok(()),
            Drained::Abandoned => bail!("the lanes did not finish within {} s: Kafka will deliver what they held again", DRAIN.as_secs()),
            Drained::Failed(error) => bail!("a lane has stopped: {error}"),
        }
    }
}
