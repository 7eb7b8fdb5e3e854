//! Counts as they change: whatever happens, the last count told of a space is its count, and one who reads again what is
//! told to have changed knows the past as it is. Time is virtual.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use occupancy::baseline::Kind;
use occupancy::count::Count;
use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::edit::{Change, Note};
use occupancy::id::SpaceId;
use occupancy::installation::Installation;
use occupancy::ledger;
use occupancy::time::UnixMs;
use occupancy::topology::{Document, Reset};
use prometheus::Registry;
use proptest::prelude::{ProptestConfig, Strategy, any, prop, proptest};
use proptest::prop_oneof;
use query::{Counted, LATE_MS, News, Query, Settings, TELL_EVERY, Watch, WatchFailed};
use store::{Commit, Edits, Ledgers};
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep};

use crate::hooked::Hooked;
use crate::support::{at, campus, doorway, folded, hung, id, space, topology};

const NOON: &str = "2024-03-01T12:00:00Z";
const SPACES: [&str; 3] = ["campus", "hall", "room"];

pub(crate) struct Scene {
    pub(crate) store: Arc<Hooked>,
    pub(crate) query: Arc<Query>,
    pub(crate) watch: Arc<Watch>,
}

impl Scene {
    /// A campus, a hall and a room in it, at noon of a clock that goes with virtual time.
    pub(crate) async fn new(watchers_most: u32) -> Self {
        let store = Arc::new(Hooked::default());
        let begun = Instant::now();
        let clock = Arc::new(move || at(NOON).plus_ms(i64::try_from(begun.elapsed().as_millis()).unwrap()));
        let query = Arc::new(Query::new(store.clone(), clock, Settings::default()));
        let watch = Arc::new(Watch::new(query.clone(), watchers_most, &Registry::new()).unwrap());
        let scene = Self { store, query, watch };
        scene.edit(topology(building())).await;
        scene
    }

    pub(crate) fn now(&self) -> UnixMs {
        (self.query.clock())()
    }

    async fn edit(&self, change: Change) {
        // One that is refused or changes nothing is as good a case.
        let _ = self.query.topology().edit(change, self.now(), false, |_| true).await;
    }

    /// What is made durable and what is told of a report.
    pub(crate) async fn reported(&self, dpu: &str, ago_ms: i64, sign: Option<i64>) -> (Arc<Commit>, ledger::Change) {
        let seen = self.now().plus_ms(-ago_ms);
        let key = |sign| Key { direction: Direction::try_from(sign).unwrap(), ..Key::first_at(seen) };
        let crossings: Vec<Key> = sign.map(key).into_iter().collect();
        let beat = sign.is_none().then_some(Heartbeat { at: seen, boot: 0, last_seq: 0 });
        let commit = folded(&self.store, dpu, crossings, beat, self.now()).await;
        let counters = commit.ledgers[0].counters.unwrap();
        let change = ledger::Change { dpu: id(dpu), counters, from: sign.map(|_| seen) };
        (Arc::new(commit), change)
    }

    /// A DPU reports a crossing of so long ago, or that it lives.
    async fn report(&self, dpu: &str, ago_ms: i64, sign: Option<i64>) {
        let (commit, change) = self.reported(dpu, ago_ms, sign).await;
        self.store.commit(commit).await.unwrap();
        self.watch.changed(&[change]);
    }

    async fn news(&self, spaces: &[&str]) -> impl Stream<Item = News> + use<> {
        let spaces: Vec<SpaceId> = spaces.iter().map(|space| id(space)).collect();
        self.watch.subscribe(&spaces).await.unwrap().into_stream()
    }

    /// Does it while the watch runs.
    async fn running<T>(&self, act: impl Future<Output = T>) -> T {
        tokio::select! {
            never = self.watch.run() => match never {},
            done = act => done,
        }
    }
}

fn building() -> Document {
    let mut document = campus();
    document.spaces.push(space("room", Some("hall")));
    document.doorways.push(doorway("inner", "hall", "room"));
    document.installations.push(hung("2", "inner", "room", "2024-01-01T00:00:00Z", None));
    document
}

pub(crate) fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// What one who watches knows: the count of each space, and raw counts of past instants, read again where they are said to
/// have changed.
#[derive(Default)]
struct Known {
    counts: BTreeMap<SpaceId, Arc<Count>>,
    past: BTreeMap<(SpaceId, UnixMs), i64>,
}

impl Known {
    async fn read(&mut self, query: &Query, space: &SpaceId, from: UnixMs) {
        // Six days before noon and two after, in unequal steps.
        for ms in (0..30).flat_map(|n| [-(1 << n), 1 << n]) {
            let instant = at(NOON).plus_ms(ms);
            // The last moments are the present.
            if instant >= from && instant < (query.clock())().plus_ms(-LATE_MS) {
                let raw = query.count(space, Some(instant)).await.unwrap().raw;
                self.past.insert((space.clone(), instant), raw);
            }
        }
    }

