//! Brokers that go away and answer with errors, a store that is slow to take in, and records nobody can read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest::{Drained, LaneConfig};
use ingest_kafka::ConsumerConfig;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use store::faults::Faulty;
use store::{Ledgers, MemoryStore, Reason, Source, Store};

use crate::cluster::{Cluster, PATIENCE, Traffic, join_as, metric, on_both, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_gone_for_a_while_costs_nothing() {
    let cluster = Cluster::mock(3);
    let store = Arc::new(MemoryStore::new());
    let mut traffic = Traffic::new(2);
    let (running, _metrics) = cluster.join(&store).await;
    let running = running.unwrap();
    traffic.send(&cluster, 300);
    until("it owns all", async || running.assigned() == 3).await;
    cluster.in_process().broker_down(1).unwrap();
    traffic.send(&cluster, 300);
    // It is gone for as long as somebody asks in vain.
    let asked = ingest_kafka::lag(&cluster.kafka(), &cluster.config().group).await;
    assert!(asked.is_err(), "{asked:?}");
    cluster.in_process().broker_up(1).unwrap();
    traffic.send(&cluster, 300);
    cluster.flush();
    traffic.settles_in(&*store).await;

    use RDKafkaRespErr::{RD_KAFKA_RESP_ERR_NOT_COORDINATOR, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT};
    cluster
        .in_process()
        .request_errors(RDKafkaApiKey::Produce, &[RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT]);
    cluster.in_process().request_errors(RDKafkaApiKey::OffsetCommit, &[RD_KAFKA_RESP_ERR_NOT_COORDINATOR]);
    traffic.send(&cluster, 300);
    cluster.flush();
    traffic.settles_in(&*store).await;
    until("all offsets are committed", async || running.lag() == Some(0)).await;
    traffic.settles_in(&*store).await;
    assert_eq!((running.stop(PATIENCE).await, running.failure()), (Drained::Finished, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_while_the_brokers_are_gone_ends_all_the_same() {
    let cluster = Cluster::mock(2);
    let store = Arc::new(MemoryStore::new());
    let mut traffic = Traffic::new(4);
    traffic.send(&cluster, 100);
    cluster.flush();
    let (running, _metrics) = cluster.join(&store).await;
    let running = running.unwrap();
    traffic.settles_in(&*store).await;
    cluster.in_process().broker_down(1).unwrap();
    let begun = Instant::now();
    assert_eq!(running.stop(PATIENCE).await, Drained::Finished);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

on_both!(what_cannot_be_read_is_quarantined_and_what_overflows_waits, 2);

async fn what_cannot_be_read_is_quarantined_and_what_overflows_waits(cluster: Cluster) {
    let store = Arc::new(Faulty::new(MemoryStore::new(), 5, 60));
    let mut traffic = Traffic::new(3);
    cluster.send(0, "a key", b"no report");
    cluster.send(1, "a key", b"");
    let mut spoilt = wire::report::encode(&traffic.report());
    traffic.truth.clear();
    spoilt.truncate(spoilt.len() - 1);
    cluster.send(1, "a key", &spoilt);
    // More than a lane holds, over a store that often fails: its partition is paused meanwhile.
    traffic.send(&cluster, 4_000);
    cluster.flush();
    let lane = LaneConfig { queue_records: 64, batch_records: 64, ..LaneConfig::default() };
    let (running, metrics) = join_as(ConsumerConfig { lane, ..cluster.config() }, Arc::clone(&store) as Arc<dyn Store>).await;
    let running = running.unwrap();
    traffic.settles_in(&*store).await;
    let rows = store.quarantined(None, 10).await.unwrap();
    let source = |partition, offset| Source { topic: cluster.topic.clone(), partition, offset, index: Source::WHOLE };
    assert_eq!(rows.iter().map(|row| row.source.clone()).collect::<Vec<_>>(), [source(0, 0), source(1, 0), source(1, 1)]);
    assert!(rows.iter().all(|row| row.reason == Reason::Undecodable && !row.detail.is_empty()));
    assert_eq!(rows.into_iter().map(|row| row.payload).collect::<Vec<_>>(), [b"no report".to_vec(), Vec::new(), spoilt]);
    until("all offsets are committed", async || running.lag() == Some(0)).await;
    assert!(metric(&metrics, "headcount_kafka_pauses_total") > 0.0);
    assert_eq!(running.stop(PATIENCE).await, Drained::Finished);
}
