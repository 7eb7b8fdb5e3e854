//! From a batch of items to one commit, and back to the outcome of each item.

use std::sync::Arc;

use occupancy::id::DpuId;
use occupancy::ledger::{self, Change, Changes, Counters, Fold, Merge, Record, Tally};
use occupancy::time::UnixMs;
use store::{Commit, LedgerWrite, Quarantined, StoreError};
use tokio::task::JoinSet;

use crate::access::Access;
use crate::feed::touched_from;
use crate::item::{Ack, Item, Outcome};
use crate::known::{Known, Seat};

/// How many ledgers are read at once for merges.
const TAILS_AT_ONCE: usize = 32;

/// The items of one commit, their records regrouped by DPU.
pub(crate) struct Batch<A> {
    records: Records,
    shares: Vec<Share>,
    quarantine: Vec<Quarantined>,
    /// Whom to tell, and of how many records.
    answers: Vec<(A, usize)>,
}

/// A batch as it is to be written, and what is to be done then.
pub(crate) struct Folded<A> {
    pub(crate) commit: Arc<Commit>,
    /// Of each ledger of the commit.
    seats: Vec<Seat>,
    shares: Vec<Share>,
    /// Of each share, from when on it changes what was; `None` where nobody follows.
    touched: Option<Vec<Option<UnixMs>>>,
    /// Of each record, in the order they came.
    tallies: Vec<Tally>,
    answers: Vec<(A, usize)>,
}

/// The records of a batch.
struct Records {
    /// As they came.
    items: Vec<Vec<(DpuId, Record)>>,
    /// Of each record, in the order they came.
    places: Vec<Place>,
}

/// Where a record is, and the number of the next one of its DPU.
struct Place {
    item: usize,
    index: usize,
    next: Option<usize>,
}

/// The records of one DPU in a batch, in log order: the numbers of the first and the last.
struct Share {
    dpu: DpuId,
    seat: Seat,
    first: usize,
    last: usize,
}

impl Records {
    /// The numbers of a DPU's records, from the first on.
    fn numbers(&self, first: usize) -> impl Iterator<Item = usize> + Clone {
        std::iter::successors(Some(first), |number| self.places.get(*number)?.next)
    }

    /// A DPU's records, from the first on.
    fn of(&self, first: usize) -> impl Iterator<Item = &Record> + Clone {
        self.numbers(first).filter_map(|number| {
            let Place { item, index, .. } = self.places.get(number)?;
            self.items.get(*item)?.get(*index).map(|(_, record)| record)
        })
    }
}

impl<A: Ack> Batch<A> {
    pub(crate) fn new(items: impl ExactSizeIterator<Item = Item<A>>, records: usize, known: &mut Known) -> Self {
        let (mut shares, mut quarantine, mut answers): (Vec<Share>, _, _) = (Vec::new(), Vec::new(), Vec::with_capacity(items.len()));
        let mut records = Records { items: Vec::with_capacity(items.len()), places: Vec::with_capacity(records) };
        known.begin();
        for item in items {
            answers.push((item.ack, item.records.len()));
            quarantine.extend(item.quarantine);
            for (index, (dpu, _)) in item.records.iter().enumerate() {
                let number = records.places.len();
                records.places.push(Place { item: records.items.len(), index, next: None });
                let (seat, share) = known.share(dpu, shares.len());
                let Some(share) = shares.get_mut(share) else {
                    shares.push(Share { dpu: dpu.clone(), seat, first: number, last: number });
                    continue;
                };
                if let Some(last) = records.places.get_mut(std::mem::replace(&mut share.last, number)) {
                    last.next = Some(number);
                }
            }
            records.items.push(item.records);
        }
        Self { records, shares, quarantine, answers }
    }

    /// Folds the batch upon what is stored: nothing else may be under way.
    pub(crate) async fn fold(self, known: &mut Known, access: &Access) -> Result<Folded<A>, StoreError> {
        let Self { records, shares, quarantine, answers } = self;
        let from = |share: &Share, alone| touched_from(records.of(share.first), alone || known.counters(share.seat).is_some());
        let feed = access.shared.feed.as_deref();
        let touched = feed.map(|feed| shares.iter().map(|share| from(share, feed.is_alone())).collect());
        load(&shares, known, access).await?;
        let (folds, tallies) = fold(&records, &shares, known, access).await?;
        let commit = Arc::new(Commit { ledgers: folds.writes, quarantine });
        Ok(Folded { commit, seats: folds.seats, shares, touched, tallies, answers })
    }
}

