//! Topics of a real cluster: created as they must be, refused where they are not, with the command that mends it.

use std::sync::Arc;

use engines::Kafka;
use ingest_kafka::{ConsumerConfig, KafkaConfig, KafkaError, Producer, TopicPolicy, Wanted, prepare_topics};
use rdkafka::admin::AdminOptions;
use store::{Edits, MemoryStore, Settings};

use crate::cluster::{Cluster, PATIENCE, Traffic, admin, create_topic, join_as, metric, new_topic, setting};

fn kafka() -> Option<&'static Kafka> {
    engines::or_skip(Kafka::shared()).unwrap()
}

fn config(kafka: &Kafka, topic: &str) -> ConsumerConfig {
    ConsumerConfig::new(KafkaConfig::new(&kafka.bootstrap(), topic), &format!("{topic}-group"))
}

fn wanting(partitions: Option<u32>, replicas: Option<u16>, config: ConsumerConfig) -> ConsumerConfig {
    ConsumerConfig { topic_policy: TopicPolicy::Checked(Wanted { partitions, replicas }), ..config }
}

async fn starts(config: ConsumerConfig, store: &Arc<MemoryStore>) {
    join_as(config, store.clone()).await.0.unwrap().stop(PATIENCE).await;
}

/// The error, which must come before anything is written.
async fn refused(config: ConsumerConfig, store: &Arc<MemoryStore>) -> KafkaError {
    let before = store.settings().await.unwrap();
    let error = join_as(config, store.clone()).await.0.unwrap_err();
    assert_eq!(store.settings().await.unwrap(), before);
    error
}

/// The command between backticks in an error.
fn command(error: &KafkaError) -> String {
    error.to_string().split('`').nth(1).unwrap().to_owned()
}

