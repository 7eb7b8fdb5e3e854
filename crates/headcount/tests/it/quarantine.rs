//! What was kept out is taken in by command, as far as it can be.

use std::sync::Arc;

use occupancy::time::UnixMs;
use store::{Commit, FjallStore, Ledgers, Quarantined, Reason, Source};

use crate::program::{Served, run};

/// What an older program could not read: each fifth still cannot be read, each seventh is as large as a request may be.
fn row(i: i64) -> Quarantined {
    let seen = UnixMs::CLOCK_SET.plus_ms(i);
    let pad = if i % 7 == 0 { "x".repeat(1_000_000) } else { String::new() };
    let direction = if i % 5 == 0 { 5 } else { 1 };
    let payload = format!(r#"{{"dpu_id":"1","crossings":[{{"at":"{seen}","direction":{direction}}}],"pad":"{pad}"}}"#);
    Quarantined {
        source: Source { topic: "http".to_owned(), partition: 0, offset: i, index: Source::WHOLE },
        reason: Reason::Undecodable,
        detail: "an older program did not understand it".to_owned(),
        dpu: None,
        received_at: seen,
        payload: payload.into_bytes(),
        replayed_at: None,
    }
}

#[tokio::test]
async fn what_can_be_taken_in_is_and_what_stays_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = FjallStore::open(folder.path()).unwrap();
    store.commit(Arc::new(Commit { ledgers: Vec::new(), quarantine: (0..100).map(row).collect() })).await.unwrap();
    drop(store);
    // Fewer than it takes: who is told to wait does.
    let served = Served::over(folder.path(), &["--requests-per-second", "20"]);
    let replay = |by: &[&str]| run(&[&["quarantine", "replay"], by, &["--server", &served.url]].concat());
    let (status, out, err) = replay(&["--reason", "undecodable"]);
    let told = "80 rows replayed: 80 crossings new, 0 known already, 0 kept out again; 20 stay in quarantine\n";
    assert_eq!((status, out.as_str()), (Some(1), told), "{err}");
    let stay: Vec<String> =
        (0..100).step_by(5).map(|i| format!("http/0/{i}: it still cannot be read: a direction is 1 or -1, not 5")).collect();
    assert_eq!(err.lines().collect::<Vec<_>>(), stay);
    let (status, out, err) = replay(&["http/0/1", "http/0/5", "http/0/2"]);
    let told = "2 rows replayed: 0 crossings new, 2 known already, 0 kept out again; 1 stay in quarantine\n";
    assert_eq!((status, out.as_str(), err.trim()), (Some(1), told, stay[1].as_str()));
    let (status, out, err) = replay(&["http/0/1", "http/0/1000"]);
    assert!(
        status == Some(1) && out.starts_with("0 rows replayed") && err.contains("nothing in quarantine from http/0/1000"),
        "{out}{err}"
    );
    assert_eq!(served.stop(), Some(0));
}
