//! Where a count starts: the latest of a correction, a daily reset, the beginning.

use chrono_tz::Tz;

use crate::time::{UnixMs, add_days, local_date, local_instant};
use crate::topology::Reset;
use crate::world::{Made, World};

/// What kind of start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Nobody ever counted, no reset has come: from 0 at the beginning of time.
    Beginning,
    /// A daily reset: from 0.
    Reset,
    /// Somebody counted.
    Correction,
}

/// Where a count starts. It acts before the crossings of its ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Baseline {
    /// What kind.
    pub kind: Kind,
    /// When; `None` at the beginning.
    pub at: Option<UnixMs>,
    /// From which count.
    pub count: i64,
}

impl Baseline {
    /// The start when there is nothing else.
    pub const BEGINNING: Self = Self { kind: Kind::Beginning, at: None, count: 0 };

    /// The instant from which crossings count.
    #[must_use]
    pub fn start(&self) -> UnixMs {
        self.at.unwrap_or(UnixMs::MIN)
    }
}

impl World {
    /// The baseline in force for a space at `at`, this instant included.
    #[must_use]
    pub fn baseline(&self, space: &str, at: UnixMs) -> Baseline {
        let reset = self.last_reset(space, at).map(|at| Baseline { kind: Kind::Reset, at: Some(at), count: 0 });
        let correction = self.latest_correction(space, at);
        let correction = correction.map(|(at, _, count)| Baseline { kind: Kind::Correction, at: Some(at), count: i64::from(count) });
        // At the same instant a correction beats a reset: it comes later in this order.
        reset.into_iter().chain(correction).max_by_key(|one| (one.at, one.kind)).unwrap_or(Baseline::BEGINNING)
    }

    /// The last daily reset of a space at or before `at`.
    #[must_use]
    pub fn last_reset(&self, space: &str, at: UnixMs) -> Option<UnixMs> {
        latest_reset(self.resets(space), self.zone(space), at)
    }

    /// The correction a space's count starts from at `at`, if it starts from one.
    #[must_use]
    pub fn baseline_correction(&self, space: &str, at: UnixMs) -> Option<&Made> {
        let (_, order, _) = self.latest_correction(space, at).filter(|_| self.baseline(space, at).kind == Kind::Correction)?;
        self.corrections().get(usize::try_from(order).ok()?)
    }

    /// The latest correction in force, of two at the same instant the later-made: when, order made, count.
    fn latest_correction(&self, space: &str, at: UnixMs) -> Option<(UnixMs, u64, u32)> {
        let latest = self.corrections_of(space)?.range(..=(at, u64::MAX)).next_back();
        latest.map(|((at, order), count)| (*at, *order, *count))
    }

    /// Every baseline of a space in `[from, to)`, in order of time, at most one an instant.
    #[must_use]
    pub fn baselines(&self, space: &str, from: UnixMs, to: UnixMs) -> Vec<Baseline> {
        let mut found = Vec::new();
        let mut until = to;
        while until > from {
            let last = self.baseline(space, until.plus_ms(-1));
            let Some(at) = last.at.filter(|at| *at >= from) else { break };
            found.push(last);
            until = at;
        }
        found.reverse();
        found
    }
}

/// The latest reset at or before `at`, given a space's dated entries in order of time.
fn latest_reset(entries: &[Reset], zone: Tz, at: UnixMs) -> Option<UnixMs> {
    let mut until = at;
    for entry in entries.iter().rev() {
        if entry.from > until {
            continue;
        }
        if let Some(found) = last_daily(entry, zone, until) {
            return Some(found);
        }
        until = entry.from.plus_ms(-1);
    }
    None
}

/// The last reset of one entry in `[entry.from, until]`.
fn last_daily(entry: &Reset, zone: Tz, until: UnixMs) -> Option<UnixMs> {
    let time = entry.at?;
    let today = local_date(zone, until);
    // The local date can run ahead of or behind the reset's own by a day where clocks jump over midnight.
    let near = (-2..=1).rev().filter_map(|days| local_instant(zone, add_days(today, days)?, time));
    near.filter(|at| (entry.from..=until).contains(at)).max()
}
