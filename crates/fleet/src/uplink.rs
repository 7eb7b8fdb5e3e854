//! What DPUs send: their crossings every so often, and heartbeats.

use std::collections::BTreeMap;

use occupancy::crossing::{Heartbeat, Key};
use occupancy::time::UnixMs;
use wire::Report;

use crate::faults::{Faults, Sent};
use crate::people::People;

/// How often DPUs send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Crossings are sent together this often, in ms; at least 1.
    pub report_every_ms: u32,
    /// A DPU that saw nobody still says this often that it is alive, in ms; not more often than reports.
    pub heartbeat_every_ms: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self { report_every_ms: 1000, heartbeat_every_ms: 60_000 }
    }
}

/// A campus in action: people, DPUs, and what goes wrong on the way.
#[derive(Debug, Clone)]
pub struct Fleet {
    people: People,
    faults: Faults,
    tick_ms: i64,
    /// Every how many ticks a DPU sends a heartbeat.
    beats: u64,
    ticks: u64,
    at: UnixMs,
}

impl Fleet {
    /// Sends what these people's DPUs see.
    #[must_use]
    pub fn new(people: People, timing: Timing, faults: Faults) -> Self {
        let tick_ms = timing.report_every_ms.max(1);
        let beats = u64::from(timing.heartbeat_every_ms / tick_ms).max(1);
        let at = people.from();
        Self { people, faults, tick_ms: tick_ms.into(), beats, ticks: 0, at }
    }

    /// What is sent up to and including `now`, in order of sending; called again with a later `now` it goes on.
    pub fn until(&mut self, now: UnixMs) -> impl Iterator<Item = Sent> + '_ {
        std::iter::from_fn(move || {
            loop {
                if let Some(sent) = self.faults.pop(self.at) {
                    return Some(sent);
                }
                let next = self.at.plus_ms(self.tick_ms);
                if next > now || next == self.at {
                    return None;
                }
                self.tick(next);
            }
        })
    }

    /// What is still held back, in order of sending: nothing new happens.
    pub fn rest(&mut self) -> impl Iterator<Item = Sent> + '_ {
        std::iter::from_fn(|| self.faults.pop(UnixMs::MAX))
    }

    /// Up to when, included, DPUs have been given their crossings: [`People::inside`] is the truth of this instant.
    #[must_use]
    pub fn at(&self) -> UnixMs {
        self.at
    }

    /// The people.
    #[must_use]
    pub fn people(&self) -> &People {
        &self.people
    }

    /// What went wrong so far.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    fn tick(&mut self, at: UnixMs) {
        self.at = at;
        self.ticks += 1;
        let mut reports: BTreeMap<usize, Vec<Key>> = BTreeMap::new();
        while let Some((dpu, key)) = self.people.next_until(at) {
            reports.entry(dpu).or_default().push(key);
        }
        // Heartbeats take turns, so that not all come at once.
        let turn = usize::try_from(self.ticks % self.beats).unwrap_or(0);
        let step = usize::try_from(self.beats).unwrap_or(usize::MAX);
        for dpu in (turn..self.people.campus().dpus().len()).step_by(step) {
            reports.entry(dpu).or_default();
        }
        for (index, keys) in reports {
            let Some(dpu) = self.people.campus().dpus().get(index).cloned() else { continue };
            let seen = self.people.seen(index);
            let heartbeat = Some(Heartbeat { at, boot: seen.boot, last_seq: seen.seq });
            let report = Report { dpu, crossings: keys.into_iter().map(Ok).collect(), heartbeat, accept_clock: false };
            self.faults.push(Sent { at, report });
        }
    }
}
