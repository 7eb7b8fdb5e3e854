//! Input kept out of the ledgers, with the reason; nothing is dropped without a row here.

use occupancy::id::DpuId;
use occupancy::time::UnixMs;

/// Where a piece of input came from: its identity, so that writing it twice keeps it once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The Kafka topic, or `http`.
    pub topic: String,
    /// The partition; 0 over HTTP.
    pub partition: i32,
    /// The offset; over HTTP a number of the server's own that never comes twice.
    pub offset: i64,
    /// Which crossing of the record, from 0; [`Source::WHOLE`] for the whole record.
    pub index: u32,
}

impl Source {
    /// The index of a record quarantined as a whole.
    pub const WHOLE: u32 = u32::MAX;
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It cannot be read as a report or crossing.
    Undecodable,
    /// Its `at` is too far ahead of the append time.
    ClockAhead,
    /// Its `at` is before 2000: the DPU's clock was never set.
    ClockUnset,
    /// It came later than `max_lateness` allows.
    TooLate,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Undecodable, Self::ClockAhead, Self::ClockUnset, Self::TooLate];

    /// The reason's name, on the wire and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::ClockAhead => "clock_ahead",
            Self::ClockUnset => "clock_unset",
            Self::TooLate => "too_late",
        }
    }
}

/// One piece of quarantined input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Where it came from.
    pub source: Source,
    /// Why it was kept out.
    pub reason: Reason,
    /// What exactly was wrong, for people.
    pub detail: String,
    /// Whose it is, where that could be read.
    pub dpu: Option<DpuId>,
    /// When it was taken in.
    pub received_at: UnixMs,
    /// The record as it came, or a JSON report of just this crossing.
    pub payload: Vec<u8>,
    /// When it was replayed.
    pub replayed_at: Option<UnixMs>,
}

impl Quarantined {
    /// What is stored when this is written over `old`: the same input again never takes back that it was replayed.
    pub(crate) fn after(self, old: Option<&Self>) -> Self {
        let replayed_at = self.replayed_at.max(old.and_then(|old| old.replayed_at));
        Self { replayed_at, ..self }
    }
}
