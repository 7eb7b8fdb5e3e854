//! What goes wrong between a DPU and the log: duplicates, delays, outages, fast clocks, losses.
//!
//! Everything is delivered in the end except what [`Mix::lost_permille`] takes, and [`Tally::lost`] counts that. So once
//! all is delivered, counts equal the truth less the lost; with fast clocks only up to how far they run ahead.

use std::collections::BTreeMap;

use occupancy::crossing::{Heartbeat, Key};
use occupancy::time::UnixMs;
use wire::Report;

use crate::rng::{Rng, mix};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// A report and when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// When it leaves for the log.
    pub at: UnixMs,
    /// What is sent.
    pub report: Report,
}

/// How often what goes wrong; by default nothing does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mix {
    /// Reports sent again within the hour.
    pub duplicated_permille: u32,
    /// Reports overtaken by others sent up to 30 s later; their crossings are in reverse order.
    pub reordered_permille: u32,
    /// Reports that come 1 to 6 hours late.
    pub delayed_permille: u32,
    /// Hours a DPU is cut off from its half on; the whole hour is sent at its end, so its first half comes twice.
    pub outage_permille: u32,
    /// Reports whose crossings are lost for good; heartbeats go on and show them missing.
    pub lost_permille: u32,
    /// DPUs whose clock runs ahead.
    pub fast_permille: u32,
    /// How far it runs ahead, in ms.
    pub fast_by_ms: u32,
}

impl Mix {
    /// Everything that mends itself, often: counts end at the truth.
    pub const BAD_DAY: Self = Self {
        duplicated_permille: 50,
        reordered_permille: 100,
        delayed_permille: 20,
        outage_permille: 100,
        lost_permille: 0,
        fast_permille: 0,
        fast_by_ms: 0,
    };
}

/// How many crossings met which fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sent again, by whatever fault.
    pub duplicated: u64,
    /// Overtaken.
    pub reordered: u64,
    /// Hours late.
    pub delayed: u64,
    /// Seen while cut off.
    pub cut_off: u64,
    /// Lost for good.
    pub lost: u64,
    /// Stamped ahead of their time.
    pub fast: u64,
}

/// Takes reports as they are made and gives them out as they are sent.
#[derive(Debug, Clone)]
pub struct Faults {
    mix: Mix,
    seed: u64,
    rng: Rng,
    /// By time of sending, then in the order they were made.
    held: BTreeMap<(UnixMs, u64), Report>,
    next: u64,
    tally: Tally,
}

impl Faults {
    /// Faults by this mix; the same seed makes the same.
    #[must_use]
    pub fn new(mix: Mix, seed: u64) -> Self {
        Self { mix, seed, rng: Rng::new(seed), held: BTreeMap::new(), next: 0, tally: Tally::default() }
    }

    /// Takes a report; later ones are made at its instant or later.
    pub fn push(&mut self, sent: Sent) {
        let Sent { at, mut report } = sent;
        let crossings = report.crossings.len() as u64;
        if self.is_fast(&report) {
            self.tally.fast += crossings;
            report = ahead(report, self.mix.fast_by_ms.into());
        }
        if self.rng.chance(self.mix.lost_permille) {
            self.tally.lost += crossings;
            report.crossings.clear();
            return self.hold(at, 0, report);
        }
        if let Some((cut_off, end_ms)) = self.outage(at, &report) {
            if cut_off {
                self.tally.cut_off += crossings;
            } else {
                self.tally.duplicated += crossings;
                self.hold(at, 0, report.clone());
            }
            return self.hold(at, end_ms, report);
        }
        let mut delay_ms = 0;
        if self.rng.chance(self.mix.delayed_permille) {
            self.tally.delayed += crossings;
            delay_ms = HOUR_MS + self.rng.below(5 * HOUR_MS);
        } else if self.rng.chance(self.mix.reordered_permille) {
            self.tally.reordered += crossings;
            report.crossings.reverse();
            delay_ms = self.rng.below(MINUTE_MS / 2);
        }
        if self.rng.chance(self.mix.duplicated_permille) {
            self.tally.duplicated += crossings;
            let again_ms = delay_ms + self.rng.below(HOUR_MS);
            self.hold(at, again_ms, report.clone());
        }
        self.hold(at, delay_ms, report);
    }

    /// The next report sent up to and including `until`.
    pub fn pop(&mut self, until: UnixMs) -> Option<Sent> {
        let first = self.held.first_entry()?;
        let (at, _) = *first.key();
        (at <= until).then(|| Sent { at, report: first.remove() })
    }

    /// What went wrong so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    fn hold(&mut self, at: UnixMs, delay_ms: u64, report: Report) {
        self.held.insert((at.plus_ms(delay_ms.cast_signed()), self.next), report);
        self.next += 1;
    }

    /// A DPU's clock is fast for good.
    fn is_fast(&self, report: &Report) -> bool {
        mix(self.seed ^ u64::from(report.dpu.murmur2())) % 1000 < self.mix.fast_permille.into()
    }

    /// Whether this is an hour with an outage for this DPU: whether it is cut off yet, and how long until the end, in ms.
    fn outage(&self, at: UnixMs, report: &Report) -> Option<(bool, u64)> {
        let ms = at.ms().max(0).unsigned_abs();
        let drawn = mix(mix(self.seed.wrapping_add(ms / HOUR_MS)) ^ u64::from(report.dpu.murmur2()));
        (drawn % 1000 < self.mix.outage_permille.into()).then(|| (ms % HOUR_MS >= HOUR_MS / 2, HOUR_MS - ms % HOUR_MS))
    }
}

/// The report of a clock that runs ahead.
fn ahead(report: Report, by_ms: i64) -> Report {
    let shift = |key: Key| Key { at: key.at.plus_ms(by_ms), ..key };
    Report {
        crossings: report.crossings.into_iter().map(|key| key.map(shift)).collect(),
        heartbeat: report.heartbeat.map(|beat| Heartbeat { at: beat.at.plus_ms(by_ms), ..beat }),
        ..report
    }
}
