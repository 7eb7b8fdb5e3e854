//! A client that watches counts, and reads again what of the past is told to have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{FutureExt, Stream, StreamExt};
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use query::{LATE_MS, News, Query, ToldCount};
use tokio::task::unconstrained;

use super::scene::{NOON, SPACES};
use crate::support::{at, id};

/// What one who watches knows: the count of each space, and raw counts of past instants, read again where they are said to
/// have changed.
#[derive(Default)]
pub(crate) struct Known {
    counts: BTreeMap<SpaceId, Arc<ToldCount>>,
    past: BTreeMap<(SpaceId, UnixMs), i64>,
    stalled: BTreeSet<SpaceId>,
}

impl Known {
    /// Who begins to watch, and then reads all of the past.
    pub(crate) async fn begins(query: &Query) -> Self {
        let mut known = Self::default();
        for space in SPACES {
            known.read(query, &id(space), UnixMs::MIN).await;
        }
        known
    }

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
                self.stalled.remove(&count.space);
                let last = self.counts.insert(count.space.clone(), count.clone());
                assert!(last.is_none_or(|last| last.at <= count.at), "told of the past: {count:?}");
            }
            News::Revised { space, from } => self.read(query, &space, from).await,
            News::Stalled { space, why } => assert!(self.stalled.insert(space), "told again: {why}"),
            News::Removed { space } => panic!("{space} is still there"),
        }
    }

    /// Hears what is to be heard now.
    pub(crate) async fn catch_up(&mut self, query: &Query, news: &mut (impl Stream<Item = News> + Unpin)) {
        // The runtime's own fairness would have it that there is nothing, after so many reads at once.
        while let Some(news) = unconstrained(news.next()).now_or_never() {
            self.hear(query, news.expect("it goes on")).await;
        }
    }

    /// What it knows is so.
    pub(crate) async fn holds(&self, query: &Query) {
        assert!(self.stalled.is_empty(), "still stalled: {:?}", self.stalled);
        for (space, told) in &self.counts {
            assert_eq!(***told, query.count(space, Some(told.at)).await.unwrap(), "asked for the instant of what was told last");
            let now = query.count(space, None).await.unwrap();
            assert_eq!((told.raw, &told.baseline, &told.silent), (now.raw, &now.baseline, &now.silent), "{space} now");
        }
        for ((space, instant), known) in &self.past {
            assert_eq!(*known, query.count(space, Some(*instant)).await.unwrap().raw, "{space} at {instant}");
        }
    }
}
