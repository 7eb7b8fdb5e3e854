//! From a batch of items to one commit, and back to the outcome of each item.

use std::collections::HashMap;
use std::sync::Arc;

use occupancy::id::DpuId;
use occupancy::ledger::{self, Changes, Counters, Fold, Merge, Record, Tally};
use store::{Commit, LedgerWrite, Quarantined, StoreError};
use tokio::task::JoinSet;

use crate::access::Access;
use crate::feed::Touched;
use crate::item::{Ack, Item, Outcome};

/// How many ledgers are read at once for merges.
const TAILS_AT_ONCE: usize = 32;

/// The items of one commit, their records regrouped by DPU.
pub(crate) struct Batch<A> {
    ledgers: Vec<Share>,
    quarantine: Vec<Quarantined>,
    answers: Vec<(A, Outcome)>,
}

/// The records of one DPU in a batch, in log order.
struct Share {
    dpu: DpuId,
    records: Vec<Record>,
    places: Places,
}

/// For each record, the item it came in and its place there.
type Places = Vec<(usize, usize)>;

impl<A: Ack> Batch<A> {
    pub(crate) fn new(items: impl Iterator<Item = Item<A>>) -> Self {
        let mut batch = Self { ledgers: Vec::new(), quarantine: Vec::new(), answers: Vec::new() };
        let mut shares: HashMap<DpuId, usize> = HashMap::new();
        for (i, item) in items.enumerate() {
            let tallies = vec![Tally::default(); item.records.len()];
            batch.answers.push((item.ack, Outcome { tallies }));
            batch.quarantine.extend(item.quarantine);
            for (j, (dpu, record)) in item.records.into_iter().enumerate() {
                let share = *shares.entry(dpu).or_insert_with_key(|dpu| {
                    batch.ledgers.push(Share { dpu: dpu.clone(), records: Vec::new(), places: Vec::new() });
                    batch.ledgers.len() - 1
                });
                if let Some(share) = batch.ledgers.get_mut(share) {
                    share.records.push(record);
                    share.places.push((i, j));
                }
            }
        }
        batch
    }

    /// Writes the batch; when this returns `Ok` it is durable, published to whoever follows, and every ack has been called.
    pub(crate) async fn commit(self, known: &mut HashMap<DpuId, Counters>, access: &Access) -> Result<(), StoreError> {
        let Self { ledgers, quarantine, mut answers } = self;
        let shares = ledgers.iter().map(|share| (&share.dpu, share.records.as_slice()));
        let followed = access.shared.feed.as_deref().map(|feed| (feed, Touched::by(shares, known, feed.is_alone())));
        load(&ledgers, known, access).await?;
        let mut writes = Vec::with_capacity(ledgers.len());
        let mut merges = Vec::new();
        for share in ledgers {
            let counters = known.get(&share.dpu).copied().unwrap_or_default();
            match ledger::fold(&counters, &share.records) {
                None => {}
                Some(Fold::Append(changes)) => writes.push(Folded { dpu: share.dpu, places: share.places, changes }),
                Some(Fold::Merge(merge)) => merges.push((share.dpu, share.places, merge)),
            }
        }
        merge_all(merges, &mut writes, access).await?;
        let mut commit = Commit { ledgers: Vec::with_capacity(writes.len()), quarantine };
        for Folded { dpu, places, mut changes } in writes {
            for ((item, record), tally) in places.into_iter().zip(std::mem::take(&mut changes.tallies)) {
                let place = answers.get_mut(item).and_then(|(_, outcome)| outcome.tallies.get_mut(record));
                if let Some(place) = place {
                    *place = tally;
                }
            }
            commit.ledgers.push(LedgerWrite::new(dpu, changes));
        }
        let commit = Arc::new(commit);
        write(&commit, access).await?;
        for write in &commit.ledgers {
            if let (Some(known), Some(counters)) = (known.get_mut(&write.dpu), write.counters) {
                *known = counters;
            }
        }
        if let Some((feed, touched)) = followed {
            // Before the acks, and what was skipped too: whoever made it durable may not have lived to publish it.
            access.publish(feed, &touched.changes(known)).await;
        }
        for (ack, outcome) in answers {
            let tally = outcome.tallies.iter().copied().fold(Tally::default(), Tally::plus);
            access.shared.metrics.accepted.inc_by(tally.accepted);
            access.shared.metrics.duplicate.inc_by(tally.duplicate);
            ack.durable(outcome);
        }
        Ok(())
    }
}

/// One DPU's changes, ready to be written.
struct Folded {
    dpu: DpuId,
    places: Places,
    changes: Changes,
}

/// Reads the counters that are not known yet.
async fn load(ledgers: &[Share], known: &mut HashMap<DpuId, Counters>, access: &Access) -> Result<(), StoreError> {
    let missing: Vec<DpuId> = ledgers.iter().filter(|share| !known.contains_key(&share.dpu)).map(|share| share.dpu.clone()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let found = access.until_known(|| access.shared.store.counters(&missing)).await?;
    known.extend(missing.into_iter().zip(found.into_iter().map(Option::unwrap_or_default)));
    Ok(())
}

/// Reads the tails that merges need, some at once, and applies them.
async fn merge_all(merges: Vec<(DpuId, Places, Merge)>, writes: &mut Vec<Folded>, access: &Access) -> Result<(), StoreError> {
    let mut waiting = merges.into_iter();
    let mut reading: JoinSet<Result<Folded, StoreError>> = JoinSet::new();
    loop {
        for (dpu, places, merge) in waiting.by_ref().take(TAILS_AT_ONCE - reading.len()) {
            let access = access.clone();
            reading.spawn(async move {
                let from = merge.from();
                let tail = access.until_known(|| access.shared.store.tail(&dpu, &from)).await?;
                Ok(Folded { dpu, places, changes: merge.apply(&tail) })
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
