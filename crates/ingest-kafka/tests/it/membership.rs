//! Static members: a consumer that comes back soon costs no rebalance.

use std::sync::Arc;

use ingest_kafka::ConsumerConfig;
use store::MemoryStore;

use crate::cluster::{Cluster, PATIENCE, Traffic, join_as, metric, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_static_member_comes_back_to_its_partitions_without_a_rebalance() {
    let Some(cluster) = Cluster::real(4).await else { return };
    let store = Arc::new(MemoryStore::new());
    let named = |name: &str| -> ConsumerConfig {
        let mut config = cluster.config();
        let properties = [("group.instance.id", name), ("session.timeout.ms", "60000")];
        config.kafka.properties.extend(properties.map(|(name, value)| (name.to_owned(), value.to_owned())));
        config
    };
    let mut traffic = Traffic::new(7);
    let (first, _) = join_as(named("one"), store.clone()).await;
    let first = first.unwrap();
    let (second, seen) = join_as(named("two"), store.clone()).await;
    let second = second.unwrap();
    until("they share", async || (first.assigned(), second.assigned()) == (2, 2)).await;
    traffic.send(&cluster, 100);
    traffic.settles_in(&*store).await;

    let rebalances = metric(&seen, "headcount_kafka_rebalances_total");
    first.stop(PATIENCE).await;
    traffic.send(&cluster, 100);
    let again = join_as(named("one"), store.clone()).await.0.unwrap();
    until("it has its partitions back", async || again.assigned() == 2).await;
    traffic.settles_in(&*store).await;
    assert_eq!(metric(&seen, "headcount_kafka_rebalances_total"), rebalances);
    assert_eq!(second.assigned(), 2);

    // Two cannot be one: whoever came first is told, and ends.
    let double = join_as(named("one"), store.clone()).await.0.unwrap();
    let error = again.failed().await.to_string();
    assert!(error.contains("Fenced"), "{error}");
    for running in [again, double, second] {
        running.stop(PATIENCE).await;
    }
}
