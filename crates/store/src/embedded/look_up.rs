//! Look-ups: made where they are asked for while they are quick, else where they may block.
//!
//! Handing work to another thread and back costs more than looking up what is in memory. What has to come from disk may
//! take long: so look-ups that are many, or slow, go to another thread; and after a slow one the next goes there at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{iter, slice};

use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Totals};
use occupancy::time::UnixMs;

use super::FjallStore;
use super::ledger::FjallLedger;
use super::sealed::{Ahead, Noted};
use crate::{Part, Stamped, StoreError, Summary};

/// How long the look-ups of a call keep the thread they are asked on: some dozens, from memory.
const IN_PLACE: Duration = Duration::from_micros(200);
/// How many DPUs are looked for ahead: what is touched for more would be far off again when it is their turn.
const AHEAD: usize = 256;
/// A look-up that takes longer than this waited for something.
const SLOW: Duration = Duration::from_micros(500);

/// Whether the latest look-up was quick.
pub(super) struct Pace(AtomicBool);

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

impl Pace {
    /// Looks up these in order, until `patience` is at its end.
    fn some<K, T>(
        &self,
        wanted: &[K],
        patience: Duration,
        look_up: &mut impl FnMut(&K) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let (start, mut found, mut slowest) = (Instant::now(), Vec::with_capacity(wanted.len()), Duration::ZERO);
        let mut spent = Duration::ZERO;
        for one in wanted {
            found.push(look_up(one)?);
            let now = start.elapsed();
            slowest = slowest.max(now.saturating_sub(spent));
            spent = now;
            if spent >= patience {
                break;
            }
        }
        self.0.store(slowest < SLOW, Ordering::Relaxed);
        Ok(found)
    }
}

impl FjallStore {
    /// Looks up each of these, in order.
    async fn look_up<K: Clone + Send + 'static, T: Send + 'static>(
        &self,
        wanted: &[K],
        mut look_up: impl FnMut(&K) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Vec<T>, StoreError> {
        let pace = &self.inner.pace;
        let quick = pace.0.load(Ordering::Relaxed);
        let mut found = if quick { pace.some(wanted, IN_PLACE, &mut look_up)? } else { Vec::new() };
        let rest = wanted.get(found.len()..).unwrap_or_default().to_vec();
        if !rest.is_empty() {
            found.extend(self.run(move |inner| inner.pace.some(&rest, Duration::MAX, &mut look_up)).await?);
        }
        Ok(found)
    }

    pub(super) async fn look_up_counters(&self, dpus: &[DpuId]) -> Result<Vec<Option<Counters>>, StoreError> {
        let (inner, snapshot) = (Arc::clone(&self.inner), self.inner.snapshot());
        self.look_up(dpus, move |dpu| inner.ledger(&snapshot, dpu)?.counters()).await
    }

    pub(super) async fn look_up_totals(&self, before: &[(DpuId, UnixMs)]) -> Result<Vec<Totals>, StoreError> {
        let of_one = |same: &[(DpuId, UnixMs)]| Some((same.first()?.0.clone(), same.iter().map(|(_, at)| *at).collect()));
        let wanted: Vec<_> = before.chunk_by(|one, next| one.0 == next.0).filter_map(of_one).collect();
        Ok(self.look_up_summaries(&wanted).await?.into_iter().flat_map(|one| one.totals).collect())
    }

    pub(super) async fn look_up_stamped(&self, before: &[(DpuId, UnixMs, Part)]) -> Result<Vec<Stamped>, StoreError> {
        let wanted = before.iter().map(|(dpu, at, _)| (dpu.clone(), *at));
        self.look_into(wanted, slice::from_ref, |ledger, at| ledger.stamped(*at)).await
    }

    pub(super) async fn look_up_summaries(&self, wanted: &[(DpuId, Vec<UnixMs>)]) -> Result<Vec<Summary>, StoreError> {
        self.look_into(wanted.iter().cloned(), Vec::as_slice, |ledger, instants| ledger.summary(instants)).await
    }

    /// Looks into the ledgers of DPUs, all as of one moment, with what is kept of them.
    async fn look_into<K: Clone + Send + 'static, T: Send + 'static>(
        &self,
        wanted: impl Iterator<Item = (DpuId, K)> + Send,
        instants: fn(&K) -> &[UnixMs],
        look: fn(&FjallLedger<'_>, &K) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let inner = Arc::clone(&self.inner);
        // Before the snapshot: see there.
        let wanted: Vec<(Noted, DpuId, K)> = wanted.map(|(dpu, key)| (inner.sealed.note(&dpu), dpu, key)).collect();
        let snapshot = inner.snapshot();
        let ahead = inner.sealed.ahead(wanted.iter().take(AHEAD).map(|(_, dpu, key)| (dpu, instants(key))));
        let wanted: Vec<_> = wanted.into_iter().zip(ahead.into_iter().chain(iter::repeat_with(Ahead::default))).collect();
        self.look_up(&wanted, move |((noted, dpu, key), ahead)| {
            let kept = inner.sealed.kept(dpu, *noted, ahead.clone());
            look(&FjallLedger::with(&snapshot, &inner.tables, kept)?, key)
        })
        .await
    }
}
