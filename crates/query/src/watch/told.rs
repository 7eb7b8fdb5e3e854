//! What is told of a space, and how a watcher hears it.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use futures_util::stream::{self, Stream, StreamExt};
use occupancy::count::Count;
use occupancy::id::{DpuId, SpaceId};
use occupancy::time::UnixMs;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::metrics::{Metrics, Present};

/// How many changes of the past are told apart for those who listen late.
const REVISIONS_MOST: usize = 16;

/// News of a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Its count.
    Count(Arc<ToldCount>),
    /// Its past changed.
    Revised {
        /// The space.
        space: SpaceId,
        /// From when on its counts may come out otherwise; `UnixMs::MIN` where that is not known.
        from: UnixMs,
    },
    /// Its count cannot be read just now: what was told last may be out of date, until it is told again.
    Stalled {
        /// The space.
        space: SpaceId,
        /// Why.
        why: Arc<str>,
    },
    /// It is no longer there.
    Removed {
        /// The space.
        space: SpaceId,
    },
}

/// A count as it is told to many: whoever writes it down does so once for all of them.
#[derive(Debug)]
pub struct ToldCount {
    count: Count,
    written: OnceLock<Arc<[u8]>>,
}

impl ToldCount {
    pub(super) fn new(count: Count) -> Self {
        Self { count, written: OnceLock::new() }
    }

    /// As the first who asked wrote it.
    pub fn written(&self, write: impl FnOnce(&Count) -> Vec<u8>) -> Arc<[u8]> {
        Arc::clone(self.written.get_or_init(|| write(&self.count).into()))
    }
}

impl Deref for ToldCount {
    type Target = Count;

    fn deref(&self) -> &Count {
        &self.count
    }
}

impl PartialEq for ToldCount {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count
    }
}

impl Eq for ToldCount {}

/// What there is to tell of a space: each part replaces the one before.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Its count, and when the read of it began.
    count: Option<(Arc<ToldCount>, Instant)>,
    /// How often a count was told to all, also to those whose last one is the same.
    again: u64,
    stalled: Option<Arc<str>>,
    gone: bool,
    revisions: Revisions,
}

impl Told {
    /// Takes a count, `None` where the space is gone, of a read that `began` then and is told `again` though it be the same,
    /// and from when on the past changed.
    pub(super) fn take(&mut self, count: Option<Count>, began: Instant, again: bool, revised: Option<UnixMs>) {
        if let Some(from) = revised {
            self.revisions.push(from);
        }
        let Some(count) = count else {
            self.gone = true;
            return;
        };
        let changed = self.stalled.take().is_some() || self.count.as_ref().is_some_and(|(last, _)| !is_same(last, &count));
        // Also to one who knows the same from before the last, and did not hear that.
        self.again += u64::from(again || changed);
        self.count = Some((Arc::new(ToldCount::new(count)), began));
    }

    /// Whether the count told last has a DPU as silent.
    pub(super) fn says_silent(&self, dpu: &DpuId) -> bool {
        self.count.as_ref().is_some_and(|(count, _)| count.silent.binary_search(dpu).is_ok())
    }

    /// It cannot be read. Whether that is news.
    pub(super) fn stall(&mut self, why: &str) -> bool {
        let news = self.stalled.is_none();
        if news {
            self.stalled = Some(why.into());
        }
        news
    }
}

/// Whether two counts differ in their instant at most.
fn is_same(one: &Count, other: &Count) -> bool {
    *one == Count { at: one.at, ..other.clone() }
}

/// From when on the past changed, each time, so that one who listens late hears the earliest of what it missed.
#[derive(Debug, Default)]
struct Revisions {
    number: u64,
    latest: VecDeque<UnixMs>,
    /// The earliest of those no longer told apart.
    older: Option<UnixMs>,
}

impl Revisions {
    fn push(&mut self, from: UnixMs) {
        self.number += 1;
        self.latest.push_back(from);
        if self.latest.len() > REVISIONS_MOST {
            let dropped = self.latest.pop_front();
            self.older = self.older.into_iter().chain(dropped).min();
        }
    }

    /// The earliest since the one of this number; where that is too long ago perhaps an earlier one.
    fn since(&self, number: u64) -> Option<UnixMs> {
        let missed = usize::try_from(self.number - number).unwrap_or(usize::MAX);
        let older = self.older.filter(|_| missed > self.latest.len());
        self.latest.iter().rev().take(missed).copied().chain(older).min()
    }
}

/// Hears what is told of some spaces.
pub struct Watcher {
    ears: Vec<Ear>,
    present: Present,
}

