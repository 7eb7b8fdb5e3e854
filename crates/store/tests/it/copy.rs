//! Copies that are cut off at any moment, and those that must not go on.

use std::cell::Cell;
use std::sync::Arc;

use occupancy::crossing::Key;
use occupancy::ledger::{Position, Record};
use occupancy::time::UnixMs;
use store::conformance::{Lane, copy, fill, log_of};
use store::faults::Faulty;
use store::{Commit, CopyError, Copying, Edits, FjallStore, Ledgers, MemoryStore, Mismatch, Settings, StoreError};

/// Cut off again and again, between the steps of a commit and amid them, it ends with the same.
#[tokio::test]
async fn a_copy_cut_off_at_any_step_goes_on_where_it_stopped() {
    let mut cut_off = 0;
    for seed in 0..60 {
        let (source, target) = (MemoryStore::new(), Faulty::new(MemoryStore::new(), seed, 40));
        fill(&source, &log_of(seed, 3, 90)).await;
        let copying = Copying { at_once: 2, part_rows: 8, ..Copying::new(&source, &target) };
        let mut attempts = 0;
        while let Err(error) = copy(copying).await {
            assert!(matches!(error, CopyError::Store(StoreError::Unavailable(_))), "seed {seed}: {error}");
            attempts += 1;
            assert!(attempts < 1_000, "seed {seed}: it does not get on");
            target.set_percent(40_u64.saturating_sub(attempts));
        }
        cut_off += attempts;
        // What was given up on the way arrives after all.
        target.land().await.unwrap();
        let compared = copying.compare(&|mismatch| println!("seed {seed}: {mismatch}"), &|_| ()).await.unwrap();
        assert_eq!((compared.mismatches, compared.crossings), (0, 270), "seed {seed}");
    }
    assert!(cut_off > 100, "only {cut_off}");
}

/// The embedded store, left by its copier at any moment: writes under way go on by themselves.
#[tokio::test]
async fn a_copy_given_up_amid_its_writes_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let source = MemoryStore::new();
    fill(&source, &log_of(3, 4, 600)).await;
    let target = FjallStore::open(folder.path()).unwrap();
    let copying = Copying { at_once: 3, part_rows: 25, ..Copying::new(&source, &target) };
    let mut given_up = 0;
    for steps in (1_u32..).step_by(3) {
        let told = Cell::new(0);
        copying.begin("source").await.unwrap();
        let enough = std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            if told.get() > steps { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        });
        let count = |_| told.set(told.get() + 1);
        let run = tokio::select! {
            biased;
            run = copying.run(&count) => Some(run),
            () = enough => None,
        };
        if let Some(run) = run {
            run.unwrap();
            break;
        }
        given_up += 1;
    }
    assert!(given_up > 5, "only {given_up}");
    drop(target);
    let target = FjallStore::open_existing(folder.path()).unwrap();
    copy(Copying::new(&source, &target)).await.unwrap();
}

fn later(dpu: &str, ms: i64, offset: i64) -> Record {
    let position = Some(Position { epoch: 2, partition: 1, offset });
    let at = UnixMs::CLOCK_SET.plus_ms(ms);
    Record { crossings: vec![Key { boot: dpu.len() as u64, ..Key::first_at(at) }].into(), heartbeat: None, appended_at: at, position }
}

#[tokio::test]
async fn a_source_that_changes_meanwhile_is_told() {
    let (source, target) = (MemoryStore::new(), MemoryStore::new());
    fill(&source, &log_of(1, 2, 50)).await;
    let copying = Copying::new(&source, &target);
    copying.begin("source").await.unwrap();
    copying.run(&|_| ()).await.unwrap();
    Lane::default().take(&source, &[("d1".parse().unwrap(), later("d1", 5, 9_000))]).await.unwrap();
    Lane::default().take(&source, &[("d9".parse().unwrap(), later("d9", 5, 9_001))]).await.unwrap();
    let told = std::cell::RefCell::new(Vec::new());
    let compared = copying.compare(&|mismatch| told.borrow_mut().push(mismatch), &|_| ()).await.unwrap();
    let told = told.into_inner();
    assert_eq!(compared.mismatches, told.len() as u64);
    let dpu = "d1".parse().unwrap();
    assert!(told.contains(&Mismatch::Counters(dpu)) && told.contains(&Mismatch::Dpus { source: 4, target: 3 }), "{told:?}");
    let again = copying.run(&|_| ()).await.unwrap_err().to_string();
    assert!(again.starts_with("the ledger of DPU d1 was begun from another state of the source"), "{again}");
    assert_eq!(target.settings().await.unwrap().copying_from.as_deref(), Some("source"));
}

#[tokio::test]
async fn only_an_empty_target_and_a_whole_source_are_copied() {
    let (source, target) = (MemoryStore::new(), MemoryStore::new());
    fill(&source, &log_of(1, 1, 5)).await;
    let copying = Copying::new(&source, &target);
    let begin = async |copying: Copying<'_>| copying.begin("source").await.unwrap_err().to_string();

    let fed = Settings { epoch: 1, ..Settings::default() };
    assert!(target.put_settings(&Settings::default(), &fed).await.unwrap());
    assert_eq!(begin(copying).await, "the target holds positions in a log already: copy into an empty one");
    assert!(target.put_settings(&fed, &Settings::default()).await.unwrap());
    let quarantine = source.quarantined(None, 1).await.unwrap();
    target.commit(Arc::new(Commit { ledgers: Vec::new(), quarantine })).await.unwrap();
    assert_eq!(begin(copying).await, "the target holds quarantined input already: copy into an empty one");
    target.append(0, &source.since(0).await.unwrap()[1]).await.unwrap();
    assert_eq!(begin(copying).await, "the target holds edits already: copy into an empty one");
    assert_eq!(copying.run(&|_| ()).await, Err(CopyError::OtherEdit { revision: 1 }));

    let third = MemoryStore::new();
    Copying::new(&source, &third).begin("source").await.unwrap();
    assert_eq!(begin(Copying::new(&third, &target)).await, "the source is an unfinished copy of source: finish that first");
    let unfinished = third.settings().await.unwrap();
    assert!(third.put_settings(&unfinished, &fed).await.unwrap());
    assert_eq!(Copying::new(&source, &third).finish("source").await, Err(CopyError::InUse));
}
