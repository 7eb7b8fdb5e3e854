//! History that is kept while changes are heard of late: each bucket is what a walk finds over all that was heard of when
//! that was last confirmed, and perhaps over some of what came since.

use std::sync::Arc;
use std::time::Duration;

use occupancy::crossing::{Direction, Key};
use occupancy::ledger::Change;
use occupancy::time::UnixMs;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, proptest};
use proptest::prop_oneof;
use query::{FRESH, History, HistoryBucket, HistoryCaps, Query, Settings};
use store::{Edits, Ledgers, MemoryStore};
use tokio::time::{Instant, sleep};

use super::{Asked, ask, asked};
use crate::support::take;
use crate::watch::{Scene, Step, act, ago_ms, deed, paused};

/// How many changes are not yet heard of at most: each may be in a bucket or not.
const LATE_MOST: usize = 3;

#[derive(Debug, Clone)]
enum Move {
    /// A DPU's crossing of so long ago, one way or the other, is committed and published.
    Publish(bool, i64, bool),
    /// The next that was published is heard of.
    Hear,
    /// All that was published before the first that was not heard of is said to be.
    Confirm,
    /// Whoever follows begins anew, with what is stored.
    Restart,
    Edit(Step),
    Wait(u64),
    Ask(Asked),
}

fn moves() -> impl Strategy<Value = Move> {
    let edit = deed().prop_filter("an edit", |step| !matches!(step, Step::Report(..)));
    prop_oneof![
        6 => (any::<bool>(), ago_ms(), any::<bool>()).prop_map(|(dpu, ago, way)| Move::Publish(dpu, ago, way)),
        4 => Just(Move::Hear),
        4 => Just(Move::Confirm),
        1 => Just(Move::Restart),
        1 => edit.prop_map(Move::Edit),
        2 => prop_oneof![0..300u64, 0..4_000u64].prop_map(Move::Wait),
        8 => asked().prop_map(|asked| Move::Ask(in_one_page(asked))),
    ]
}

fn in_one_page(asked: Asked) -> Asked {
    let (interval, zone, from, to) = asked.span;
    let to = if to < from { to } else { 0 };
    Asked { span: (interval, zone, from, to), after: None, crossings: HistoryCaps::default().crossings, ..asked }
}

struct Published {
    dpu: &'static str,
    key: Key,
    appended_at: UnixMs,
    change: Change,
    when: Instant,
}

/// What was published, how much of it was heard of, and up to when that was last confirmed.
struct Follower {
    scene: Scene,
    log: Vec<Published>,
    heard: usize,
    confirmed: Option<Instant>,
}

impl Follower {
    async fn publish(&mut self, second: bool, ago_ms: i64, plus: bool) {
        let (dpu, sign) = (if second { "2" } else { "1" }, if plus { 1 } else { -1 });
        let (commit, change) = self.scene.reported(dpu, ago_ms, Some(sign)).await;
        self.scene.store.commit(commit).await.unwrap();
        let key = Key { direction: Direction::try_from(sign).unwrap(), ..Key::first_at(change.from.unwrap()) };
        self.log.push(Published { dpu, key, appended_at: self.scene.now(), change, when: Instant::now() });
        while self.log.len() - self.heard > LATE_MOST {
            self.hear();
        }
    }

    fn hear(&mut self) {
        if let Some(one) = self.log.get(self.heard) {
            self.scene.watch.changed(std::slice::from_ref(&one.change));
            self.heard += 1;
        }
    }

    fn confirm(&mut self) {
        let before = self.log.get(self.heard).map(|one| one.when - Duration::from_millis(1));
        let as_of = before.unwrap_or_else(Instant::now);
        self.scene.watch.complete(as_of);
        self.confirmed = Some(as_of);
    }

    async fn restart(&mut self) {
        self.scene.watch.incomplete();
        self.confirmed = None;
        for (dpu, counters) in self.scene.store.inner.dpus(None, 9).await.unwrap() {
            self.scene.watch.changed(&[Change { dpu, counters, from: Some(UnixMs::MIN) }]);
        }
        self.heard = self.log.len();
    }

    /// What a walk finds over what was heard of, and over some of the rest.
    async fn walked(&self, asked: &Asked, rest: impl Fn(usize) -> bool) -> History {
        let store = Arc::new(MemoryStore::new());
        for (revision, edit) in (0..).zip(self.scene.store.inner.since(0).await.unwrap()) {
            store.append(revision, &edit).await.unwrap();
        }
        for (n, one) in self.log.iter().enumerate() {
            if n < self.heard || rest(n - self.heard) {
                take(&store, one.dpu, vec![one.key], None, one.appended_at).await;
            }
        }
        ask(&Query::new(store, self.scene.query.clock().clone(), Settings::default()), asked).await.unwrap()
    }

    async fn answers_well(&self, asked: &Asked) {
        let told = ask(&self.scene.query, asked).await.unwrap();
        let now = ask(&self.scene.fresh, asked).await.unwrap();
        if self.heard == self.log.len() || self.confirmed.is_none_or(|confirmed| confirmed.elapsed() >= FRESH) {
            assert_eq!(told, now);
            return;
        }
        let mut walks = Vec::new();
        for some in 0..1 << (self.log.len() - self.heard) {
            walks.push(self.walked(asked, |n| some & (1 << n) != 0).await);
        }
        assert_eq!((told.series.len(), told.next), (now.series.len(), now.next));
        for (place, series) in told.series.iter().enumerate() {
            for (n, bucket) in series.buckets.iter().enumerate() {
                let at = |walk: &History| walk.series[place].buckets[n].clone();
                let same = |walk: &History| HistoryBucket { partial: bucket.partial, ..at(walk) } == *bucket;
                assert!(walks.iter().any(same), "{}: {bucket:?}, and now {:?}", series.space, at(&now));
                assert_eq!(bucket.partial, at(&now).partial, "{}: {bucket:?}", series.space);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_lacks_at_most_what_came_since_the_last_confirmation(moves in prop::collection::vec(moves(), 1..50)) {
        paused().block_on(async {
            let mut follower = Follower { scene: Scene::new(1).await, log: Vec::new(), heard: 0, confirmed: None };
            for one in moves {
                match one {
                    Move::Publish(second, ago_ms, plus) => follower.publish(second, ago_ms, plus).await,
                    Move::Hear => follower.hear(),
                    Move::Confirm => follower.confirm(),
                    Move::Restart => follower.restart().await,
                    Move::Edit(step) => act(&follower.scene, step).await,
                    Move::Wait(ms) => sleep(Duration::from_millis(ms)).await,
                    Move::Ask(asked) => follower.answers_well(&asked).await,
                }
            }
        });
    }
}
