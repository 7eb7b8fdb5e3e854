//! What a lane commits, a few ledgers' changes and what it quarantined; and what is read of a ledger.

use std::time::Duration;

use occupancy::few::Few;
use occupancy::id::DpuId;
use occupancy::ledger::{Changes, Counters, Row, Totals};
use occupancy::time::{Day, UnixMs};

use crate::quarantine::Quarantined;

/// One batch, written in the order openings, crossings, counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// One entry a DPU.
    pub ledgers: Vec<LedgerWrite>,
    /// Input kept out of the ledgers.
    pub quarantine: Vec<Quarantined>,
}

/// What is known of a DPU, and of what it had seen before some instants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The realtime row; `None` for a DPU never heard of.
    pub counters: Option<Counters>,
    /// One for each instant.
    pub totals: Vec<Totals>,
}

/// Which of a DPU's totals before an instant are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All.
    Whole,
    /// Those within the day of the ms before it.
    WithinDay,
}

impl Part {
    /// What is needed for what lies between the totals before these instants: those of one day do without what came
    /// before it.
    #[must_use]
    pub fn between(instants: &[UnixMs]) -> Self {
        let mut days = instants.iter().map(|at| at.plus_ms(-1).day());
        let first = days.next();
        if days.all(|day| Some(day) == first) { Self::WithinDay } else { Self::Whole }
    }
}

/// How long a store that shows a commit by halves waits for one to be whole before it tells totals amid it: whoever wrote
/// the half may be gone, and what it left is what is stored until another has written the rest.
pub const COMMIT_PATIENCE: Duration = Duration::from_secs(2);

/// Totals, and when what told them was written.
///
/// # Why a stamp tells the state they are of
///
/// Let some counters be durable, and with them all that was written before, when totals are read. Whatever changes these
/// afterwards, a crossing of their day or a late one of an earlier day, writes what is then found: a new last row, that
/// row anew, the opening anew, or the opening of a later day; and always with a newer stamp. So if nothing that told the
/// totals is newer than the counters, they are the totals of the counters' own state; and all such are of one moment,
/// though they were read one by one.
///
/// That is as true as the rows are. An owner that was cut off leaves rows half written, and the next one may fold fewer
/// records and lean on them: then its rows and counters tell some crossings too early, until the log delivers these again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamped {
    /// Zero where there is no crossing.
    pub totals: Totals,
    /// What they are; all may be told where a part is asked for.
    pub part: Part,
    /// The newest stamp of what told them, in µs; the least there is where nothing did.
    pub stamp_us: i64,
}

impl Stamped {
    /// What nothing tells: no crossing.
    #[must_use]
    pub const fn nothing(part: Part) -> Self {
        Self { totals: Totals { entered: 0, exited: 0 }, part, stamp_us: i64::MIN }
    }

    /// The whole that an opening and what lies within its day tell together.
    #[must_use]
    pub fn and(self, within_day: Self) -> Self {
        let (totals, stamp_us) = (self.totals.plus(within_day.totals), self.stamp_us.max(within_day.stamp_us));
        Self { totals, stamp_us, ..self }
    }
}

/// The changes of one DPU's ledger, all written with one stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerWrite {
    /// Whose.
    pub dpu: DpuId,
    /// The version of every row here, in µs.
    pub stamp_us: i64,
    /// Totals before the first crossing of each day.
    pub openings: Vec<(Day, Totals)>,
    /// Crossings.
    pub rows: Few<Row>,
    /// The realtime row; `None` only in a commit cut short between its steps.
    pub counters: Option<Counters>,
}

impl LedgerWrite {
    /// The write that makes a DPU's changes.
    #[must_use]
    pub fn new(dpu: DpuId, changes: Changes) -> Self {
        let Changes { openings, rows, counters, tallies: _ } = changes;
        Self { dpu, stamp_us: counters.stamp_us, openings, rows, counters: Some(counters) }
    }
}
