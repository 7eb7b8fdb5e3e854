//! Logs that are not the one the store knows.

use std::sync::Arc;

use ingest_kafka::KafkaError;
use occupancy::few::Few;
use occupancy::ledger::{Counters, Position};
use store::{Commit, Edits, LedgerWrite, Ledgers, MemoryStore, Settings};

use crate::cluster::{Cluster, PATIENCE};

async fn refused(cluster: &Cluster, store: &Arc<MemoryStore>) -> KafkaError {
    cluster.join(store).await.0.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_log_than_the_one_in_the_store_is_refused() {
    let cluster = Cluster::mock(2);
    let store = Arc::new(MemoryStore::new());
    cluster.join(&store).await.0.unwrap().stop(PATIENCE).await;
    let settings = store.settings().await.unwrap();
    assert_eq!((settings.partitions, settings.epoch, settings.first_start_done), (Some(2), 1, true));
    cluster.join(&store).await.0.unwrap().stop(PATIENCE).await;

    let elsewhere = Cluster::mock(2);
    let error = refused(&elsewhere, &store).await;
    assert!(matches!(&error, KafkaError::OtherCluster { stored, .. } if Some(stored) == settings.cluster_id.as_ref()), "{error}");
    assert!(error.to_string().contains("headcount log new-epoch"));

    // As if the topic had had more partitions.
    let more = Settings { partitions: Some(5), ..settings.clone() };
    assert!(store.put_settings(&settings, &more).await.unwrap());
    let error = refused(&cluster, &store).await;
    assert!(matches!(error, KafkaError::OtherPartitions { stored: 5, found: 2, .. }), "{error}");
    assert!(error.to_string().contains("headcount log new-epoch"));
    assert!(store.put_settings(&more, &settings).await.unwrap());

    // As if somebody had begun to copy into it since it was opened.
    let copying = Settings { copying_from: Some("fjall:/data".to_owned()), ..settings.clone() };
    assert!(store.put_settings(&settings, &copying).await.unwrap());
    assert_eq!(refused(&cluster, &store).await, KafkaError::UnfinishedCopy("fjall:/data".to_owned()));
    assert_eq!(store.settings().await.unwrap(), copying);
    assert!(store.put_settings(&copying, &settings).await.unwrap());

    // As if a ledger had seen a record that is not there.
    let position = Some(Position { epoch: 1, partition: 1, offset: 7 });
    let counters = Some(Counters { position, stamp_us: 1, ..Counters::default() });
    let write = LedgerWrite { dpu: "d".parse().unwrap(), stamp_us: 1, openings: Vec::new(), rows: Few::default(), counters };
    store.commit(Arc::new(Commit { ledgers: vec![write], quarantine: Vec::new() })).await.unwrap();
    assert_eq!(refused(&cluster, &store).await, KafkaError::LogShorter { partition: 1, high: 0, seen: 7 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_that_went_missing_are_not_made_up() {
    let cluster = Cluster::mock(1);
    let store = Arc::new(MemoryStore::new());
    let settings = Settings { first_start_done: true, ..Settings::default() };
    assert!(store.put_settings(&Settings::default(), &settings).await.unwrap());
    let error = refused(&cluster, &store).await;
    assert_eq!(error, KafkaError::NoOffset { group: cluster.config().group, partition: Some(0) });
    assert!(error.to_string().contains("no usable offset for partition 0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_not_there_is_named() {
    let cluster = Cluster::mock(1);
    let store = Arc::new(MemoryStore::new());
    cluster.in_process().broker_down(1).unwrap();
    let error = refused(&cluster, &store).await;
    assert!(
        matches!(&error, KafkaError::Unreachable { bootstrap_servers, reason }
            if *bootstrap_servers == cluster.kafka().bootstrap_servers && reason.contains("refused")),
        "{error}"
    );
}