impl Watcher {
    pub(super) fn new(ears: Vec<Ear>, metrics: Metrics, place: OwnedSemaphorePermit) -> Self {
        Self { ears, present: Present::new(metrics, place) }
    }

    /// The count of each space, and whatever changes, until all spaces are gone or nothing more is told.
    pub fn into_stream(self) -> impl Stream<Item = News> + Send + 'static {
        let Self { ears, present } = self;
        let mut each: Vec<_> = ears.into_iter().map(|ear| Box::pin(stream::unfold(ear, Ear::hear).flat_map(stream::iter))).collect();
        // Most watch one space: nothing has to tell then which of several has news.
        let all = match each.pop() {
            Some(one) if each.is_empty() => one.left_stream(),
            last => stream::select_all(each.into_iter().chain(last)).right_stream(),
        };
        all.inspect(move |news| present.tells(news))
    }
}

/// How far one space was heard.
pub(super) struct Heard {
    receiver: watch::Receiver<Told>,
    again: u64,
    /// The last change of the past that was told.
    revision: u64,
    stalled: bool,
}

impl Heard {
    pub(super) fn new(mut receiver: watch::Receiver<Told>) -> Self {
        let (again, revision, stalled) = {
            let told = receiver.borrow();
            (told.again, told.revisions.number, told.stalled.is_some())
        };
        if stalled {
            receiver.mark_changed();
        }
        Self { receiver, again, revision, stalled: false }
    }
}

/// Hears what is told of one space.
pub(super) struct Ear {
    /// Its count as it was when this began, until it is told.
    first: Option<Arc<ToldCount>>,
    last: Arc<ToldCount>,
    /// When the read of that began: what was read before tells nothing new.
    since: Instant,
    heard: Heard,
}

impl Ear {
    /// Told first is a count that was read, from `since` on, after `heard` was made.
    pub(super) fn new(first: Arc<ToldCount>, since: Instant, heard: Heard) -> Self {
        Self { first: Some(Arc::clone(&first)), last: first, since, heard }
    }

    async fn hear(mut self) -> Option<(Vec<News>, Self)> {
        if let Some(first) = self.first.take() {
            return Some((vec![News::Count(first)], self));
        }
        // Fails once nothing more is told.
        self.heard.receiver.changed().await.ok()?;
        let news = self.news();
        Some((news, self))
    }

    fn news(&mut self) -> Vec<News> {
        let Heard { receiver, again, revision, stalled } = &mut self.heard;
        let told = receiver.borrow_and_update();
        let space = || self.last.space.clone();
        let mut news = Vec::new();
        if told.gone {
            return vec![News::Removed { space: space() }];
        }
        let recovered = *stalled && told.stalled.is_none();
        let anyway = recovered || told.again > *again;
        let is_news = |(count, began): &&(Arc<ToldCount>, Instant)| *began >= self.since && (anyway || !is_same(&self.last, count));
        let count = told.count.as_ref().filter(is_news).map(|(count, _)| count);
        // Where what ended the stall was read before this began, what it was told then is the newer.
        let count = count.or_else(|| recovered.then_some(&self.last)).cloned();
        news.extend(count.clone().map(News::Count));
        news.extend(told.revisions.since(*revision).map(|from| News::Revised { space: space(), from }));
        // A count says that it can be read.
        let why = told.stalled.as_ref().filter(|_| !*stalled || count.is_some()).cloned();
        news.extend(why.map(|why| News::Stalled { space: space(), why }));
        (*again, *revision, *stalled) = (told.again, told.revisions.number, told.stalled.is_some());
        self.last = count.unwrap_or_else(|| Arc::clone(&self.last));
        news
    }
}

#[cfg(test)]
mod tests {
    use super::{REVISIONS_MOST, Revisions};
    use occupancy::time::UnixMs;

    #[test]
    fn one_who_listens_late_hears_the_earliest_of_what_it_missed_or_an_earlier_one() {
        let mut revisions = Revisions::default();
        let mut all = Vec::new();
        for n in 0..4 * REVISIONS_MOST as i64 {
            // Rising and falling.
            let from = UnixMs::new((n * 37) % 50).unwrap();
            revisions.push(from);
            all.push(from);
            for seen in 0..=all.len() {
                let least = all.get(seen..).unwrap().iter().min().copied();
                let told = revisions.since(seen as u64);
                assert_eq!(told.is_some(), least.is_some());
                assert!(told <= least, "after {seen} of {}: {told:?} is later than {least:?}", all.len());
                if all.len() - seen <= REVISIONS_MOST {
                    assert_eq!(told, least);
                }
            }
        }
    }
}
