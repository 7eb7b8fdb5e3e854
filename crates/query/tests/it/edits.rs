//! Edits: whole or not at all, of two that race one is told, a dry run writes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use occupancy::edit::{Change, Edit};
use occupancy::topology::{Document, Reset};
use query::{EditFailed, FRESH, Query, QueryError, Settings as Answers, Shift, Topology};
use store::{AppendError, Edits, MemoryStore, Settings, StoreError};

use crate::support::{NOW, at, campus, edit, hung, id, key, query, space, take, topology};

/// Lets others go first between reading and appending; may be out of order.
#[derive(Default)]
struct Slow {
    store: Arc<MemoryStore>,
    broken: AtomicBool,
}

impl Slow {
    fn over(store: &Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self { store: store.clone(), broken: AtomicBool::default() })
    }
}

#[async_trait]
impl Edits for Slow {
    async fn since(&self, revision: u64) -> Result<Vec<Edit>, StoreError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("out of order".to_owned()));
        }
        self.store.since(revision).await
    }
    async fn append(&self, expected: u64, edit: &Edit) -> Result<(), AppendError> {
        tokio::task::yield_now().await;
        self.store.append(expected, edit).await
    }
    async fn settings(&self) -> Result<Settings, StoreError> {
        self.store.settings().await
    }
    async fn put_settings(&self, expected: &Settings, new: &Settings) -> Result<bool, StoreError> {
        self.store.put_settings(expected, new).await
    }
}

#[tokio::test]
async fn of_two_edits_of_the_same_revision_one_is_told() {
    let store = Arc::new(MemoryStore::new());
    // Two processes over one store.
    let (a, b) = (Topology::new(Slow::over(&store)), Topology::new(Slow::over(&store)));
    a.edit(topology(campus()), at(NOW), false, |_| true).await.unwrap();
    for round in 0..20u64 {
        let read = a.current().await.unwrap();
        let with = |name: &str| {
            let mut document = read.world.document("campus").unwrap();
            document.spaces.push(space(&format!("{name}{round}"), Some("campus")));
            topology(document)
        };
        let holds = |world: &occupancy::world::World| world.document("campus") == read.world.document("campus");
        let (first, second) = tokio::join!(a.edit(with("a"), at(NOW), false, holds), b.edit(with("b"), at(NOW), false, holds));
        let failed: Vec<_> = [first, second].into_iter().filter_map(Result::err).collect();
        assert_eq!(failed, [EditFailed::Stale], "round {round}");
        assert_eq!(b.current().await.unwrap().revision, round + 2);
    }
}

#[tokio::test]
async fn an_edit_that_another_one_overtook_is_made_after_it() {
    let store = Arc::new(MemoryStore::new());
    let (a, b) = (Topology::new(Slow::over(&store)), Topology::new(Slow::over(&store)));
    a.edit(topology(campus()), at(NOW), false, |_| true).await.unwrap();
    let hang = |dpu: &str| Change::Installations { dpu: id(dpu), list: vec![hung(dpu, "side", "hall", NOW, None)] };
    let (first, second) = tokio::join!(a.edit(hang("2"), at(NOW), false, |_| true), b.edit(hang("3"), at(NOW), false, |_| true));
    let mut revisions = [first.unwrap().after.revision, second.unwrap().after.revision];
    revisions.sort_unstable();
    assert_eq!(revisions, [2, 3]);
    let world = Topology::new(store).current().await.unwrap().world;
    assert_eq!(world.over("side").count(), 2);
}

