//! The embedded intake: receipts, refusals and stopping.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ingest::{Drained, EmbeddedConfig, EmbeddedIntake, Intake, IntakeError, LaneConfig, Metrics, QuarantinedPart, Receipt};
use occupancy::crossing::Key;
use occupancy::time::Clock;
use store::{Ledgers, Reason, StoreError};
use wire::{Bad, Report};

use crate::steered::{Steered, at, dpu, keys, plus};

fn clock() -> Clock {
    Arc::new(|| at(1_000_000))
}

async fn start(store: &Arc<Steered>, clock: Clock, config: EmbeddedConfig) -> Result<EmbeddedIntake, StoreError> {
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    EmbeddedIntake::start(config, Arc::clone(store) as Arc<dyn Ledgers>, None, clock, metrics).await
}

fn report(name: &str, crossings: &[Key]) -> Report {
    Report { dpu: dpu(name), crossings: crossings.iter().copied().map(Ok).collect(), heartbeat: None, accept_clock: false }
}

fn bad(detail: &str) -> Bad {
    Bad { detail: detail.to_owned(), payload: detail.as_bytes().to_vec() }
}

#[tokio::test]
async fn a_receipt_tells_what_became_of_every_part() {
    let store = Arc::new(Steered::new());
    let intake = start(&store, clock(), EmbeddedConfig::default()).await.unwrap();
    let mut mixed = report("a", &[plus(1), plus(2_000_000), plus(2)]);
    mixed.crossings.push(Err(bad("torn")));
    let request = || vec![Ok(mixed.clone()), Err(bad("lost")), Ok(report("b", &[plus(1), plus(1)]))];
    let Receipt::Stored { accepted, duplicate, quarantined } = intake.submit(request()).await.unwrap() else { panic!("not stored") };
    assert_eq!((accepted, duplicate), (3, 1));
    let places: Vec<_> = quarantined.iter().map(|part| (part.report, part.crossing, part.reason)).collect();
    assert_eq!(places, [(0, Some(1), Reason::ClockAhead), (0, Some(3), Reason::Undecodable), (1, None, Reason::Undecodable)]);
    let again = intake.submit(request()).await.unwrap();
    assert!(matches!(&again, Receipt::Stored { accepted: 0, duplicate: 4, quarantined } if quarantined.len() == 3));
    assert_eq!(keys(&*store, "a").await, [plus(1), plus(2)]);
    assert_eq!(store.inner.quarantined(None, 10).await.unwrap().len(), 6, "each request has rows of its own");
}

#[tokio::test]
async fn an_empty_request_is_taken_in() {
    let store = Arc::new(Steered::new());
    let intake = start(&store, clock(), EmbeddedConfig::default()).await.unwrap();
    let receipt = intake.submit(Vec::new()).await.unwrap();
    assert_eq!(receipt, Receipt::Stored { accepted: 0, duplicate: 0, quarantined: Vec::new() });
}

