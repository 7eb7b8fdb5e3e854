//! History that is kept: never other than a walk finds it, and not walked again until its past is touched.

use occupancy::bucket::Interval;
use occupancy::id::SpaceId;
use proptest::prelude::{ProptestConfig, Strategy, prop, proptest};
use proptest::prop_oneof;
use query::{History, HistoryCaps, HistoryKey, Query, QueryError, Span, Stats};

use crate::support::id;
use crate::watch::{Move, Scene, Step, act, alike, deed, paused, step};

#[cfg(test)]
mod lags;

/// What is asked: interval, zone, from and to so long ago, where the page begins, crossings walked at most.
#[derive(Debug, Clone)]
struct Asked {
    spaces: Vec<SpaceId>,
    span: (&'static str, Option<&'static str>, i64, i64),
    after: Option<(usize, i64)>,
    crossings: usize,
}

fn asked() -> impl Strategy<Value = Asked> {
    // Few, so that the same is asked for again.
    let spaces = prop::sample::subsequence(vec!["campus", "hall", "room"], 1..3);
    let interval = prop::sample::select(vec!["30m", "1h", "1d"]);
    let zone = prop::option::of(prop::sample::select(vec!["America/Los_Angeles", "Asia/Kolkata"]));
    let span = (interval, zone, prop::sample::select(vec![40i64, 24, 3]), prop::sample::select(vec![0i64, 2, 10]));
    let after = prop::option::weighted(0.2, (0..2usize, 0..40i64));
    (spaces, span, after, prop_oneof![4 => 2..2_000usize, 1 => 0..4usize]).prop_map(|(spaces, span, after, crossings)| Asked {
        spaces: spaces.into_iter().map(id).collect(),
        span,
        after,
        crossings,
    })
}

fn moves() -> impl Strategy<Value = Move<Asked>> {
    prop_oneof![
        4 => step().prop_map(Move::Do),
        4 => asked().prop_map(Move::Ask),
        2 => (asked(), deed()).prop_map(|(asked, step)| Move::Meanwhile(asked, step)),
    ]
}

async fn ask(query: &Query, asked: &Asked) -> Result<History, QueryError> {
    const HOUR_MS: i64 = 3_600_000;
    let now = (query.clock())();
    let ago = |hours: i64| now.plus_ms(-hours * HOUR_MS);
    let (interval, zone, from, to) = asked.span;
    let span = Span { from: ago(from), to: ago(to), interval: Interval::named(interval).unwrap(), zone: zone.map(id), stats: Stats::Full };
    let after = asked.after.map(|(place, hours)| HistoryKey { place, start: ago(hours) });
    query.history(&asked.spaces, &span, after, HistoryCaps { crossings: asked.crossings, ..HistoryCaps::default() }).await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_is_what_a_walk_finds(moves in prop::collection::vec(moves(), 1..60)) {
        paused().block_on(alike(moves, ask));
    }
}

#[tokio::test(start_paused = true)]
async fn the_past_is_walked_once_until_it_is_touched() {
    let scene = Scene::new(1).await;
    scene.watch.hear_all();
    let day = Asked { spaces: vec![id("hall")], span: ("1h", None, 24, 0), after: None, crossings: 1_000 };
    let walks = async || {
        let before = scene.store.walks();
        let told = ask(&scene.query, &day).await.unwrap();
        assert_eq!(told.series[0].buckets.len(), 25);
        scene.store.walks() - before
    };
    // So that a bucket is in progress.
    act(&scene, Step::Wait(1)).await;
    act(&scene, Step::Report(false, 3 * 3_600_000 + 1, Some(true))).await;
    act(&scene, Step::Report(false, 0, None)).await;
    // Hall has one DPU: a walk reads it once.
    assert_eq!(walks().await, 1);
    let totals = scene.store.reads();
    assert_eq!(walks().await, 1, "the bucket in progress");
    assert_eq!(scene.store.reads(), totals, "what is kept tells where it begins");
    let to = Asked { span: ("1h", None, 24, 1), ..day.clone() };
    let before = scene.store.walks();
    ask(&scene.query, &to).await.unwrap();
    assert_eq!(scene.store.walks(), before, "all of it is kept");
    // Present, elsewhere, or of no DPU of this space: nothing of this is dropped.
    act(&scene, Step::Report(false, 0, Some(true))).await;
    act(&scene, Step::Report(true, 7_200_000, Some(true))).await;
    act(&scene, Step::Correct(2, 7_200_000, 3)).await;
    ask(&scene.query, &to).await.unwrap();
    assert_eq!(scene.store.walks(), before);
    let early = Asked { span: ("1h", None, 24, 4), ..day.clone() };
    for (n, touch) in [Step::Report(false, 7_200_001, Some(false)), Step::Correct(1, 7_200_000, 3)].into_iter().enumerate() {
        act(&scene, touch).await;
        ask(&scene.query, &early).await.unwrap();
        assert_eq!(scene.store.walks(), before + n, "what is older is kept");
        ask(&scene.query, &to).await.unwrap();
        assert_eq!(scene.store.walks(), before + n + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_partial_and_is_no_more_is_walked_anew() {
    let scene = Scene::new(1).await;
    scene.watch.hear_all();
    let past = Asked { spaces: vec![id("hall")], span: ("1h", None, 24, 2), after: None, crossings: 1_000 };
    let partial = async || {
        let before = scene.store.walks();
        let told = ask(&scene.query, &past).await.unwrap();
        (told.series[0].buckets.iter().filter(|one| one.partial).count(), scene.store.walks() - before)
    };
    assert_eq!((partial().await, partial().await), ((22, 1), (22, 0)), "never heard");
    act(&scene, Step::Report(false, 12 * 3_600_000, None)).await;
    assert_eq!((partial().await, partial().await), ((10, 1), (10, 0)), "heard up to midnight");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_while_changes_may_go_unheard() {
    let scene = Scene::new(1).await;
    let past = Asked { spaces: vec![id("hall")], span: ("1h", None, 24, 2), after: None, crossings: 1_000 };
    let walked = async || {
        let before = scene.store.walks();
        ask(&scene.query, &past).await.unwrap();
        scene.store.walks() > before
    };
    assert!(walked().await && walked().await, "nobody said that changes are heard");
    scene.watch.complete(tokio::time::Instant::now());
    assert!(walked().await && !walked().await);
    tokio::time::advance(query::FRESH).await;
    assert!(walked().await && walked().await, "not confirmed for too long");
    scene.watch.complete(tokio::time::Instant::now());
    let before = scene.store.walks();
    ask(&scene.query, &Asked { span: ("1h", None, 24, 3), ..past.clone() }).await.unwrap();
    assert_eq!(scene.store.walks(), before, "what is kept was not touched");
    scene.watch.incomplete();
    assert!(walked().await && walked().await);
    scene.watch.complete(tokio::time::Instant::now());
    assert!(walked().await && !walked().await, "forgotten");
}
