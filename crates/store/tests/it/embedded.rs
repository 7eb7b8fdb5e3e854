//! The embedded store's folder: opening, refusing, recovering; and a volume that is almost full.

use std::fs;
use std::path::Path;

use occupancy::crossing::Key;
use occupancy::ledger::{Record, Totals};
use occupancy::time::UnixMs;
use store::conformance::{Lane, ledger};
use store::{Edits, FORMAT, FjallStore, Ledgers, OpenError, Options, Settings, Store, StoreError};
use tempfile::TempDir;

fn error(path: &Path) -> OpenError {
    FjallStore::open_existing(path).unwrap_err()
}

async fn put_one(store: &FjallStore) -> Result<(), StoreError> {
    let record = Record {
        crossings: vec![Key::first_at(UnixMs::CLOCK_SET)].into(),
        heartbeat: None,
        appended_at: UnixMs::CLOCK_SET,
        position: None,
    };
    Lane::default().take(store, &[("d1".parse().unwrap(), record)]).await
}

#[test]
fn a_store_that_is_open_says_whom_to_ask() {
    let folder = TempDir::new().unwrap();
    let store = FjallStore::open(folder.path()).unwrap();
    let refused = error(folder.path());
    assert!(matches!(refused, OpenError::Locked { .. }));
    assert!(refused.to_string().ends_with("stop that process, or ask it over HTTP"), "{refused}");
    drop(store);
    FjallStore::open_existing(folder.path()).unwrap();
}

#[test]
fn nothing_is_created_where_a_store_must_exist() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("no/such");
    assert!(matches!(error(&path), OpenError::Missing { .. }));
    assert!(matches!(error(folder.path()), OpenError::Missing { .. }));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    FjallStore::open(&path).unwrap();
    FjallStore::open_existing(&path).unwrap();
}

#[test]
fn another_folder_is_left_alone() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let refused = FjallStore::open(folder.path()).unwrap_err();
    assert!(matches!(&refused, OpenError::NotAStore { holds, .. } if holds == "notes.txt"), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let file = FjallStore::open(folder.path().join("notes.txt")).unwrap_err();
    assert!(matches!(file, OpenError::NotAStore { .. }), "{file}");
    fs::write(folder.path().join("FORMAT"), "tar 1").unwrap();
    assert!(matches!(error(folder.path()), OpenError::NotAStore { .. }));
}

#[test]
fn other_formats_are_refused_with_their_numbers() {
    let folder = TempDir::new().unwrap();
    drop(FjallStore::open(folder.path()).unwrap());
    let marker = folder.path().join("FORMAT");
    assert_eq!(fs::read_to_string(&marker).unwrap(), format!("headcount store format {FORMAT}\n"));
    fs::write(&marker, "headcount store format 77\n").unwrap();
    assert!(matches!(error(folder.path()), OpenError::NewerFormat { found: 77, known: FORMAT, .. }));
    fs::write(&marker, "headcount store format 0\n").unwrap();
    assert!(matches!(error(folder.path()), OpenError::OlderFormat { found: 0, known: FORMAT, .. }));
}

#[tokio::test]
async fn a_folder_whose_creation_was_cut_short_is_created_again() {
    let whole = TempDir::new().unwrap();
    drop(FjallStore::open(whole.path()).unwrap());
    // Each state a crash can leave, in the order things are written.
    for step in 0..4 {
        let folder = TempDir::new().unwrap();
        let path = folder.path();
        fs::write(path.join("lock"), "").unwrap();
        if step >= 1 {
            fs::write(path.join("FORMAT.draft"), "headc").unwrap();
        }
        if step >= 2 {
            fs::copy(whole.path().join("FORMAT"), path.join("FORMAT")).unwrap();
        }
        if step >= 3 {
            fs::create_dir_all(path.join("db/keyspaces")).unwrap();
            fs::write(path.join("db/0.jnl"), "").unwrap();
            fs::write(path.join("db/lock"), "").unwrap();
        }
        let store = FjallStore::open(path).unwrap();
        put_one(&store).await.unwrap();
        drop(store);
        let store = FjallStore::open_existing(path).unwrap();
        assert_eq!(store.dpus(None, 9).await.unwrap().len(), 1, "step {step}");
    }
}

#[test]
fn a_damaged_database_is_not_taken_for_an_empty_one() {
    let folder = TempDir::new().unwrap();
    drop(FjallStore::open(folder.path()).unwrap());
    let version = folder.path().join("db/version");
    fs::write(&version, "garbage").unwrap();
    assert!(matches!(error(folder.path()), OpenError::Damaged { .. }));
    fs::remove_file(&version).unwrap();
    assert!(matches!(error(folder.path()), OpenError::Damaged { .. }));
    assert!(folder.path().join("db/keyspaces/1").exists());
}

#[tokio::test]
async fn an_almost_full_volume_refuses_writes_and_spoils_nothing() {
    let folder = TempDir::new().unwrap();
    let store = FjallStore::open(folder.path()).unwrap();
    put_one(&store).await.unwrap();
    let before = ledger(&store, &"d1".parse().unwrap()).await;
    drop(store);
    let store = FjallStore::open_with(folder.path(), &Options { reserve_bytes: u64::MAX, ..Options::default() }).unwrap();
    let Err(StoreError::Unavailable(why)) = put_one(&store).await else { panic!("written") };
    assert!(why.starts_with("only ") && why.contains("MiB free on the volume of ") && why.ends_with("free some space"), "{why}");
    let new = Settings { epoch: 1, ..Settings::default() };
    assert!(matches!(store.put_settings(&Settings::default(), &new).await, Err(StoreError::Unavailable(_))));
    assert_eq!(ledger(&store, &"d1".parse().unwrap()).await, before);
    assert_eq!(store.totals(&[("d1".parse().unwrap(), UnixMs::MAX)]).await, Ok(vec![Totals { entered: 0, exited: 1 }]));
    drop(store);
    let store = FjallStore::open(folder.path()).unwrap();
    put_one(&store).await.unwrap();
    assert_eq!(store.put_settings(&Settings::default(), &new).await, Ok(true));
}

#[tokio::test]
async fn the_size_on_disk_grows_with_what_is_stored() {
    let folder = TempDir::new().unwrap();
    let store = FjallStore::open(folder.path()).unwrap();
    let empty = store.size_bytes().unwrap();
    let crossings = (0..20_000).map(|ms| Key::first_at(UnixMs::CLOCK_SET.plus_ms(ms))).collect();
    let record = Record { crossings, heartbeat: None, appended_at: UnixMs::CLOCK_SET, position: None };
    Lane::default().take(&store, &[("d1".parse().unwrap(), record)]).await.unwrap();
    let grown = store.size_bytes().unwrap();
    assert!(empty < 1 << 20 && grown > empty + 15_000, "{empty} {grown}");
}
