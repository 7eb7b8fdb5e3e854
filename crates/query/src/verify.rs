//! Recomputes every ledger from its crossings and compares what is stored.

use std::collections::BTreeMap;
use std::fmt;

use occupancy::crossing::Key;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row, Totals};
use occupancy::time::{Day, UnixMs};
use store::{Ledgers, StoreError};

/// Rows and DPUs read at once.
pub(crate) const CHUNK: usize = 4096;

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Ledgers.
    pub dpus: u64,
    /// Crossings.
    pub crossings: u64,
    /// Differences told.
    pub differences: u64,
}

/// Something stored that is not what its crossings make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A crossing's totals within its day.
    Row {
        /// Whose.
        dpu: DpuId,
        /// Which.
        key: Key,
        /// As stored.
        stored: Totals,
        /// As its crossings make it.
        recomputed: Totals,
    },
    /// The totals before a day.
    Opening {
        /// Whose.
        dpu: DpuId,
        /// Which.
        day: Day,
        /// As stored; `None` where a day with crossings has none.
        stored: Option<Totals>,
        /// As its crossings make it.
        recomputed: Totals,
    },
    /// The counters: opening and day totals of the last day, last key; last heard, which crossings bound from below.
    Counters {
        /// Whose.
        dpu: DpuId,
        /// As stored.
        stored: Standing,
        /// As its crossings make it.
        recomputed: Standing,
    },
}

/// What crossings say about the counters.
pub type Standing = (Totals, Totals, Option<Key>, Option<UnixMs>);

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = |totals: &Totals| format!("{} entered {} exited", totals.entered, totals.exited);
        match self {
            Self::Row { dpu, key: Key { at, boot, seq, direction }, stored, recomputed } => {
                let (stored, recomputed, sign) = (totals(stored), totals(recomputed), direction.sign());
                write!(f, "DPU {dpu}, crossing {sign:+} at {at} (boot {boot}, seq {seq}): stored {stored}, recomputed {recomputed}")
            }
            Self::Opening { dpu, day, stored, recomputed } => {
                let stored = stored.as_ref().map_or_else(|| "nothing".to_owned(), totals);
                write!(f, "DPU {dpu}, opening of {}: stored {stored}, recomputed {}", day.start(), totals(recomputed))
            }
            Self::Counters { dpu, stored, recomputed } => {
                let [stored, recomputed] = [stored, recomputed].map(|(opening, day, last, heard)| {
                    let time = |at: Option<UnixMs>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
                    let (last, heard) = (time(last.map(|key| key.at)), time(*heard));
                    format!("{} + {}, last {last}, heard {heard}", totals(opening), totals(day))
                });
                write!(f, "DPU {dpu}, counters: stored {stored}, recomputed {recomputed}")
            }
        }
    }
}

/// Recomputes every ledger and tells each difference as it is found, with nothing else at work on the store.
///
/// Memory: a chunk of rows, and one DPU's openings.
///
/// # Errors
/// The store fails.
pub async fn verify(store: &dyn Ledgers, mut told: impl FnMut(Difference) + Send) -> Result<Verified, StoreError> {
    let mut verified = Verified::default();
    let mut after = None;
    loop {
        let dpus = store.dpus(after.as_ref(), CHUNK).await?;
        for (dpu, counters) in &dpus {
            let mut check = Check::new(dpu, store.openings(dpu).await?);
            check
                .walk(store, &mut |difference| {
                    verified.differences += 1;
                    told(difference);
                })
                .await?;
            verified.dpus += 1;
            verified.crossings += check.crossings;
            if let Some(difference) = check.compare(counters) {
                verified.differences += 1;
                told(difference);
            }
        }
        match dpus.into_iter().nth(CHUNK - 1) {
            None => return Ok(verified),
            Some((last, _)) => after = Some(last),
        }
    }
}

/// One ledger, recomputed so far.
struct Check<'a> {
    dpu: &'a DpuId,
    /// Stored openings not compared yet.
    openings: BTreeMap<Day, Totals>,
    opening: Totals,
    day: Totals,
    last: Option<Key>,
    heard: Option<UnixMs>,
    crossings: u64,
}

impl<'a> Check<'a> {
    fn new(dpu: &'a DpuId, openings: Vec<(Day, Totals)>) -> Self {
        let openings = openings.into_iter().collect();
        Self { dpu, openings, opening: Totals::default(), day: Totals::default(), last: None, heard: None, crossings: 0 }
    }

    async fn walk(&mut self, store: &dyn Ledgers, told: &mut (dyn FnMut(Difference) + Send)) -> Result<(), StoreError> {
        let mut from = Key::first_at(UnixMs::MIN);
        loop {
            let rows = store.crossings(self.dpu, from, UnixMs::MAX, CHUNK).await?;
            for row in rows.iter().filter(|row| self.last.is_none_or(|last| row.key > last)).collect::<Vec<_>>() {
                self.step(row, told);
            }
            match rows.last() {
                Some(last) if rows.len() == CHUNK => from = last.key,
                _ => break,
            }
        }
        // An opening of a day without crossings is left by a commit cut short; harmless while it is right.
        self.close_before(Day(i32::MAX), told);
        Ok(())
    }

    fn step(&mut self, row: &Row, told: &mut (dyn FnMut(Difference) + Send)) {
        let day = row.key.at.day();
        if self.last.is_none_or(|last| last.at.day() != day) {
            self.close_before(day, told);
            (self.opening, self.day) = (self.opening.plus(self.day), Totals::default());
            let stored = self.openings.remove(&day);
            if stored != Some(self.opening) {
                told(Difference::Opening { dpu: self.dpu.clone(), day, stored, recomputed: self.opening });
            }
        }
        self.day = self.day.with(row.key.direction);
        if row.totals != self.day {
            told(Difference::Row { dpu: self.dpu.clone(), key: row.key, stored: row.totals, recomputed: self.day });
        }
        self.last = Some(row.key);
        self.heard = self.heard.max(Some(row.key.at.min(row.appended_at)));
        self.crossings += 1;
    }

    /// Compares stored openings of days before `day`, none of which has crossings.
    fn close_before(&mut self, day: Day, told: &mut (dyn FnMut(Difference) + Send)) {
        let later = self.openings.split_off(&day);
        let recomputed = self.opening.plus(self.day);
        for (day, stored) in std::mem::replace(&mut self.openings, later) {
            if stored != recomputed {
                told(Difference::Opening { dpu: self.dpu.clone(), day, stored: Some(stored), recomputed });
            }
        }
    }

    fn compare(&self, counters: &Counters) -> Option<Difference> {
        let stored = (counters.opening, counters.day, counters.last, counters.heard);
        // Heartbeats and duplicates may have been heard later than any crossing.
        let recomputed = (self.opening, self.day, self.last, self.heard.max(counters.heard));
        (stored != recomputed).then(|| Difference::Counters { dpu: self.dpu.clone(), stored, recomputed })
    }
}