impl<A: Ack> Folded<A> {
    /// To be called once its commit is durable; when this returns it is published to whoever follows, and every ack has been called.
    pub(crate) async fn done(self, known: &mut Known, access: &Access) {
        let Self { commit, seats, shares, touched, tallies, answers } = self;
        for (seat, write) in seats.into_iter().zip(&commit.ledgers) {
            if let Some(counters) = write.counters {
                known.learn(seat, counters);
            }
        }
        drop(commit);
        if let Some((feed, touched)) = access.shared.feed.as_deref().zip(touched) {
            // Before the acks, and what was skipped too: whoever made it durable may not have lived to publish it.
            let change = |(share, from): (Share, _)| Some(Change { counters: *known.counters(share.seat)?, dpu: share.dpu, from });
            let changes: Vec<Change> = shares.into_iter().zip(touched).filter_map(change).collect();
            access.publish(feed, &changes).await;
        }
        let sum = tallies.iter().copied().fold(Tally::default(), Tally::plus);
        access.shared.metrics.accepted.inc_by(sum.accepted);
        access.shared.metrics.duplicate.inc_by(sum.duplicate);
        let mut tallies = tallies.into_iter();
        for (ack, records) in answers {
            ack.durable(Outcome { tallies: tallies.by_ref().take(records).collect() });
        }
    }
}

/// What is to be written, and the seats of those whose it is, in the same order.
struct Folds {
    writes: Vec<LedgerWrite>,
    seats: Vec<Seat>,
}

/// One DPU's records, some of them before its last crossing.
struct Late {
    /// The place of its share.
    share: usize,
    merge: Merge,
}

/// Folds each DPU's records into what is known of it; what became of each record comes in the order they came.
async fn fold(records: &Records, shares: &[Share], known: &Known, access: &Access) -> Result<(Folds, Vec<Tally>), StoreError> {
    let mut folds = Folds { writes: Vec::with_capacity(shares.len()), seats: Vec::with_capacity(shares.len()) };
    let mut tallies = vec![Tally::default(); records.places.len()];
    let mut done = |share: &Share, changes: Changes| {
        for (number, tally) in records.numbers(share.first).zip(&changes.tallies) {
            if let Some(told) = tallies.get_mut(number) {
                *told = *tally;
            }
        }
        folds.seats.push(share.seat);
        folds.writes.push(LedgerWrite::new(share.dpu.clone(), changes));
    };
    let mut merges = Vec::new();
    for (place, share) in shares.iter().enumerate() {
        let new = Counters::default();
        match ledger::fold(known.counters(share.seat).unwrap_or(&new), records.of(share.first)) {
            None => {}
            Some(Fold::Append(changes)) => done(share, changes),
            Some(Fold::Merge(merge)) => merges.push(Late { share: place, merge }),
        }
    }
    merge_all(merges, shares, done, access).await?;
    Ok((folds, tallies))
}

/// Reads the counters that are not known yet.
async fn load(shares: &[Share], known: &mut Known, access: &Access) -> Result<(), StoreError> {
    let missing = shares.iter().filter(|share| known.counters(share.seat).is_none());
    let (dpus, seats): (Vec<DpuId>, Vec<Seat>) = missing.map(|share| (share.dpu.clone(), share.seat)).unzip();
    if dpus.is_empty() {
        return Ok(());
    }
    let found = access.until_known(|| access.shared.store.counters(&dpus)).await?;
    for (seat, counters) in seats.into_iter().zip(found) {
        known.learn(seat, counters.unwrap_or_default());
    }
    Ok(())
}

/// Reads the tails that merges need, some at once, and applies them.
async fn merge_all(merges: Vec<Late>, shares: &[Share], mut done: impl FnMut(&Share, Changes), access: &Access) -> Result<(), StoreError> {
    let mut waiting = merges.into_iter().filter_map(|Late { share, merge }| Some((share, shares.get(share)?, merge)));
    let mut reading: JoinSet<Result<(usize, Changes), StoreError>> = JoinSet::new();
    loop {
        for (place, Share { dpu, .. }, merge) in waiting.by_ref().take(TAILS_AT_ONCE - reading.len()) {
            let (access, dpu) = (access.clone(), dpu.clone());
            reading.spawn(async move {
                let from = merge.from();
                let tail = access.until_known(|| access.shared.store.tail(&dpu, &from)).await?;
                Ok((place, merge.apply(&tail)))
            });
        }
        match reading.join_next().await {
            None => return Ok(()),
            Some(Ok(merged)) => {
                let (place, changes) = merged?;
                if let Some(share) = shares.get(place) {
                    done(share, changes);
                }
            }
            Some(Err(lost)) => return Err(StoreError::Corrupt(format!("a read of a ledger did not end: {lost}"))),
        }
    }
}

/// Makes a commit durable, unless there is nothing in it.
pub(crate) async fn write(commit: &Arc<Commit>, access: &Access) -> Result<(), StoreError> {
    if commit.ledgers.is_empty() && commit.quarantine.is_empty() {
        return Ok(());
    }
    let metrics = &access.shared.metrics;
    let timer = metrics.commit_seconds.start_timer();
    access.until_known(|| access.shared.store.commit(Arc::clone(commit))).await?;
    timer.observe_duration();
    metrics.commits.inc();
    for row in &commit.quarantine {
        metrics.quarantined.with_label_values(&[row.reason.name()]).inc();
    }
    Ok(())
}
