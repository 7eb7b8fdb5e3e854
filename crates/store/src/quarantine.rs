//! Input kept out of the ledgers, with the reason; nothing is dropped without a row here.

use std::fmt;
use std::str::FromStr;

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

    /// The last source there could be before this one; `None` for the very first.
    #[must_use]
    pub fn before(&self) -> Option<Self> {
        let before = |partition, offset, index| Some(Self { topic: self.topic.clone(), partition, offset, index });
        match (self.index.checked_sub(1), self.offset.checked_sub(1)) {
            (Some(index), _) => before(self.partition, self.offset, index),
            (None, Some(offset)) => before(self.partition, offset, Self::WHOLE),
            (None, None) => before(self.partition.checked_sub(1)?, i64::MAX, Self::WHOLE),
        }
    }
}

/// `http/0/1732227600000000/3`: topic, partition, offset and crossing; the whole record without the last.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, offset, index } = self;
        write!(f, "{topic}/{partition}/{offset}")?;
        if *index == Self::WHOLE { Ok(()) } else { write!(f, "/{index}") }
    }
}

/// Why a text names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no quarantined input: expected TOPIC/PARTITION/OFFSET, or TOPIC/PARTITION/OFFSET/INDEX for one crossing of a record")]
pub struct SourceError(String);

impl FromStr for Source {
    type Err = SourceError;
    fn from_str(text: &str) -> Result<Self, SourceError> {
        let read = || {
            let (topic, rest) = text.split_once('/').filter(|(topic, _)| !topic.is_empty())?;
            let (partition, rest) = rest.split_once('/')?;
            let (offset, index) = rest.split_once('/').map_or((rest, None), |(offset, index)| (offset, Some(index)));
            let index = index.map_or(Ok(Self::WHOLE), str::parse).ok()?;
            Some(Self { topic: topic.to_owned(), partition: partition.parse().ok()?, offset: offset.parse().ok()?, index })
        };
        read().ok_or_else(|| SourceError(text.to_owned()))
    }
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

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn a_source_reads_back_as_it_is_written() {
        for text in ["http/0/17/3", "http/0/17", "headcount.crossings@2/-1/9223372036854775807/0"] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
        for text in ["", "http", "/0/1", "http/0", "http/0/x", "http/0/1/2/3", "http/0/1/-1", "http/0/1/"] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_lies_between_a_source_and_the_one_before_it() {
        let source = |text: &str| text.parse::<Source>().unwrap();
        assert_eq!(source("t/0/5/3").before(), Some(source("t/0/5/2")));
        assert_eq!(source("t/0/5/0").before(), Some(source("t/0/4")));
        assert_eq!(source("t/0/-9223372036854775808/0").before(), Some(source("t/-1/9223372036854775807")));
        assert_eq!(source("t/-2147483648/-9223372036854775808/0").before(), None);
    }
}