#[tokio::test]
async fn a_dry_run_names_what_would_change_and_writes_nothing() {
    let store = Arc::new(MemoryStore::new());
    let query = query(&store, at(NOW));
    edit(&query, topology(campus())).await;
    let flipped = Change::Installations { dpu: id("1"), list: vec![hung("1", "front", "outside", "2024-01-01T00:00:00Z", None)] };
    take(&store, "1", vec![key("2024-02-01T00:00:00Z", 1)], None, at(NOW)).await;
    let edited = query.topology().edit(flipped, at(NOW), true, |_| true).await.unwrap();
    let shift = |space| Shift { space: id(space), from: at("2024-01-01T00:00:00Z"), now: Some([1, -1]) };
    assert_eq!(query.shifts(&edited).await.unwrap(), [shift("campus"), shift("hall")]);
    let told = edited.effect;
    assert_eq!((told.installations.changed.len(), told.installations.added.len(), told.installations.removed.len()), (1, 0, 0));
    assert_eq!(told.past.into_keys().collect::<Vec<_>>(), [id("campus"), id("hall")]);
    assert_eq!(store.since(0).await.unwrap().len(), 1);

    let renewed = vec![hung("1", "front", "hall", "2024-01-01T00:00:00Z", Some(NOW)), hung("1", "front", "outside", NOW, None)];
    let told = query.topology().edit(Change::Installations { dpu: id("1"), list: renewed }, at(NOW), true, |_| true).await.unwrap();
    assert_eq!(told.effect.past, [].into(), "an edit from now on leaves the past alone");

    let reset = |from: &str| {
        let mut document = campus();
        document.resets = vec![Reset { space: id("hall"), from: at(from), at: "04:00:00".parse().ok() }];
        topology(document)
    };
    let told = query.topology().edit(reset("2024-03-01T12:00:00.001Z"), at(NOW), true, |_| true).await.unwrap().effect;
    assert_eq!((told.resets.added.len(), told.past), (1, [].into()));
    let told = query.topology().edit(reset("2024-02-01T00:00:00Z"), at(NOW), true, |_| true).await.unwrap().effect;
    assert_eq!(told.past, [(id("hall"), at("2024-02-01T00:00:00Z"))].into(), "the campus keeps to its own resets");

    let mut deeper = campus();
    deeper.spaces.push(space("wing", Some("campus")));
    deeper.spaces[1].parent = Some(id("wing"));
    let told = query.topology().edit(topology(deeper), at(NOW), true, |_| true).await.unwrap().effect;
    assert_eq!((told.spaces.added.len(), told.spaces.changed.len()), (1, 1));
    assert_eq!(told.past, [].into(), "a floor in between changes no boundary of old");
}

#[tokio::test]
async fn the_past_changes_from_the_first_instant_that_is_told_otherwise() {
    let store = Arc::new(MemoryStore::new());
    let query = query(&store, at(NOW));
    let mut document = campus();
    document.resets = vec![Reset { space: id("campus"), from: at("2024-01-10T00:00:00Z"), at: "04:00:00".parse().ok() }];
    edit(&query, topology(document.clone())).await;
    let january = "2024-01-01T00:00:00Z";
    let list = |parts: &[(&str, &str, &str, Option<&str>)]| {
        let hung = parts.iter().map(|(doorway, enters, from, to)| hung("1", doorway, enters, from, *to));
        Change::Installations { dpu: id("1"), list: hung.collect() }
    };
    let (feb, march) = ("2024-02-01T00:00:00Z", "2024-02-20T00:00:00Z");
    for (change, expected) in [
        (list(&[("front", "hall", january, Some(feb))]), vec![("campus", feb), ("hall", feb)]),
        (list(&[("front", "hall", january, Some(feb)), ("front", "outside", feb, None)]), vec![("campus", feb), ("hall", feb)]),
        (list(&[("front", "hall", january, Some(march)), ("side", "hall", march, None)]), vec![("campus", march), ("hall", march)]),
        (list(&[("front", "hall", feb, None)]), vec![("campus", january), ("hall", january)]),
        (list(&[]), vec![("campus", january), ("hall", january)]),
    ] {
        let told = query.topology().edit(change.clone(), at(NOW), true, |_| true).await.unwrap().effect.past;
        assert_eq!(told, expected.into_iter().map(|(space, from)| (id(space), at(from))).collect(), "{change:?}");
    }
    let reset = |zone: Option<&str>, more: &[(&str, Option<&str>)]| {
        let mut document = document.clone();
        document.spaces[0].time_zone = zone.map(|zone| zone.parse().unwrap());
        let entry =
            |(from, time): &(&str, Option<&str>)| Reset { space: id("campus"), from: at(from), at: time.map(|time| time.parse().unwrap()) };
        document.resets.extend(more.iter().map(entry));
        topology(document)
    };
    for (change, from) in [
        (reset(None, &[(feb, None)]), feb),
        (reset(None, &[(january, Some("05:00:00"))]), january),
        (reset(Some("Asia/Kolkata"), &[(feb, None)]), "2024-01-10T00:00:00Z"),
    ] {
        let told = query.topology().edit(change.clone(), at(NOW), true, |_| true).await.unwrap().effect.past;
        assert_eq!(told, [(id("campus"), at(from)), (id("hall"), at(from))].into(), "{change:?}");
    }
}

