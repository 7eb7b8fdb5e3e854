//! A building whose counts are watched, and what happens there. Time is virtual.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::Stream;
use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::edit::{Change, Note};
use occupancy::id::SpaceId;
use occupancy::installation::Installation;
use occupancy::ledger;
use occupancy::time::UnixMs;
use occupancy::topology::{Document, Reset};
use prometheus::Registry;
use proptest::prelude::{Strategy, any, prop};
use proptest::prop_oneof;
use query::{Counted, News, Query, Settings, Watch};
use store::{Commit, Ledgers};
use tokio::time::{Instant, sleep};

use crate::hooked::Hooked;
use crate::support::{at, campus, doorway, folded, hung, id, space, topology};

pub(crate) const NOON: &str = "2024-03-01T12:00:00Z";
pub(crate) const SPACES: [&str; 3] = ["campus", "hall", "room"];

pub(crate) struct Scene {
    pub(crate) store: Arc<Hooked>,
    pub(crate) query: Arc<Query>,
    /// Answers over what is stored, whether or not the store is in order.
    pub(crate) fresh: Query,
    pub(crate) watch: Arc<Watch>,
    /// Whether changes go unheard.
    pub(crate) deaf: AtomicBool,
}

impl Scene {
    /// A campus, a hall and a room in it, at noon of a clock that goes with virtual time.
    pub(crate) async fn new(watchers_most: u32) -> Self {
        let store = Arc::new(Hooked::default());
        let begun = Instant::now();
        let clock = Arc::new(move || at(NOON).plus_ms(i64::try_from(begun.elapsed().as_millis()).unwrap()));
        let query = Arc::new(Query::new(store.clone(), clock, Settings::default()));
        let watch = Arc::new(Watch::new(query.clone(), watchers_most, &Registry::new()).unwrap());
        let fresh = Query::new(store.inner.clone(), query.clock().clone(), Settings::default());
        let scene = Self { store, query, fresh, watch, deaf: AtomicBool::default() };
        scene.edit(topology(building())).await;
        scene
    }

    /// From now on changes go unheard, or those that did are said to.
    pub(crate) fn hear(&self, hears: bool) {
        self.deaf.store(!hears, Ordering::SeqCst);
        if hears { self.watch.complete(Instant::now()) } else { self.watch.incomplete() }
    }

    pub(crate) fn now(&self) -> UnixMs {
        (self.query.clock())()
    }

    pub(crate) async fn edit(&self, change: Change) {
        // One that is refused or changes nothing is as good a case.
        let _ = self.query.topology().edit(change, self.now(), false, |_| true).await;
    }

    /// What is made durable and what is told of a report.
    pub(crate) async fn reported(&self, dpu: &str, ago_ms: i64, sign: Option<i64>) -> (Arc<Commit>, ledger::Change) {
        let seen = self.now().plus_ms(-ago_ms);
        let key = |sign| Key { direction: Direction::try_from(sign).unwrap(), ..Key::first_at(seen) };
        let crossings: Vec<Key> = sign.map(key).into_iter().collect();
        let beat = sign.is_none().then_some(Heartbeat { at: seen, boot: 0, last_seq: 0 });
        let commit = folded(&self.store.inner, dpu, crossings, beat, self.now()).await;
        let counters = commit.ledgers[0].counters.unwrap();
        let change = ledger::Change { dpu: id(dpu), counters, from: sign.map(|_| seen) };
        (Arc::new(commit), change)
    }

    /// A DPU reports a crossing of so long ago, or that it lives.
    pub(crate) async fn report(&self, dpu: &str, ago_ms: i64, sign: Option<i64>) {
        let (commit, change) = self.reported(dpu, ago_ms, sign).await;
        self.store.commit(commit).await.unwrap();
        if !self.deaf.load(Ordering::SeqCst) {
            self.watch.changed(&[change]);
        }
    }

    pub(crate) async fn news(&self, spaces: &[&str]) -> impl Stream<Item = News> + use<> {
        let spaces: Vec<SpaceId> = spaces.iter().map(|space| id(space)).collect();
        self.watch.subscribe(&spaces).await.unwrap().into_stream()
    }

    /// Does it while the watch runs.
    pub(crate) async fn running<T>(&self, act: impl Future<Output = T>) -> T {
        tokio::select! {
            never = self.watch.run() => match never {},
            done = act => done,
        }
    }
}

pub(crate) fn building() -> Document {
    let mut document = campus();
    document.spaces.push(space("room", Some("hall")));
    document.doorways.push(doorway("inner", "hall", "room"));
    document.installations.push(hung("2", "inner", "room", "2024-01-01T00:00:00Z", None));
    document
}

pub(crate) fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// What happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// DPU, how long ago, which way; or that it lives.
    Report(bool, i64, Option<bool>),
    Correct(usize, i64, u32),
    /// DPU 2 hung over the front door since so long ago, one way or the other.
    Move(i64, bool),
    /// Daily resets at an hour, since so long ago.
    Reset(u32, i64),
    Wait(u64),
}

pub(crate) fn ago_ms() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 0..2_000i64, 2 => 0..100_000i64, 2 => 0..150_000_000i64]
}

/// Something that takes no time.
pub(crate) fn deed() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<bool>(), ago_ms(), prop::option::weighted(0.9, any::<bool>())).prop_map(|(dpu, ago, way)| Step::Report(dpu, ago, way)),
        1 => (0..SPACES.len(), ago_ms(), 0..9u32).prop_map(|(space, ago, count)| Step::Correct(space, ago, count)),
        1 => (ago_ms(), any::<bool>()).prop_map(|(ago, enters)| Step::Move(ago, enters)),
        1 => (0..24u32, ago_ms()).prop_map(|(hour, ago)| Step::Reset(hour, ago)),
    ]
}

pub(crate) fn wait() -> impl Strategy<Value = Step> {
    prop_oneof![4 => 0..300u64, 1 => 0..7_200_000u64].prop_map(Step::Wait)
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![11 => deed(), 4 => wait()]
}

pub(crate) async fn act(scene: &Scene, step: Step) {
    match step {
        Step::Report(second, ago_ms, plus) => {
            scene.report(if second { "2" } else { "1" }, ago_ms, plus.map(|plus| if plus { 1 } else { -1 })).await;
        }
        Step::Correct(place, ago_ms, count) => {
            let counted = Counted { space: id(SPACES[place]), at: Some(scene.now().plus_ms(-ago_ms)), count };
            scene.query.correct(&[counted], &Note::default(), None, false).await.unwrap();
        }
        Step::Move(ago_ms, enters) => {
            let from = scene.now().plus_ms(-ago_ms);
            let was = Installation { to: Some(from), ..hung("2", "inner", "room", "2024-01-01T00:00:00Z", None) };
            let is = Installation { from, ..hung("2", "front", if enters { "hall" } else { "outside" }, NOON, None) };
            scene.edit(Change::Installations { dpu: id("2"), list: vec![was, is] }).await;
        }
        Step::Reset(hour, ago_ms) => {
            let mut document = scene.fresh.topology().current().await.unwrap().world.document("campus").unwrap();
            let reset = Reset { space: id("campus"), from: scene.now().plus_ms(-ago_ms), at: chrono::NaiveTime::from_hms_opt(hour, 0, 0) };
            document.resets.push(reset);
            scene.edit(topology(document)).await;
        }
        Step::Wait(ms) => sleep(Duration::from_millis(ms)).await,
    }
}