#[tokio::test]
async fn quarantine_rows_survive_a_clock_set_back() {
    let store = Arc::new(Steered::new());
    let now_ms = Arc::new(AtomicI64::new(1_000_000));
    for expected in 1..=3 {
        let shared = Arc::clone(&now_ms);
        let intake = start(&store, Arc::new(move || at(shared.load(Ordering::SeqCst))), EmbeddedConfig::default()).await.unwrap();
        intake.submit(vec![Err(bad("lost"))]).await.unwrap();
        assert_eq!(store.inner.quarantined(None, 10).await.unwrap().len(), expected);
        now_ms.fetch_sub(500_000, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_makes_callers_wait_and_then_try_again() {
    let store = Arc::new(Steered::new());
    let intake = start(&store, clock(), EmbeddedConfig::default()).await.unwrap();
    store.hold().await;
    let refused = intake.submit(vec![Ok(report("a", &[plus(1)]))]).await;
    assert_eq!(refused, Err(IntakeError::Busy { waiting: 1, retry_after_s: 1 }));
    store.release();
    let again = intake.submit(vec![Ok(report("a", &[plus(1)]))]).await.unwrap();
    assert!(matches!(again, Receipt::Stored { accepted: 0, duplicate: 1, .. }), "the first one was durable after all");
}

#[tokio::test(start_paused = true)]
async fn a_store_in_trouble_is_named_to_callers_and_operators() {
    let store = Arc::new(Steered::new());
    let intake = start(&store, clock(), EmbeddedConfig::default()).await.unwrap();
    assert_eq!(intake.trouble(), None);
    store.failing.store(u32::MAX, Ordering::SeqCst);
    let refused = intake.submit(vec![Ok(report("a", &[plus(1)]))]).await;
    assert_eq!(refused, Err(IntakeError::Unavailable { why: "on purpose".to_owned(), retry_after_s: 1 }));
    assert_eq!(intake.trouble().as_deref(), Some("on purpose"));
    store.failing.store(0, Ordering::SeqCst);
    intake.submit(vec![Ok(report("a", &[plus(1)]))]).await.unwrap();
    assert_eq!(intake.trouble(), None, "it answers again");
}

#[tokio::test]
async fn a_store_that_halted_is_told_at_once_and_ends_the_wait_for_it() {
    let store = Arc::new(Steered::new());
    let intake = start(&store, clock(), EmbeddedConfig::default()).await.unwrap();
    store.halted.store(true, Ordering::SeqCst);
    intake.submit(vec![Ok(report("a", &[plus(1)]))]).await.unwrap_err();
    assert_eq!(intake.halted().await, StoreError::Halted("on purpose".to_owned()));
    let refused = intake.submit(vec![Ok(report("a", &[plus(1)]))]).await;
    assert!(matches!(refused, Err(IntakeError::Unavailable { .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_soon() {
    let store = Arc::new(Steered::new());
    let lane = LaneConfig { queue_records: 1, batch_records: 1, ..LaneConfig::default() };
    let intake = Arc::new(start(&store, clock(), EmbeddedConfig { lanes: 1, lane, ..EmbeddedConfig::default() }).await.unwrap());
    store.hold().await;
    let mut posts = tokio::task::JoinSet::new();
    for i in 0..4 {
        let intake = Arc::clone(&intake);
        posts.spawn(async move {
            (tokio::time::Instant::now(), intake.submit(vec![Ok(report("a", &[plus(i)]))]).await, tokio::time::Instant::now())
        });
    }
    let mut soon = 0;
    while let Some(post) = posts.join_next().await {
        let (began, answer, ended) = post.unwrap();
        assert!(matches!(answer, Err(IntakeError::Busy { .. })));
        soon += u32::from(ended - began < Duration::from_secs(1));
    }
    assert_eq!(soon, 2, "one was being committed, one queued, two found no room");
}

#[tokio::test]
async fn stopping_finishes_what_is_queued_and_refuses_the_rest() {
    let store = Arc::new(Steered::new());
    let intake = Arc::new(start(&store, clock(), EmbeddedConfig::default()).await.unwrap());
    let mut posts = tokio::task::JoinSet::new();
    for i in 0..50 {
        let intake = Arc::clone(&intake);
        posts.spawn(async move { (i, intake.submit(vec![Ok(report("a", &[plus(i)]))]).await) });
    }
    tokio::task::yield_now().await;
    assert_eq!(intake.stop(Duration::from_secs(10)).await, Drained::Finished);
    let mut told = BTreeMap::new();
    while let Some(post) = posts.join_next().await {
        let (i, answer) = post.unwrap();
        told.insert(i, answer);
    }
    let stored = keys(&*store, "a").await;
    for (i, answer) in told {
        match answer {
            Ok(_) => assert!(stored.contains(&plus(i)), "acknowledged and gone: {i}"),
            Err(error) => assert_eq!(error, IntakeError::Stopping),
        }
    }
    assert_eq!(intake.submit(vec![Ok(report("a", &[plus(1)]))]).await, Err(IntakeError::Stopping));
}

#[tokio::test]
async fn a_corrupt_store_is_named() {
    let store = Arc::new(Steered::new());
    let intake = start(&store, clock(), EmbeddedConfig::default()).await.unwrap();
    store.corrupt.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let refused = intake.submit(vec![Ok(report("a", &[plus(1)]))]).await;
        assert!(matches!(&refused, Err(IntakeError::Failed(why)) if why.contains("on purpose")), "{refused:?}");
    }
    assert!(intake.failure().is_some());
}

#[tokio::test]
async fn details_are_the_ones_in_the_quarantine() {
    let store = Arc::new(Steered::new());
    let intake = start(&store, clock(), EmbeddedConfig::default()).await.unwrap();
    let Receipt::Stored { quarantined, .. } = intake.submit(vec![Err(bad("lost"))]).await.unwrap() else { panic!("not stored") };
    let part = QuarantinedPart { report: 0, crossing: None, reason: Reason::Undecodable, detail: "lost".to_owned() };
    assert_eq!(quarantined, [part]);
    let row = store.inner.quarantined(None, 10).await.unwrap().remove(0);
    assert_eq!((row.source.topic.as_str(), row.payload.as_slice(), row.received_at), ("http", b"lost".as_slice(), at(1_000_000)));
}
