//! Consumers that join and leave while crossings flow.

use std::sync::Arc;

use ingest::Drained;
use store::MemoryStore;

use crate::cluster::{Cluster, PATIENCE, Traffic, metric, on_both, until};

on_both!(consumers_come_and_go_and_every_crossing_counts_once, 4);

async fn consumers_come_and_go_and_every_crossing_counts_once(cluster: Cluster) {
    let store = Arc::new(MemoryStore::new());
    let mut traffic = Traffic::new(1);
    traffic.send(&cluster, 500);

    let (first, first_metrics) = cluster.join(&store).await;
    let first = first.unwrap();
    until("the first owns all", async || {
        traffic.send(&cluster, 5);
        first.assigned() == 4
    })
    .await;
    let (second, second_metrics) = cluster.join(&store).await;
    let second = second.unwrap();
    until("they share", async || {
        traffic.send(&cluster, 5);
        (first.assigned(), second.assigned()) == (2, 2)
    })
    .await;
    traffic.send(&cluster, 500);
    assert_eq!(first.stop(PATIENCE).await, Drained::Finished);
    until("the second owns all", async || {
        traffic.send(&cluster, 5);
        second.assigned() == 4
    })
    .await;
    traffic.send(&cluster, 500);
    cluster.flush();

    traffic.settles_in(&*store).await;
    until("all offsets are committed", async || second.lag() == Some(0)).await;
    traffic.settles_in(&*store).await;
    assert_eq!(second.stop(PATIENCE).await, Drained::Finished);
    assert_eq!((first.failure(), second.failure()), (None, None));
    for registry in [first_metrics, second_metrics] {
        assert!(metric(&registry, "headcount_kafka_foreign_records_total") > 100.0);
    }

    // Whoever comes next starts where the last one ended.
    let (third, third_metrics) = cluster.join(&store).await;
    let third = third.unwrap();
    until("the third has nothing to do", async || third.assigned() == 4 && third.lag() == Some(0)).await;
    assert_eq!(metric(&third_metrics, "headcount_kafka_records_total"), 0.0);
    third.stop(PATIENCE).await;
}
