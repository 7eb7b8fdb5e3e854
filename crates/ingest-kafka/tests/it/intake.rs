//! The gateway: what it takes in comes out of the consumer.

use std::collections::BTreeMap;
use std::sync::Arc;

use ingest::{Intake, IntakeError, Receipt};
use ingest_kafka::{KafkaIntake, KafkaIntakeConfig};
use store::{Ledgers, MemoryStore};
use wire::Bad;

use crate::cluster::{Cluster, PATIENCE, Traffic, metric, on_both, until};

on_both!(what_the_gateway_takes_in_is_counted_or_quarantined, 4);

async fn what_the_gateway_takes_in_is_counted_or_quarantined(cluster: Cluster) {
    let store = Arc::new(MemoryStore::new());
    let intake = KafkaIntake::new(&cluster.kafka(), KafkaIntakeConfig::default()).unwrap();
    let mut traffic = Traffic::new(4);
    let bad = |text: &str| Bad { detail: "no".to_owned(), payload: text.as_bytes().to_vec() };
    let mut reports: Vec<_> = (0..50).map(|_| Ok(traffic.report())).collect();
    reports[0].as_mut().unwrap().crossings.push(Err(bad("a bad crossing")));
    reports.push(Err(bad("a bad report")));
    assert_eq!(intake.submit(reports).await, Ok(Receipt::Queued { reports: 51 }));

    let (running, metrics) = cluster.join(&store).await;
    let running = running.unwrap();
    traffic.settles_in(&*store).await;
    until("both are quarantined", async || store.quarantined(None, 10).await.unwrap().len() == 2).await;
    let rows = store.quarantined(None, 10).await.unwrap();
    let payloads: BTreeMap<Vec<u8>, usize> = rows.into_iter().map(|row| (row.payload, 1)).collect();
    assert_eq!(payloads, BTreeMap::from([(b"a bad crossing".to_vec(), 1), (b"a bad report".to_vec(), 1)]));
    assert_eq!(metric(&metrics, "headcount_kafka_foreign_records_total"), 0.0, "every report was produced to its home");
    running.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kafka_does_not_acknowledge_in_time_is_to_be_sent_again() {
    let cluster = Cluster::mock(4);
    let mut traffic = Traffic::new(5);
    cluster.in_process().broker_down(1).unwrap();
    let impatient = KafkaIntake::new(&cluster.kafka(), KafkaIntakeConfig { timeout_ms: 300 }).unwrap();
    let refused = impatient.submit(vec![Ok(traffic.report())]).await;
    assert_eq!(refused, Err(IntakeError::Busy { waiting: 1, retry_after_s: 1 }));
}
