//! Reads that fail, or take their time, and changes that nobody hears of.

use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use occupancy::id::DpuId;
use occupancy::time::UnixMs;
use query::{News, TELL_EVERY};
use tokio::time::{Instant, sleep, timeout};

use super::{Scene, Step, act};
use crate::support::id;

/// The raw count that is told next.
async fn raw(news: &mut (impl Stream<Item = News> + Unpin)) -> i64 {
    match news.next().await.unwrap() {
        News::Count(count) => count.raw,
        other => panic!("{other:?}"),
    }
}

/// The DPUs that the count told next has as silent.
async fn silent(news: &mut (impl Stream<Item = News> + Unpin)) -> Vec<DpuId> {
    match news.next().await.unwrap() {
        News::Count(count) => count.silent.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_a_failed_read_is_tried_again_hears_that_it_succeeds() {
    let scene = Scene::new(9).await;
    scene
        .running(async {
            let mut early = pin!(scene.news(&["hall"]).await);
            assert_eq!(raw(&mut early).await, 0);
            scene.store.fail(true);
            scene.report("1", 0, Some(1)).await;
            assert!(matches!(early.next().await.unwrap(), News::Stalled { .. }));
            let mut hold = scene.store.hold(id("1"));
            scene.store.fail(false);
            hold.begun().await;
            sleep(Duration::from_millis(5)).await;
            let mut late = pin!(scene.news(&["hall"]).await);
            assert_eq!(raw(&mut late).await, 1);
            assert!(matches!(late.next().await.unwrap(), News::Stalled { .. }));
            drop(hold);
            for news in [&mut early, &mut late] {
                let told = timeout(TELL_EVERY, raw(news)).await;
                assert_eq!(told.ok(), Some(1), "told that it can be read");
                assert!(timeout(Duration::from_secs(30), news.next()).await.is_err(), "nothing else");
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_space_whose_read_hangs_delays_no_other_and_is_not_read_twice_at_once() {
    let scene = Scene::new(9).await;
    scene
        .running(async {
            let (mut hall, mut room) = (pin!(scene.news(&["hall"]).await), pin!(scene.news(&["room"]).await));
            assert_eq!((raw(&mut hall).await, raw(&mut room).await), (0, 0));
            // Until each was read once since it is watched.
            sleep(TELL_EVERY).await;
            let mut hold = scene.store.hold(id("2"));
            scene.report("2", 0, Some(1)).await;
            hold.begun().await;
            for n in 1..=20 {
                // Two at one instant would be the same.
                sleep(Duration::from_millis(1)).await;
                scene.report("1", 0, Some(1)).await;
                let told = timeout(TELL_EVERY + Duration::from_millis(1), raw(&mut hall)).await;
                assert_eq!(told.ok(), Some(n), "held up");
                scene.report("2", 0, Some(1)).await;
            }
            assert!(room.next().now_or_never().is_none(), "read twice at once");
            drop(hold);
            assert_eq!((raw(&mut room).await, raw(&mut room).await), (1, 21), "as of when that read began, then as it is");
            // Nor does one that is never answered.
            let mut hold = scene.store.hold(id("2"));
            scene.report("2", 0, Some(1)).await;
            hold.begun().await;
            let begun = Instant::now();
            let stalled = room.next().await.unwrap();
            assert!(matches!(&stalled, News::Stalled { why, .. } if why.contains("no answer came")), "{stalled:?}");
            assert!((9..=11).contains(&begun.elapsed().as_secs()), "after {:?}", begun.elapsed());
            assert_eq!(timeout(Duration::from_secs(2), raw(&mut room)).await.ok(), Some(22));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_went_unheard_is_told_where_only_the_instant_told_comes_out_otherwise() {
    let scene = Scene::new(9).await;
    // Never heard of, it hides when the other was heard last.
    act(&scene, Step::Move(3_600_000, true)).await;
    scene.report("1", 130_000, None).await;
    scene
        .running(async {
            let mut news = pin!(scene.news(&["hall"]).await);
            assert_eq!(silent(&mut news).await, [id("1"), id("2")]);
            sleep(Duration::from_secs(5)).await;
            scene.hear(false);
            // It lived 119 s before the instant told, and is silent again by now.
            scene.report("1", 124_000, None).await;
            scene.hear(true);
            assert_eq!(silent(&mut news).await, [id("1"), id("2")]);
            assert_eq!(news.next().await, Some(News::Revised { space: id("hall"), from: UnixMs::MIN }));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_between_two_reads_that_find_the_same_hears_what_it_was_told_otherwise() {
    let scene = Scene::new(9).await;
    act(&scene, Step::Move(3_600_000, true)).await;
    scene.report("1", 0, None).await;
    scene
        .running(async {
            let mut early = pin!(scene.news(&["hall"]).await);
            assert_eq!(silent(&mut early).await, [id("2")]);
            sleep(Duration::from_millis(119_950)).await;
            // Read now, the space is not read again before DPU 1 falls silent and comes back.
            scene.report("2", 200_000, Some(1)).await;
            assert_eq!(silent(&mut early).await, [id("2")]);
            sleep(Duration::from_millis(70)).await;
            let mut late = pin!(scene.news(&["hall"]).await);
            assert_eq!(silent(&mut late).await, [id("1"), id("2")]);
            scene.report("1", 0, None).await;
            assert_eq!(timeout(TELL_EVERY, silent(&mut late)).await.ok(), Some(vec![id("2")]));
        })
        .await;
}
