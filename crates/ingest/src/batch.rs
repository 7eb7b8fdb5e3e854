//! From a batch of items to one commit, and back to the outcome of each item.

use std::sync::Arc;

use occupancy::id::DpuId;
use occupancy::ledger::{self, Change, Changes, Fold, Merge, Record, Tally};
use store::{Commit, LedgerWrite, Quarantined, StoreError};
use tokio::task::JoinSet;

use crate::access::Access;
use crate::feed::Touched;
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

/// The records of a batch in the order they came, each with the place of the next one of its DPU.
struct Records(Vec<(Record, Option<usize>)>);

/// The records of one DPU in a batch, in log order: where they begin and end.
struct Share {
    dpu: DpuId,
    seat: Seat,
    first: usize,
    last: usize,
}

impl Records {
    /// Puts a record at the end.
    fn push(&mut self, record: Record) -> usize {
        self.0.push((record, None));
        self.0.len() - 1
    }

    /// Says that a record is followed by another of its DPU.
    fn link(&mut self, record: usize, next: usize) {
        if let Some((_, link)) = self.0.get_mut(record) {
            *link = Some(next);
        }
    }

    /// The places of a DPU's records, from the first on.
    fn places(&self, first: usize) -> impl Iterator<Item = usize> + Clone {
        std::iter::successors(Some(first), |place| self.0.get(*place)?.1)
    }

    /// A DPU's records, from the first on.
    fn of(&self, first: usize) -> impl Iterator<Item = &Record> + Clone {
        self.places(first).filter_map(|place| self.0.get(place)).map(|(record, _)| record)
    }
}

impl<A: Ack> Batch<A> {
    pub(crate) fn new(items: impl ExactSizeIterator<Item = Item<A>>, records: usize, known: &mut Known) -> Self {
        let answers = Vec::with_capacity(items.len());
        let mut batch = Self { records: Records(Vec::with_capacity(records)), shares: Vec::new(), quarantine: Vec::new(), answers };
        known.begin();
        for item in items {
            batch.answers.push((item.ack, item.records.len()));
            batch.quarantine.extend(item.quarantine);
            for (dpu, record) in item.records {
                let (seat, share) = known.share(&dpu, batch.shares.len());
                let place = batch.records.push(record);
                if let Some(share) = batch.shares.get_mut(share) {
                    batch.records.link(share.last, place);
                    share.last = place;
                } else {
                    batch.shares.push(Share { dpu, seat, first: place, last: place });
                }
            }
        }
        batch
    }

    /// Writes the batch; when this returns `Ok` it is durable, published to whoever follows, and every ack has been called.
    pub(crate) async fn commit(self, known: &mut Known, access: &Access) -> Result<(), StoreError> {
        let Self { records, shares, quarantine, answers } = self;
        let feed = access.shared.feed.as_deref();
        let touched = feed.map(|feed| shares.iter().map(|share| share.touched(&records, known, feed.is_alone())).collect::<Vec<_>>());
        load(&shares, known, access).await?;
        let mut writes = Vec::with_capacity(shares.len());
        let mut merges = Vec::new();
        for Share { dpu, seat, first, last: _ } in shares {
            let counters = known.counters(seat).copied().unwrap_or_default();
            match ledger::fold(&counters, records.of(first)) {
                None => {}
                Some(Fold::Append(changes)) => writes.push(Folded { dpu, seat, first, changes }),
                Some(Fold::Merge(merge)) => merges.push(Late { dpu, seat, first, merge }),
            }
        }
        merge_all(merges, &mut writes, access).await?;
        let mut commit = Commit { ledgers: Vec::with_capacity(writes.len()), quarantine };
        let mut seats = Vec::with_capacity(writes.len());
        let mut tallies = vec![Tally::default(); records.0.len()];
        for Folded { dpu, seat, first, mut changes } in writes {
            for (place, tally) in records.places(first).zip(std::mem::take(&mut changes.tallies)) {
                if let Some(place) = tallies.get_mut(place) {
                    *place = tally;
                }
            }
            seats.push((seat, changes.counters));
            commit.ledgers.push(LedgerWrite::new(dpu, changes));
        }
        drop(records);
        write(&Arc::new(commit), access).await?;
        for (seat, counters) in seats {
            known.learn(seat, counters);
        }
        if let Some((feed, touched)) = feed.zip(touched) {
            // Before the acks, and what was skipped too: whoever made it durable may not have lived to publish it.
            let changes: Vec<Change> = touched.into_iter().filter_map(|touched| touched.change(known)).collect();
            access.publish(feed, &changes).await;
        }
        let sum = tallies.iter().copied().fold(Tally::default(), Tally::plus);
        access.shared.metrics.accepted.inc_by(sum.accepted);
        access.shared.metrics.duplicate.inc_by(sum.duplicate);
        let mut tallies = tallies.into_iter();
        for (ack, records) in answers {
            ack.durable(Outcome { tallies: tallies.by_ref().take(records).collect() });
        }
        Ok(())
    }
}

impl Share {
    /// From when on its records may change the totals of its DPU, before they are folded.
    fn touched(&self, records: &Records, known: &Known, alone: bool) -> Touched {
        Touched::by(&self.dpu, self.seat, records.of(self.first), alone || known.counters(self.seat).is_some())
    }
}

/// One DPU's changes, ready to be written.
struct Folded {
    dpu: DpuId,
    seat: Seat,
    first: usize,
    changes: Changes,
}

/// One DPU's records, some of them before its last crossing.
struct Late {
    dpu: DpuId,
    seat: Seat,
    first: usize,
    merge: Merge,
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
async fn merge_all(merges: Vec<Late>, writes: &mut Vec<Folded>, access: &Access) -> Result<(), StoreError> {
    let mut waiting = merges.into_iter();
    let mut reading: JoinSet<Result<Folded, StoreError>> = JoinSet::new();
    loop {
        for Late { dpu, seat, first, merge } in waiting.by_ref().take(TAILS_AT_ONCE - reading.len()) {
            let access = access.clone();
            reading.spawn(async move {
                let from = merge.from();
                let tail = access.until_known(|| access.shared.store.tail(&dpu, &from)).await?;
                Ok(Folded { dpu, seat, first, changes: merge.apply(&tail) })
            });
        }
        match reading.join_next().await {
            None => return Ok(()),
            Some(Ok(folded)) => writes.push(folded?),
            Some(Err(lost)) => return Err(StoreError::Corrupt(format!("a read of a ledger did not end: {lost}"))),
        }
    }
}

/// Makes a commit durable, unless there is nothing in it.
async fn write(commit: &Arc<Commit>, access: &Access) -> Result<(), StoreError> {
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
