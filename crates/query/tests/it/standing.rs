//! Counts of now made of what an earlier one read: never other than a read makes them, whatever comes and however time goes.

use std::time::Duration;

use occupancy::count::Count;
use occupancy::id::SpaceId;
use proptest::prelude::{ProptestConfig, Strategy, prop, proptest};
use proptest::prop_oneof;
use query::Query;
use store::Ledgers;
use tokio::time::sleep;

use crate::support::id;
use crate::watch::{Move, SPACES, Scene, Step, act, alike, deed, paused, step};

/// A crossing of a clock that goes ahead, of an installation to come.
fn ahead() -> impl Strategy<Value = Step> {
    let ahead_ms = prop_oneof![3 => 1..2_000i64, 2 => 1..100_000i64, 1 => 290_000..400_000i64].prop_map(|ms| -ms);
    let way = prop::option::weighted(0.9, prop::bool::ANY);
    prop_oneof![
        3 => (prop::bool::ANY, ahead_ms.clone(), way).prop_map(|(second, ago_ms, way)| Step::Report(second, ago_ms, way)),
        1 => (ahead_ms, prop::bool::ANY).prop_map(|(ago_ms, enters)| Step::Move(ago_ms, enters)),
    ]
}

fn moves() -> impl Strategy<Value = Move<SpaceId>> {
    let space = prop::sample::select(SPACES.as_slice()).prop_map(id);
    prop_oneof![
        4 => step().prop_map(Move::Do),
        1 => ahead().prop_map(Move::Do),
        // Of seconds, over which something is kept.
        2 => (0..20_000u64).prop_map(|ms| Move::Do(Step::Wait(ms))),
        8 => space.clone().prop_map(Move::Ask),
        2 => (space, prop_oneof![4 => deed(), 1 => ahead()]).prop_map(|(space, step)| Move::Meanwhile(space, step)),
    ]
}

async fn ask(query: &Query, space: &SpaceId) -> Count {
    query.count(space, None).await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_count_of_what_is_kept_is_what_a_read_makes(moves in prop::collection::vec(moves(), 1..80)) {
        paused().block_on(alike(moves, ask));
    }
}

/// How often the store is read for a count of hall.
async fn reads(scene: &Scene) -> usize {
    let before = scene.store.reads();
    let hall = id(SPACES[1]);
    assert_eq!(ask(&scene.query, &hall).await, ask(&scene.fresh, &hall).await);
    scene.store.reads() - before
}

#[tokio::test(start_paused = true)]
async fn a_count_is_read_once_until_something_touches_it() {
    let scene = Scene::new(1).await;
    scene.watch.hear_all();
    act(&scene, Step::Report(false, 60_000, Some(true))).await;
    let mut all = Vec::new();
    for step in [
        Step::Wait(0),
        Step::Wait(5_000),
        Step::Report(true, 0, Some(true)),
        Step::Report(false, 0, Some(true)),
        Step::Wait(1),
        Step::Report(false, 0, None),
        Step::Correct(1, 0, 7),
        Step::Report(false, -500, Some(true)),
        Step::Wait(400),
        Step::Wait(100),
        Step::Wait(9_499),
        Step::Wait(1),
        Step::Report(false, -400_000, Some(true)),
    ] {
        act(&scene, step).await;
        all.push([reads(&scene).await, reads(&scene).await]);
    }
    let (new, kept, ahead) = ([1, 0], [0, 0], [1, 1]);
    assert_eq!(all, [new, kept, kept, new, kept, new, new, new, kept, kept, kept, new, ahead]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_tells_is_counted_soon() {
    let scene = Scene::new(1).await;
    assert_eq!([reads(&scene).await, reads(&scene).await], [1, 1], "nobody said that changes are told");
    scene.watch.hear_all();
    assert_eq!([reads(&scene).await, reads(&scene).await], [1, 0]);
    let (commit, _) = scene.reported("1", 0, Some(1)).await;
    scene.store.inner.commit(commit).await.unwrap();
    assert_eq!(ask(&scene.query, &id(SPACES[1])).await.raw, 0, "whose lane died before it told");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(reads(&scene).await, 1);
    scene.watch.incomplete();
    assert_eq!([reads(&scene).await, reads(&scene).await], [1, 1]);
}
