//! Counts of now made of what an earlier one read: never other than a read makes them, whatever comes and however time goes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use occupancy::count::Count;
use proptest::prelude::{ProptestConfig, Strategy, prop, proptest};
use proptest::prop_oneof;
use query::Query;
use store::Ledgers;
use tokio::task::unconstrained;
use tokio::time::sleep;

use crate::hooked::Meanwhile;
use crate::support::id;
use crate::watch::{SPACES, Scene, Step, act, deed, paused, step};

#[derive(Debug, Clone)]
enum Move {
    Do(Step),
    Ask(usize),
    /// Something happens while this is being answered.
    Meanwhile(usize, Step),
}

/// A crossing of a clock that goes ahead, of an installation to come.
fn ahead() -> impl Strategy<Value = Step> {
    let ahead_ms = prop_oneof![3 => 1..2_000i64, 2 => 1..100_000i64, 1 => 290_000..400_000i64].prop_map(|ms| -ms);
    let way = prop::option::weighted(0.9, prop::bool::ANY);
    prop_oneof![
        3 => (prop::bool::ANY, ahead_ms.clone(), way).prop_map(|(second, ago_ms, way)| Step::Report(second, ago_ms, way)),
        1 => (ahead_ms, prop::bool::ANY).prop_map(|(ago_ms, enters)| Step::Move(ago_ms, enters)),
    ]
}

fn moves() -> impl Strategy<Value = Move> {
    let space = 0..SPACES.len();
    prop_oneof![
        4 => step().prop_map(Move::Do),
        1 => ahead().prop_map(Move::Do),
        // Of seconds, over which something is kept.
        2 => (0..20_000u64).prop_map(|ms| Move::Do(Step::Wait(ms))),
        8 => space.clone().prop_map(Move::Ask),
        2 => (space, prop_oneof![4 => deed(), 1 => ahead()]).prop_map(|(space, step)| Move::Meanwhile(space, step)),
    ]
}

async fn ask(query: &Query, place: usize) -> Count {
    query.count(&id(SPACES[place]), None).await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_count_of_what_is_kept_is_what_a_read_makes(moves in prop::collection::vec(moves(), 1..80)) {
        paused().block_on(async {
            let scene = Arc::new(Scene::new(1).await);
            scene.watch.hear_all();
            for (n, one) in moves.into_iter().enumerate() {
                match one {
                    Move::Do(step) => act(&scene, step).await,
                    Move::Ask(space) => assert_eq!(ask(&scene.query, space).await, ask(&scene.fresh, space).await, "move {n}"),
                    Move::Meanwhile(space, step) => {
                        let there = Arc::clone(&scene);
                        let then = Box::new(move || unconstrained(act(&there, step)).now_or_never().expect("memory does not wait"));
                        scene.store.meanwhile(Meanwhile { commit: Arc::default(), then });
                        // It may be in the answer or not.
                        let _ = ask(&scene.query, space).await;
                        if let Some(Meanwhile { then, .. }) = scene.store.missed() {
                            then();
                        }
                    }
                }
            }
        });
    }
}

/// How often the store is read for a count of hall.
async fn reads(scene: &Scene) -> usize {
    let before = scene.store.reads();
    assert_eq!(ask(&scene.query, 1).await, ask(&scene.fresh, 1).await);
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
    assert_eq!(ask(&scene.query, 1).await.raw, 0, "whose lane died before it told");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(reads(&scene).await, 1);
    scene.watch.incomplete();
    assert_eq!([reads(&scene).await, reads(&scene).await], [1, 1]);
}