/// The names of all topics.
fn topics(kafka: &Kafka) -> Vec<String> {
    let metadata = admin(&kafka.bootstrap()).inner().fetch_metadata(None, PATIENCE).unwrap();
    metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_are_missing_are_created_as_they_must_be() {
    let Some(kafka) = kafka() else { return };
    let (store, topic) = (Arc::new(MemoryStore::new()), new_topic());
    let config = config(kafka, &topic);
    starts(config.clone(), &store).await;
    for (topic, name, value) in [
        (&topic, "message.timestamp.type", "LogAppendTime"),
        (&topic, "cleanup.policy", "delete"),
        (&topic, "unclean.leader.election.enable", "false"),
        (&config.kafka.counters_topic, "cleanup.policy", "compact"),
    ] {
        assert_eq!(setting(&kafka.bootstrap(), topic, name).await.as_deref(), Some(value), "{name} of {topic}");
    }
    let settings = store.settings().await.unwrap();
    assert_eq!((settings.partitions, settings.epoch, settings.first_start_done), (Some(16), 1, true));
    assert_eq!(settings.cluster_id.map(|id| id.len()), Some(22));

    // As they are is as they were asked for; otherwise is not.
    starts(wanting(Some(16), None, config.clone()), &store).await;
    let error = refused(wanting(Some(12), None, config.clone()), &store).await;
    assert!(matches!(error, KafkaError::UnwantedPartitions { wanted: 12, found: 16, .. }), "{error}");

    // A topic that was there does not come back empty.
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    admin(&kafka.bootstrap()).delete_topics(&[&topic], &options).await.unwrap();
    let error = refused(config.clone(), &store).await;
    assert!(matches!(error, KafkaError::NoTopic { .. }), "{error}");
    assert!(!topics(kafka).contains(&topic));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_produces_first_makes_the_topics_and_all_may_do_so_at_once() {
    let Some(kafka) = kafka() else { return };
    let (store, topic) = (Arc::new(MemoryStore::new()), new_topic());
    let config = config(kafka, &topic);
    let wanted = Wanted { partitions: Some(4), replicas: None };
    let prepare = || prepare_topics(&config.kafka, wanted);
    let (first, second, third) = tokio::join!(prepare(), prepare(), join_as(wanting(Some(4), None, config.clone()), store.clone()));
    assert_eq!((first, second), (Ok(()), Ok(())));
    let (producer, mut traffic) = (Producer::new(&config.kafka, 30_000).unwrap(), Traffic::new(9));
    for _ in 0..20 {
        producer.send(&traffic.report()).await.unwrap().durable().await.unwrap();
    }
    traffic.settles_in(&*store).await;
    assert_eq!(metric(&third.1, "headcount_kafka_foreign_records_total"), 0.0, "the producer's home is the consumer's");
    third.0.unwrap().stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_not_as_it_must_be_is_mended_by_the_command_in_the_error() {
    let Some(kafka) = kafka() else { return };
    for (setting, spoilt, of_counters) in [
        ("message.timestamp.type", "CreateTime", false),
        ("cleanup.policy", "compact", false),
        ("unclean.leader.election.enable", "true", false),
        ("cleanup.policy", "delete", true),
    ] {
        let (store, topic) = (Arc::new(MemoryStore::new()), new_topic());
        let config = config(kafka, &topic);
        let name = if of_counters { &config.kafka.counters_topic } else { &topic };
        let right = if of_counters { &[][..] } else { &[("message.timestamp.type", "LogAppendTime")] };
        create_topic(&kafka.bootstrap(), name, 2, &[right, &[(setting, spoilt)]].concat()).await;
        let error = refused(config.clone(), &store).await;
        assert!(
            matches!(&error, KafkaError::TopicSetting { topic, name: setting_found, found, .. }
                if topic == name && *setting_found == setting && found == spoilt),
            "{error}"
        );
        assert_eq!(store.settings().await.unwrap(), Settings::default());
        let either = [&topic, &config.kafka.counters_topic];
        let there: Vec<String> = topics(kafka).into_iter().filter(|topic| either.contains(&topic)).collect();
        assert_eq!(there, std::slice::from_ref(name), "neither is made while the other is refused");
        kafka.script(&command(&error)).unwrap();
        starts(config, &store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_cannot_be_created_or_has_too_few_partitions_is_mended_by_the_command_too() {
    let Some(kafka) = kafka() else { return };
    let (store, topic) = (Arc::new(MemoryStore::new()), new_topic());
    let config = config(kafka, &topic);
    let error = refused(wanting(Some(4), Some(3), config.clone()), &store).await;
    assert!(matches!(&error, KafkaError::NotCreated { partitions: 4, replicas: 3, .. }), "{error}");
    kafka.script(&command(&error).replace("--replication-factor 3", "--replication-factor 1").replace("replicas=2", "replicas=1")).unwrap();
    let error = refused(wanting(Some(8), Some(1), config.clone()), &store).await;
    assert!(matches!(error, KafkaError::UnwantedPartitions { wanted: 8, found: 4, .. }), "{error}");
    kafka.script(&command(&error)).unwrap();
    starts(wanting(Some(8), Some(1), config), &store).await;
    assert_eq!(store.settings().await.unwrap().partitions, Some(8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_changed_partitions_and_a_topic_made_anew_are_refused() {
    let Some(kafka) = kafka() else { return };
    let store = Arc::new(MemoryStore::new());
    let elsewhere = Settings { cluster_id: Some("elsewhere".to_owned()), ..Settings::default() };
    assert!(store.put_settings(&Settings::default(), &elsewhere).await.unwrap());
    let topic = new_topic();
    let error = refused(config(kafka, &topic), &store).await;
    assert!(matches!(&error, KafkaError::OtherCluster { stored, .. } if stored == "elsewhere"), "{error}");
    assert!(!topics(kafka).contains(&topic));

    let (store, cluster) = (Arc::new(MemoryStore::new()), Cluster::real(2).await.unwrap());
    let mut traffic = Traffic::new(6);
    traffic.send(&cluster, 40);
    let running = cluster.join(&store).await.0.unwrap();
    traffic.settles_in(&*store).await;
    running.stop(PATIENCE).await;
    let unasked = wanting(None, None, cluster.config());
    let (bootstrap, topic) = (kafka.bootstrap(), &cluster.topic);
    kafka.script(&format!("kafka-topics.sh --bootstrap-server {bootstrap} --alter --topic {topic} --partitions 3")).unwrap();
    let error = refused(unasked.clone(), &store).await;
    assert!(matches!(error, KafkaError::OtherPartitions { stored: 2, found: 3, .. }), "{error}");

    kafka.script(&format!("kafka-topics.sh --bootstrap-server {bootstrap} --delete --topic {topic}")).unwrap();
    create_topic(&bootstrap, topic, 2, &[("message.timestamp.type", "LogAppendTime")]).await;
    let error = refused(unasked, &store).await;
    assert!(matches!(error, KafkaError::LogShorter { high: 0, .. } | KafkaError::NoOffset { .. }), "{error}");
}
