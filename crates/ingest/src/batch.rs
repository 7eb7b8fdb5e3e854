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
    shares: Vec<Share>,
    quarantine: Vec<Quarantined>,
    answers: Vec<(A, Outcome)>,
}

/// The records of one DPU in a batch, in log order.
struct Share {
    dpu: DpuId,
    seat: Seat,
    records: Vec<Record>,
    places: Places,
}

/// For each record, the item it came in and its place there.
type Places = Vec<(usize, usize)>;

impl<A: Ack> Batch<A> {
    pub(crate) fn new(items: impl Iterator<Item = Item<A>>, known: &mut Known) -> Self {
        let mut batch = Self { shares: Vec::new(), quarantine: Vec::new(), answers: Vec::new() };
        known.begin();
        for (i, item) in items.enumerate() {
            let tallies = vec![Tally::default(); item.records.len()];
            batch.answers.push((item.ack, Outcome { tallies }));
            batch.quarantine.extend(item.quarantine);
            for (j, (dpu, record)) in item.records.into_iter().enumerate() {
                let (seat, share) = known.share(&dpu, batch.shares.len());
                if let Some(share) = batch.shares.get_mut(share) {
                    share.records.push(record);
                    share.places.push((i, j));
                } else {
                    batch.shares.push(Share { dpu, seat, records: vec![record], places: vec![(i, j)] });
                }
            }
        }
        batch
    }

    /// Writes the batch; when this returns `Ok` it is durable, published to whoever follows, and every ack has been called.
    pub(crate) async fn commit(self, known: &mut Known, access: &Access) -> Result<(), StoreError> {
        let Self { shares, quarantine, mut answers } = self;
        let feed = access.shared.feed.as_deref();
        let touched = feed.map(|feed| shares.iter().map(|share| share.touched(known, feed.is_alone())).collect::<Vec<_>>());
        load(&shares, known, access).await?;
        let mut writes = Vec::with_capacity(shares.len());
        let mut merges = Vec::new();
        for Share { dpu, seat, records, places } in shares {
            let counters = known.counters(seat).copied().unwrap_or_default();
            match ledger::fold(&counters, &records) {
                None => {}
                Some(Fold::Append(changes)) => writes.push(Folded { dpu, seat, places, changes }),
                Some(Fold::Merge(merge)) => merges.push(Late { dpu, seat, places, merge }),
            }
        }
        merge_all(merges, &mut writes, access).await?;
        let mut commit = Commit { ledgers: Vec::with_capacity(writes.len()), quarantine };
        let mut seats = Vec::with_capacity(writes.len());
        for Folded { dpu, seat, places, mut changes } in writes {
            for ((item, record), tally) in places.into_iter().zip(std::mem::take(&mut changes.tallies)) {
                let place = answers.get_mut(item).and_then(|(_, outcome)| outcome.tallies.get_mut(record));
                if let Some(place) = place {
                    *place = tally;
                }
            }
            seats.push((seat, changes.counters));
            commit.ledgers.push(LedgerWrite::new(dpu, changes));
        }
        write(&Arc::new(commit), access).await?;
        for (seat, counters) in seats {
            known.learn(seat, counters);
        }
        if let Some((feed, touched)) = feed.zip(touched) {
            // Before the acks, and what was skipped too: whoever made it durable may not have lived to publish it.
            let changes: Vec<Change> = touched.into_iter().filter_map(|touched| touched.change(known)).collect();
            access.publish(feed, &changes).await;
        }
        let tally = answers.iter().flat_map(|(_, outcome)| &outcome.tallies).copied().fold(Tally::default(), Tally::plus);
        access.shared.metrics.accepted.inc_by(tally.accepted);
        access.shared.metrics.duplicate.inc_by(tally.duplicate);
        for (ack, outcome) in answers {
            ack.durable(outcome);
        }
        Ok(())
    }
}

impl Share {
    /// From when on its records may change the totals of its DPU, before they are folded.
    fn touched(&self, known: &Known, alone: bool) -> Touched {
        Touched::by(&self.dpu, self.seat, &self.records, alone || known.counters(self.seat).is_some())
    }
}

/// One DPU's changes, ready to be written.
struct Folded {
    dpu: DpuId,
    seat: Seat,
    places: Places,
    changes: Changes,
}

/// One DPU's records, some of them before its last crossing.
struct Late {
    dpu: DpuId,
    seat: Seat,
    places: Places,
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
        for Late { dpu, seat, places, merge } in waiting.by_ref().take(TAILS_AT_ONCE - reading.len()) {
            let access = access.clone();
            reading.spawn(async move {
                let from = merge.from();
                let tail = access.until_known(|| access.shared.store.tail(&dpu, &from)).await?;
                Ok(Folded { dpu, seat, places, changes: merge.apply(&tail) })
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
