//! Whether two stores hold the same, found by walking both.

use std::cell::Cell;
use std::fmt;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use occupancy::crossing::Key;
use occupancy::edit::Edit;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row};
use occupancy::time::UnixMs;

use super::{Copying, PAGE, QUARANTINE_PAGE};
use crate::{Source, Store, StoreError};

/// What was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// Ledgers of the source.
    pub dpus: u64,
    /// Crossings of the source.
    pub crossings: u64,
    /// Edits of the source.
    pub edits: u64,
    /// Quarantined rows of the source.
    pub quarantined: u64,
    /// Mismatches told.
    pub mismatches: u64,
}

/// Something the source and the target do not hold alike: the first of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The edits, from this revision on.
    Edits(u64),
    /// The counters of a DPU.
    Counters(DpuId),
    /// The openings of a DPU.
    Openings(DpuId),
    /// The crossings of a DPU, from this one on; `None` where only one of the two has more.
    Crossings(DpuId, Option<Key>),
    /// How many DPUs there are.
    Dpus {
        /// In the source.
        source: u64,
        /// In the target.
        target: u64,
    },
    /// Quarantined input, from this source on; `None` where only the target has more.
    Quarantine(Option<Source>),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edits(revision) => write!(f, "the edits differ from revision {revision} on"),
            Self::Counters(dpu) => write!(f, "DPU {dpu}: the counters differ"),
            Self::Openings(dpu) => write!(f, "DPU {dpu}: the openings differ"),
            Self::Crossings(dpu, Some(key)) => write!(f, "DPU {dpu}: the crossings differ from {} on", key.at),
            Self::Crossings(dpu, None) => write!(f, "DPU {dpu}: one of the two has more crossings"),
            Self::Dpus { source, target } => write!(f, "the source has {source} DPUs, the target {target}"),
            Self::Quarantine(Some(Source { topic, partition, offset, .. })) => {
                write!(f, "the quarantined input differs from {topic}, partition {partition}, offset {offset} on")
            }
            Self::Quarantine(None) => write!(f, "the target has more quarantined input"),
        }
    }
}

/// The first revision at which two logs of edits differ.
pub(super) fn first_other_edit(source: &[Edit], target: &[Edit]) -> Option<u64> {
    let same = source.iter().zip(target).take_while(|(ours, theirs)| ours == theirs).count();
    (same < source.len().max(target.len())).then_some(same as u64 + 1)
}

impl Copying<'_> {
    /// Walks both and tells what differs; and how many more crossings were compared, as it goes.
    ///
    /// # Errors
    /// A store fails.
    pub async fn compare(&self, differs: &dyn Fn(Mismatch), told: &dyn Fn(u64)) -> Result<Compared, StoreError> {
        let mismatches = Cell::new(0_u64);
        let differs = |mismatch| {
            mismatches.set(mismatches.get() + 1);
            differs(mismatch);
        };
        let (edits, there) = (self.source.since(0).await?, self.target.since(0).await?);
        if let Some(revision) = first_other_edit(&edits, &there) {
            differs(Mismatch::Edits(revision));
        }
        let (dpus, crossings) = self.compare_ledgers(&differs, told).await?;
        let target = count_dpus(self.target).await?;
        if dpus != target {
            differs(Mismatch::Dpus { source: dpus, target });
        }
        let quarantined = self.compare_quarantine(&differs).await?;
        Ok(Compared { dpus, crossings, edits: edits.len() as u64, quarantined, mismatches: mismatches.get() })
    }

    async fn compare_ledgers(&self, differs: &dyn Fn(Mismatch), told: &dyn Fn(u64)) -> Result<(u64, u64), StoreError> {
        let (mut dpus, mut crossings, mut after) = (0, 0, None);
        loop {
            let page = self.source.dpus(after.as_ref(), PAGE).await?;
            let ids: Vec<DpuId> = page.iter().map(|(dpu, _)| dpu.clone()).collect();
            let there = self.target.counters(&ids).await?;
            let compared = page.iter().zip(there).map(|((dpu, ours), theirs)| self.compare_ledger(dpu, ours, theirs, differs, told));
            let walked = stream::iter(compared).buffer_unordered(self.at_once.max(1));
            crossings += walked.try_fold(0, |sum, rows| async move { Ok(sum + rows) }).await?;
            dpus += page.len() as u64;
            match page.into_iter().nth(PAGE - 1) {
                None => return Ok((dpus, crossings)),
                Some((last, _)) => after = Some(last),
            }
        }
    }

    /// Compares one ledger; how many crossings the source has.
    async fn compare_ledger(
        &self,
        dpu: &DpuId,
        ours: &Counters,
        theirs: Option<Counters>,
        differs: &dyn Fn(Mismatch),
        told: &dyn Fn(u64),
    ) -> Result<u64, StoreError> {
        if theirs != Some(*ours) {
            differs(Mismatch::Counters(dpu.clone()));
        }
        if self.source.openings(dpu).await? != self.target.openings(dpu).await? {
            differs(Mismatch::Openings(dpu.clone()));
        }
        let (mut walked, mut last, mut same) = (0, None, true);
        loop {
            let ours = rows_after(self.source, dpu, last, self.part_rows).await?;
            let theirs = if same { rows_after(self.target, dpu, last, self.part_rows).await? } else { Vec::new() };
            if same && ours != theirs {
                let first = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs).map(|(ours, _)| ours.key);
                differs(Mismatch::Crossings(dpu.clone(), first));
                same = false;
            }
            let Some(row) = ours.last() else {
                return Ok(walked);
            };
            last = Some(row.key);
            walked += ours.len() as u64;
            told(ours.len() as u64);
        }
    }

    async fn compare_quarantine(&self, differs: &dyn Fn(Mismatch)) -> Result<u64, StoreError> {
        let (mut rows, mut after, mut same) = (0, None, true);
        loop {
            let ours = self.source.quarantined(after.as_ref(), QUARANTINE_PAGE).await?;
            let theirs = if same { self.target.quarantined(after.as_ref(), QUARANTINE_PAGE).await? } else { Vec::new() };
            if same && ours != theirs {
                let equal = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
                differs(Mismatch::Quarantine(ours.get(equal).map(|one| one.source.clone())));
                same = false;
            }
            rows += ours.len() as u64;
            match ours.into_iter().next_back() {
                None => return Ok(rows),
                Some(last) => after = Some(last.source),
            }
        }
    }
}

/// A DPU's crossings after one, at most so many.
async fn rows_after(store: &dyn Store, dpu: &DpuId, last: Option<Key>, limit: usize) -> Result<Vec<Row>, StoreError> {
    let limit = limit.max(1);
    let mut rows = store.crossings(dpu, last.unwrap_or(Key::first_at(UnixMs::MIN)), UnixMs::MAX, limit + 1).await?;
    // The one itself comes again.
    rows.retain(|row| last.is_none_or(|last| row.key > last));
    rows.truncate(limit);
    Ok(rows)
}

async fn count_dpus(store: &dyn Store) -> Result<u64, StoreError> {
    let (mut dpus, mut after) = (0, None);
    loop {
        let page = store.dpus(after.as_ref(), PAGE).await?;
        dpus += page.len() as u64;
        match page.into_iter().nth(PAGE - 1) {
            None => return Ok(dpus),
            Some((last, _)) => after = Some(last),
        }
    }
}
