//! Counts as they change: whatever happens, the last count told of a space is its count, and one who reads again what is
//! told to have changed knows the past as it is. Time is virtual.

use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use occupancy::baseline::Kind;
use occupancy::edit::Change;
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use occupancy::topology::Reset;
use proptest::prelude::{Just, Strategy, any, prop, proptest};
use proptest::prop_oneof;
use query::{LATE_MS, News, TELL_EVERY, WatchFailed};
use store::Edits;
use tokio::time::{Instant, sleep, timeout};

use self::client::Known;
pub(crate) use self::moves::{Move, alike};
use self::scene::building;
pub(crate) use self::scene::{SPACES, Scene, Step, act, ago_ms, deed, paused, step};
use crate::hooked::Hold;
use crate::support::{at, campus, id, topology};

mod client;
mod moves;
mod scene;
#[cfg(test)]
mod slow;

/// What happens to the store and to those who watch.
#[derive(Debug, Clone)]
enum Turn {
    Do(Step),
    /// The store fails, or is back.
    Fail(bool),
    /// The next read of a DPU is held; of two that are held one after the other, the first is let go.
    Hold(bool),
    /// What is held is let go.
    Free,
    /// Changes go unheard, or those that did are said to.
    Hear(bool),
    /// One more watches, and listens at each turn or in the end.
    Come(bool),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        20 => step().prop_map(Turn::Do),
        3 => any::<bool>().prop_map(Turn::Fail),
        2 => any::<bool>().prop_map(Turn::Hold),
        2 => Just(Turn::Free),
        3 => any::<bool>().prop_map(Turn::Hear),
        3 => any::<bool>().prop_map(Turn::Come),
    ]
}

/// A client, and whether it listens at each turn.
type Client = (Pin<Box<dyn Stream<Item = News>>>, Known, bool);

/// One more client, where it is answered.
async fn come(scene: &Scene, listens: bool) -> Option<Client> {
    let spaces = SPACES.map(id::<SpaceId>);
    // What it asks first may fail, or be held.
    let watcher = timeout(Duration::from_millis(200), scene.watch.subscribe(&spaces)).await.ok()?.ok()?;
    Some((Box::pin(watcher.into_stream()), Known::begins(&scene.fresh).await, listens))
}

async fn live_equals_history_after(turns: Vec<Turn>) {
    let scene = Scene::new(99).await;
    let mut held: Option<Hold> = None;
    scene
        .running(async {
            let mut clients: Vec<Client> = Vec::new();
            clients.extend(come(&scene, true).await);
            clients.extend(come(&scene, false).await);
            for turn in turns {
                match turn {
                    Turn::Do(step) => act(&scene, step).await,
                    Turn::Fail(fails) => scene.store.fail(fails),
                    Turn::Hold(second) => held = Some(scene.store.hold(id(if second { "2" } else { "1" }))),
                    Turn::Free => held = None,
                    Turn::Hear(hears) => scene.hear(hears),
                    Turn::Come(listens) => clients.extend(come(&scene, listens).await),
                }
                for (news, known, _) in clients.iter_mut().filter(|(.., listens)| *listens) {
                    known.catch_up(&scene.fresh, news).await;
                }
            }
            scene.store.fail(false);
            drop(held);
            scene.hear(true);
            // Until nothing is late and all is told.
            sleep(Duration::from_millis(LATE_MS as u64 + 500)).await;
            for (news, known, _) in &mut clients {
                known.catch_up(&scene.fresh, news).await;
                known.holds(&scene.fresh).await;
            }
        })
        .await;
}

proptest! {
    #[test]
    fn live_equals_history(turns in prop::collection::vec(turn(), 1..40)) {
        paused().block_on(live_equals_history_after(turns));
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
            assert!(timeout(Duration::from_secs(60), news.next()).await.is_err(), "told again");
            scene.store.fail(false);
            let back = timeout(Duration::from_secs(2), news.next()).await.unwrap().unwrap();
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
            assert!(timeout(Duration::from_secs(5), news.next()).await.is_err(), "nothing was missed");
            scene.watch.incomplete();
            scene.report("1", 60_000, Some(1)).await;
            assert!(matches!(news.next().await.unwrap(), News::Count(count) if count.raw == 1));
            scene.watch.complete(Instant::now());
            assert!(matches!(news.next().await.unwrap(), News::Count(count) if count.raw == 1), "also as it was when it was told");
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
