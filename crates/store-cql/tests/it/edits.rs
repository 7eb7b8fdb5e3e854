//! Edits and settings where answers get lost, and edits too large for one write.

use engines::Proxy;
use occupancy::edit::{Change, Edit, Note};
use occupancy::installation::Installation;
use occupancy::time::UnixMs;
use occupancy::topology::{Document, Side};
use store::{AppendError, Edits, Settings};
use store_cql::{CqlOptions, CqlStore};

use crate::cluster;

fn retraction(reason: &str) -> Edit {
    let note = Note { reason: reason.to_owned(), by: None };
    Edit { made_at: UnixMs::CLOCK_SET, change: Change::Retraction { id: "c1".parse().unwrap(), note } }
}

/// A campus of so many DPUs; each takes more than 100 bytes as it is stored.
fn campus(dpus: usize) -> Edit {
    let hung = |i: usize| Installation {
        dpu: format!("west-wing-dpu-{i}").parse().unwrap(),
        from: UnixMs::CLOCK_SET.plus_ms(i64::try_from(i).unwrap()),
        to: None,
        doorway: format!("west-wing-doorway-{i}").parse().unwrap(),
        enters: Side::Outside,
    };
    let document = Document { installations: (0..dpus).map(hung).collect(), ..Document::default() };
    Edit { made_at: UnixMs::CLOCK_SET, change: Change::Topology { root: "campus".parse().unwrap(), document, allow_removal: false } }
}

/// A store through a proxy, which gives up on an answer soon; and the same keyspace without one.
async fn proxied() -> Option<(CqlStore, Proxy, CqlStore)> {
    let options = cluster::keyspace().await?;
    let proxy = Proxy::to(cluster::node()).unwrap();
    let url = format!("cql://{}/{}", proxy.address(), options.url.keyspace).parse().unwrap();
    let through = CqlOptions { timeout_ms: 2_000, ..CqlOptions::new(url) };
    Some((CqlStore::connect(&through).await.unwrap(), proxy, CqlStore::connect(&options).await.unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_whose_answer_is_lost_is_in_the_log_once() {
    let Some((store, proxy, direct)) = proxied().await else { return };
    for (revision, (requests, answers)) in [(0, 1), (1, 0), (1, 1), (0, 2)].into_iter().enumerate() {
        let (expected, edit) = (revision as u64, retraction(&format!("reason {revision}.")));
        proxy.lose(&format!("reason {revision}."), requests, answers);
        assert_eq!(store.append(expected, &edit).await, Ok(()), "{requests} requests and {answers} answers lost");
        // The second answer is that of an attempt which never has to be made, as the first is found to be in.
        assert!(proxy.left() <= answers.saturating_sub(1), "nothing was lost");
        assert_eq!(direct.since(expected).await.unwrap(), [edit]);
    }
    let late = store.append(0, &retraction("late")).await;
    assert_eq!(late, Err(AppendError::Behind { expected: 0, found: 4 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_whose_answer_is_lost_are_set_once() {
    let Some((store, proxy, direct)) = proxied().await else { return };
    let settings = |id: &str| Settings { cluster_id: Some(id.to_owned()), ..Settings::default() };
    let mut old = Settings::default();
    for (id, requests, answers) in [("first-cluster", 0, 1), ("second-cluster", 1, 0)] {
        proxy.lose(id, requests, answers);
        assert_eq!(store.put_settings(&old, &settings(id)).await, Ok(true));
        assert_eq!((proxy.left(), direct.settings().await), (0, Ok(settings(id))));
        old = settings(id);
    }
    assert_eq!(store.put_settings(&Settings::default(), &settings("third")).await, Ok(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_a_hundred_thousand_dpus_is_one_edit() {
    let Some(store) = cluster::store().await else { return };
    let (large, small) = (campus(100_000), retraction("miscounted"));
    assert!(wire::edit::encode(&large).len() > 10 << 20);
    store.append(0, &large).await.unwrap();
    store.append(1, &small).await.unwrap();
    // One that comes too late leaves nothing behind.
    let other = campus(1_000);
    assert_eq!(store.append(1, &other).await, Err(AppendError::Behind { expected: 1, found: 2 }));
    assert!(store.since(0).await.unwrap() == [large, small], "the edits differ from what was appended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_large_edits_that_race_each_gets_a_revision_of_its_own() {
    let Some(options) = cluster::keyspace().await else { return };
    let store = CqlStore::connect(&options).await.unwrap();
    let edits: Vec<Edit> = (0..3).map(|n| campus(400 + n)).collect();
    let append = async |edit: &Edit| {
        let mut revision = 0;
        loop {
            match store.append(revision, edit).await {
                Ok(()) => return revision,
                Err(AppendError::Behind { expected, found }) if found > expected => revision = found,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let (a, b, c) = tokio::join!(append(&edits[0]), append(&edits[1]), append(&edits[2]));
    let log = store.since(0).await.unwrap();
    assert_eq!(log.len(), 3);
    for (revision, edit) in [a, b, c].into_iter().zip(&edits) {
        assert!(log[usize::try_from(revision).unwrap()] == *edit);
    }
    // The parts of attempts that lost are gone.
    let session = cluster::session(&options).await;
    let writers = session.query_unpaged("SELECT DISTINCT writer FROM edit_parts", ()).await.unwrap();
    assert_eq!(writers.into_rows_result().unwrap().rows_num(), 3);
}