#[tokio::test]
async fn an_edit_that_changes_nothing_is_not_written_and_a_refused_one_leaves_the_world_alone() {
    let store = Arc::new(MemoryStore::new());
    let query = query(&store, at(NOW));
    edit(&query, topology(campus())).await;
    edit(&query, topology(campus())).await;
    assert_eq!(query.topology().current().await.unwrap().revision, 1);
    let refused = query.topology().edit(topology(Document::default()), at(NOW), false, |_| true).await.unwrap_err();
    assert!(matches!(refused, EditFailed::Refused(_)), "{refused}");
    assert_eq!(query.topology().current().await.unwrap().world.document("campus"), Some(campus()));
}

#[tokio::test]
async fn a_stored_edit_that_cannot_be_made_is_told_as_such() {
    let store = Arc::new(MemoryStore::new());
    let edit = Edit { made_at: at(NOW), change: topology(Document::default()) };
    store.append(0, &edit).await.unwrap();
    let error = Topology::new(store).current().await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(why) if why.contains("edit 1 cannot be made")), "{error}");
}

/// Polls `following` for so long while time flies.
async fn for_ms(ms: u64, following: impl Future) {
    assert!(tokio::time::timeout(Duration::from_millis(ms), following).await.is_err(), "it follows for good");
}

#[tokio::test(start_paused = true)]
async fn a_world_that_is_followed_is_at_hand_until_the_store_does_not_answer_any_more() {
    let store = Arc::new(MemoryStore::new());
    let slow = Slow::over(&store);
    let (here, there) = (Topology::new(slow.clone()), Topology::new(store));
    there.edit(topology(campus()), at(NOW), false, |_| true).await.unwrap();
    assert_eq!(here.recent().await.unwrap().revision, 1, "not followed: asked");
    let hang = |dpu: &str| Change::Installations { dpu: id(dpu), list: vec![hung(dpu, "side", "hall", NOW, None)] };
    for_ms(10, here.follow()).await;
    there.edit(hang("2"), at(NOW), false, |_| true).await.unwrap();
    assert_eq!((here.recent().await.unwrap().revision, here.current().await.unwrap().revision), (1, 2));
    there.edit(hang("3"), at(NOW), false, |_| true).await.unwrap();
    for_ms(110, here.follow()).await;
    assert_eq!(here.recent().await.unwrap().revision, 3);
    assert_eq!(here.edit(hang("4"), at(NOW), false, |_| true).await.unwrap().after.revision, 4);
    assert_eq!(here.recent().await.unwrap().revision, 4, "its own edits count at once");

    slow.broken.store(true, Ordering::SeqCst);
    for_ms(500, here.follow()).await;
    assert_eq!(here.recent().await.unwrap().revision, 4);
    for_ms(FRESH.as_millis().try_into().unwrap(), here.follow()).await;
    assert_eq!(here.recent().await.unwrap_err(), StoreError::Unavailable("out of order".to_owned()));
    slow.broken.store(false, Ordering::SeqCst);
    for_ms(110, here.follow()).await;
    slow.broken.store(true, Ordering::SeqCst);
    assert_eq!(here.recent().await.unwrap().revision, 4);
}

#[tokio::test(start_paused = true)]
async fn a_space_that_another_process_has_just_made_can_be_counted() {
    let store = Arc::new(MemoryStore::new());
    let here = Query::new(store.clone(), Arc::new(|| at(NOW)), Answers::default());
    for_ms(10, here.topology().follow()).await;
    let hall = id("hall");
    assert_eq!(here.count(&hall, None).await.unwrap_err(), QueryError::UnknownSpace("hall".to_owned()));
    Topology::new(store).edit(topology(campus()), at(NOW), false, |_| true).await.unwrap();
    assert_eq!(here.topology().recent().await.unwrap().revision, 0);
    assert_eq!(here.count(&hall, None).await.unwrap().raw, 0);
}