    async fn hear(&mut self, query: &Query, news: News) {
        match news {
            News::Count(count) => {
                let last = self.counts.insert(count.space.clone(), count.clone());
                assert!(last.is_none_or(|last| last.at <= count.at), "told of the past: {count:?}");
            }
            News::Revised { space, from } => self.read(query, &space, from).await,
            other => panic!("{other:?}"),
        }
    }

    /// Hears what is to be heard now.
    async fn catch_up(&mut self, query: &Query, news: &mut (impl Stream<Item = News> + Unpin)) {
        // The runtime's own fairness would have it that there is nothing, after so many reads at once.
        while let Some(news) = unconstrained(news.next()).now_or_never() {
            self.hear(query, news.expect("it goes on")).await;
        }
    }

    async fn holds(&self, query: &Query) {
        for (space, told) in &self.counts {
            assert_eq!(**told, query.count(space, Some(told.at)).await.unwrap(), "asked for the instant of what was told last");
            let now = query.count(space, None).await.unwrap();
            assert_eq!((told.raw, &told.baseline, &told.silent), (now.raw, &now.baseline, &now.silent), "{space} now");
        }
        for ((space, instant), known) in &self.past {
            assert_eq!(*known, query.count(space, Some(*instant)).await.unwrap().raw, "{space} at {instant}");
        }
    }
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

fn ago_ms() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 0..2_000i64, 2 => 0..100_000i64, 2 => 0..150_000_000i64]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<bool>(), ago_ms(), prop::option::weighted(0.9, any::<bool>())).prop_map(|(dpu, ago, way)| Step::Report(dpu, ago, way)),
        1 => (0..SPACES.len(), ago_ms(), 0..9u32).prop_map(|(space, ago, count)| Step::Correct(space, ago, count)),
        1 => (ago_ms(), any::<bool>()).prop_map(|(ago, enters)| Step::Move(ago, enters)),
        1 => (0..24u32, ago_ms()).prop_map(|(hour, ago)| Step::Reset(hour, ago)),
        4 => prop_oneof![4 => 0..300u64, 1 => 0..7_200_000u64].prop_map(Step::Wait),
    ]
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
            let mut document = scene.query.topology().current().await.unwrap().world.document("campus").unwrap();
            let reset = Reset { space: id("campus"), from: scene.now().plus_ms(-ago_ms), at: chrono::NaiveTime::from_hms_opt(hour, 0, 0) };
            document.resets.push(reset);
            scene.edit(topology(document)).await;
        }
        Step::Wait(ms) => sleep(Duration::from_millis(ms)).await,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn live_equals_history(steps in prop::collection::vec(step(), 1..30)) {
        paused().block_on(async {
            let scene = Scene::new(9).await;
            scene.running(async {
                let (mut listens, mut sleeps) = (pin!(scene.news(&SPACES).await), pin!(scene.news(&SPACES).await));
                let [mut listener, mut sleeper] = [Known::default(), Known::default()];
                for space in SPACES {
                    listener.read(&scene.query, &id(space), UnixMs::MIN).await;
                    sleeper.read(&scene.query, &id(space), UnixMs::MIN).await;
                }
                for step in steps {
                    act(&scene, step).await;
                    listener.catch_up(&scene.query, &mut listens).await;
                }
                // Until nothing is late and all is told.
                sleep(Duration::from_millis(LATE_MS as u64 + 500)).await;
                listener.catch_up(&scene.query, &mut listens).await;
                sleeper.catch_up(&scene.query, &mut sleeps).await;
                listener.holds(&scene.query).await;
                sleeper.holds(&scene.query).await;
            }).await;
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_space_is_told_ten_times_a_second_and_ends_as_it_is() {
    let scene = Scene::new(9).await;
    scene
        .running(async {
            let (mut listens, mut sleeps) = (pin!(scene.news(&["hall"]).await), pin!(scene.news(&["hall"]).await));
            let begun = Instant::now();
            let mut told = Vec::new();
            for _ in 0..1_000 {
                scene.report("1", 0, Some(1)).await;
                sleep(Duration::from_millis(3)).await;
                told.extend(std::iter::from_fn(|| listens.next().now_or_never().flatten()).map(|news| (begun.elapsed(), news)));
            }
            sleep(TELL_EVERY).await;
            told.extend(std::iter::from_fn(|| listens.next().now_or_never().flatten()).map(|news| (begun.elapsed(), news)));
            assert!((25..=33).contains(&told.len()), "{} in 3 s", told.len());
            // The first is what was there when it came.
            assert!(told[1..].windows(2).all(|two| two[1].0 - two[0].0 >= TELL_EVERY - Duration::from_millis(3)), "{told:?}");
            assert!(matches!(&told.last().unwrap().1, News::Count(count) if count.raw == 1_000), "{told:?}");
            // One who did not listen hears the first and the last.
            let heard: Vec<News> = std::iter::from_fn(|| sleeps.next().now_or_never().flatten()).collect();
            let raw = |news: &News| if let News::Count(count) = news { count.raw } else { panic!("{news:?}") };
            assert_eq!(heard.iter().map(raw).collect::<Vec<_>>(), [0, 1_000]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_and_silence_are_told_when_they_come() {
    let scene = Scene::new(9).await;
    let mut document = building();
    document.resets.push(Reset { space: id("campus"), from: at("2024-01-01T00:00:00Z"), at: chrono::NaiveTime::from_hms_opt(12, 1, 0) });
    scene.edit(topology(document)).await;
    scene
        .running(async {
            scene.report("1", 0, Some(1)).await;
            scene.report("1", 0, None).await;
            let mut news = pin!(scene.news(&["hall"]).await);
            let first = news.next().await.unwrap();
            assert!(matches!(&first, News::Count(count) if count.raw == 1 && count.silent.is_empty()), "{first:?}");
            let News::Count(reset) = news.next().await.unwrap() else { panic!("no count") };
            assert_eq!((reset.raw, reset.baseline.kind), (0, Kind::Reset));
            assert!((0..10).contains(&scene.now().since(at("2024-03-01T12:01:00Z"))), "at {}", scene.now());
            let News::Count(silent) = news.next().await.unwrap() else { panic!("no count") };
            assert_eq!(silent.silent, [id("1")]);
            // The space was read anew as that minute began.
            assert!((1..=100).contains(&scene.now().since(at("2024-03-01T12:02:00Z"))), "at {}", scene.now());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_told_once_and_what_happened_meanwhile_when_it_is_back() {
    let scene = Scene::new(9).await;
    scene
        .running(async {
            let mut news = pin!(scene.news(&["hall"]).await);
            assert!(matches!(news.next().await.unwrap(), News::Count(count) if count.raw == 0));
            scene.report("1", 0, Some(1)).await;
            scene.store.fail(true);
            let stalled = news.next().await.unwrap();
            assert!(matches!(&stalled, News::Stalled { why, .. } if why.contains("out of order")), "{stalled:?}");
            assert!(tokio::time::timeout(Duration::from_secs(60), news.next()).await.is_err(), "told again");
            scene.store.fail(false);
            let back = tokio::time::timeout(Duration::from_secs(2), news.next()).await.unwrap().unwrap();
            assert!(matches!(&back, News::Count(count) if count.raw == 1), "{back:?}");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn who_may_have_missed_a_change_is_told_that_all_of_the_past_may_have_changed() {
    let scene = Scene::new(9).await;
    scene
        .running(async {
            let mut news = pin!(scene.news(&["hall"]).await);
            assert!(matches!(news.next().await.unwrap(), News::Count(_)));
            scene.watch.complete(Instant::now());
            assert!(tokio::time::timeout(Duration::from_secs(5), news.next()).await.is_err(), "nothing was missed");
            scene.watch.incomplete();
            scene.report("1", 60_000, Some(1)).await;
            assert!(matches!(news.next().await.unwrap(), News::Count(count) if count.raw == 1));
            scene.watch.complete(Instant::now());
            assert_eq!(news.next().await, Some(News::Revised { space: id("hall"), from: UnixMs::MIN }));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn watching_ends_with_the_space_or_the_server_and_has_limits() {
    let scene = Scene::new(2).await;
    scene
        .running(async {
            let hall: [SpaceId; 1] = [id("hall")];
            let room = scene.watch.subscribe(&[id("room")]).await.unwrap();
            let mut gone = pin!(room.into_stream());
            let kept = scene.watch.subscribe(&hall).await.unwrap();
            assert_eq!(scene.watch.subscribe(&hall).await.err(), Some(WatchFailed::Full { most: 2 }));
            assert!(matches!(gone.next().await.unwrap(), News::Count(_)));
            let change = Change::Topology { root: id("campus"), document: campus(), allow_removal: true };
            scene.edit(change).await;
            assert_eq!(gone.next().await, Some(News::Removed { space: id("room") }));
            assert_eq!(gone.next().await, None);
            drop(kept);
            let mut last = pin!(scene.watch.subscribe(&hall).await.unwrap().into_stream());
            assert!(matches!(last.next().await.unwrap(), News::Count(_)));
            scene.watch.close();
            assert_eq!(last.next().await, None);
        })
        .await;
    let scene = Scene::new(1).await;
    let many: Vec<SpaceId> = (0..101).map(|n| id(&format!("space-{n}"))).collect();
    for (spaces, text) in [(&many[..], "not 101"), (&[], "not 0"), (&many[..1], "no space space-0")] {
        let refused = scene.watch.subscribe(spaces).await.err().unwrap().to_string();
        assert!(refused.contains(text), "{refused}");
    }
    scene.watch.close();
    assert_eq!(scene.watch.subscribe(&[id("hall")]).await.err(), Some(WatchFailed::Stopping));
    assert_eq!(scene.store.since(0).await.unwrap().len(), 1);
}
