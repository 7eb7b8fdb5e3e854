//! How far the group is, told by itself and by Kafka while nobody consumes; and that trouble with the store shows.

use std::sync::Arc;

use ingest_kafka::{KafkaError, PartitionLag, lag};
use store::faults::Faulty;
use store::{MemoryStore, Store};

use crate::cluster::{Cluster, PATIENCE, Traffic, join_as, on_both, until};

on_both!(what_is_left_to_consume_is_told_with_and_without_consumers, 3);

async fn what_is_left_to_consume_is_told_with_and_without_consumers(cluster: Cluster) {
    let group = cluster.config().group;
    let asked = async || lag(&cluster.kafka(), &group).await.unwrap();
    let sum = |partitions: &[PartitionLag]| partitions.iter().map(PartitionLag::records).sum::<u64>();
    let (mut traffic, store) = (Traffic::new(5), Arc::new(Faulty::new(MemoryStore::new(), 1, 0)));
    traffic.send(&cluster, 100);
    cluster.flush();
    // A new broker has no place for groups' offsets until somebody has asked for it.
    until("the broker tells of groups", async || lag(&cluster.kafka(), &group).await.is_ok()).await;
    let before = asked().await;
    assert!(before.iter().all(|one| one.committed.is_none()) && before.len() == 3, "{before:?}");
    assert_eq!(sum(&before), 100);

    let (running, metrics) = join_as(cluster.config(), Arc::clone(&store) as Arc<dyn Store>).await;
    let running = running.unwrap();
    until("it is in the group and has caught up", async || running.in_group() && running.lag() == Some(0)).await;
    // Records that were not at home stand in the log twice.
    let partitions = || {
        let families = metrics.gather();
        let family = families.iter().find(|family| family.name() == "headcount_kafka_partition_lag_records")?;
        Some(family.get_metric().iter().map(|one| (one.get_label()[0].value().to_owned(), one.get_gauge().get_value())).collect::<Vec<_>>())
    };
    let all = ["0", "1", "2"].map(|partition| (partition.to_owned(), 0.0));
    assert_eq!(partitions(), Some(all.to_vec()));
    assert_eq!(sum(&asked().await), 0);

    store.set_percent(100);
    // Some commits are slow rather than failing: so there is always another.
    until("the trouble shows", async || {
        traffic.send(&cluster, 1);
        running.trouble().is_some_and(|why| why.contains("injected"))
    })
    .await;
    store.set_percent(0);
    until("it is over", async || running.trouble().is_none()).await;
    traffic.settles_in(&*store).await;
    running.stop(PATIENCE).await;
    assert_eq!(partitions(), None, "who consumes no partition tells of none");
    traffic.send(&cluster, 10);
    cluster.flush();
    assert_eq!(sum(&asked().await), 10);
    let mut elsewhere = cluster.kafka();
    elsewhere.topic = "nowhere".to_owned();
    assert!(matches!(lag(&elsewhere, &group).await, Err(KafkaError::UnknownTopic { .. })));
}
