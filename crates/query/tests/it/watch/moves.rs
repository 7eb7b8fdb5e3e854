//! Answers that are made of what is kept, whatever happens before, between and during them.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::FutureExt;
use query::Query;
use tokio::task::unconstrained;

use super::scene::{Scene, Step, act};
use crate::hooked::Meanwhile;

#[derive(Debug, Clone)]
pub(crate) enum Move<A> {
    Do(Step),
    Ask(A),
    /// Something happens while this is being answered.
    Meanwhile(A, Step),
}

/// Each answer of a query that keeps something is that of one that keeps nothing.
pub(crate) async fn alike<A, T: PartialEq + Debug>(moves: Vec<Move<A>>, ask: impl AsyncFn(&Query, &A) -> T) {
    let scene = Arc::new(Scene::new(1).await);
    scene.watch.hear_all();
    for (n, one) in moves.into_iter().enumerate() {
        match one {
            Move::Do(step) => act(&scene, step).await,
            Move::Ask(asked) => assert_eq!(ask(&scene.query, &asked).await, ask(&scene.fresh, &asked).await, "move {n}"),
            Move::Meanwhile(asked, step) => {
                let there = Arc::clone(&scene);
                let then = Box::new(move || unconstrained(act(&there, step)).now_or_never().expect("memory does not wait"));
                scene.store.meanwhile(Meanwhile { commit: Arc::default(), then });
                // It may be in the answer or not.
                let _ = ask(&scene.query, &asked).await;
                if let Some(Meanwhile { then, .. }) = scene.store.missed() {
                    then();
                }
            }
        }
    }
}
