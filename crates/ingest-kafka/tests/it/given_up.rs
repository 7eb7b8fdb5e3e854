//! Members that are cut off with work of every kind under way and held back: none of it counts as done.

use std::sync::Arc;
use std::time::Duration;

use ingest::{Drained, LaneConfig};
use ingest_kafka::ConsumerConfig;
use store::faults::Faulty;
use store::{Ledgers, MemoryStore, Store};

use crate::cluster::{Cluster, PATIENCE, Traffic, join_as, metric, on_both, until};

on_both!(what_is_held_when_members_are_cut_off_comes_again, 2);

async fn what_is_held_when_members_are_cut_off_comes_again(cluster: Cluster) {
    let store = Arc::new(Faulty::new(MemoryStore::new(), 7, 0));
    let mut traffic = Traffic::new(9);
    // Less than the records that go together, so that much is held.
    let lane = LaneConfig { queue_records: 40, batch_records: 40, ..LaneConfig::default() };
    let join = async || {
        let config = ConsumerConfig { lane, ..cluster.config() };
        let (running, metrics) = join_as(config, Arc::clone(&store) as Arc<dyn Store>).await;
        (running.unwrap(), metrics)
    };
    let mut unreadable = 0;
    for _ in 0..3 {
        store.set_percent(100);
        for i in 0..20 {
            // Small ones, in part away from home; those with all that a DPU has; and one that nobody can read.
            traffic.send(&cluster, 50);
            traffic.send_again(&cluster);
            cluster.send(i % 2, "a key", b"no report");
            unreadable += 1;
        }
        cluster.flush();
        let (cut_off, metrics) = join().await;
        until("more is held than the lanes take", async || metric(&metrics, "headcount_kafka_pauses_total") > 0.0).await;
        assert_eq!(cut_off.stop(Duration::ZERO).await, Drained::Abandoned);
        assert_eq!(cut_off.failure(), None);
    }
    store.set_percent(20);
    let (running, _metrics) = join().await;
    traffic.settles_in(&*store).await;
    until("all offsets are committed", async || running.lag() == Some(0)).await;
    traffic.settles_in(&*store).await;
    assert_eq!(store.quarantined(None, 1_000).await.unwrap().len(), unreadable);
    assert_eq!((running.stop(PATIENCE).await, running.failure()), (Drained::Finished, None));
}
