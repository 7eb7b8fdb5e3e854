//! Every key of the embedded store: as bytes they sort as they do as values.
//!
//! Numbers are big-endian, those with a sign with the sign bit flipped; a text ends with a zero byte. What they look like
//! belongs to the store's format number ([`crate::FORMAT`]).

use std::cmp::Reverse;

use occupancy::id::DpuId;
use occupancy::time::Day;

use crate::codec::{Reader, corrupt};
use crate::{Source, StoreError};

/// A table: one keyspace each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Crossings,
    Days,
    Counters,
    Edits,
    Settings,
    Quarantine,
}

impl Table {
    /// The keyspace's name on disk.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crossings => "crossings",
            Self::Days => "days",
            Self::Counters => "counters",
            Self::Edits => "edits",
            Self::Settings => "settings",
            Self::Quarantine => "quarantine",
        }
    }
}

/// The key of a stored value.
///
/// Days are kept newest first: "the last one before" is then one seek forward, which costs the database less than one
/// backward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StoreKey<'a> {
    /// The day's first has the number 0.
    Segment(&'a DpuId, Day, u32),
    Day(&'a DpuId, Reverse<Day>),
    Counters(&'a DpuId),
    /// The revision an edit made.
    Edit(u64),
    Settings,
    Quarantined(&'a Source),
}

impl StoreKey<'_> {
    /// Where it is kept.
    pub(crate) fn table(&self) -> Table {
        match self {
            Self::Segment(..) => Table::Crossings,
            Self::Day(..) => Table::Days,
            Self::Counters(_) => Table::Counters,
            Self::Edit(_) => Table::Edits,
            Self::Settings => Table::Settings,
            Self::Quarantined(_) => Table::Quarantine,
        }
    }

    /// As bytes; within a table their order is that of the keys.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        self.encode_into(&mut out);
        out
    }

    /// Appends what [`StoreKey::encode`] gives.
    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Segment(dpu, day, number) => {
                put_dpu(out, dpu);
                out.extend_from_slice(&ordered_i32(day.0));
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Day(dpu, Reverse(day)) => {
                put_dpu(out, dpu);
                out.extend_from_slice(&ordered_i32(!day.0));
            }
            Self::Counters(dpu) => put_dpu(out, dpu),
            Self::Edit(revision) => out.extend_from_slice(&revision.to_be_bytes()),
            Self::Settings => out.push(0),
            Self::Quarantined(Source { topic, partition, offset, index }) => {
                put_text(out, topic);
                out.extend_from_slice(&ordered_i32(*partition));
                out.extend_from_slice(&ordered_i64(*offset));
                out.extend_from_slice(&index.to_be_bytes());
            }
        }
    }
}

/// What every key of a DPU in a table stays below.
pub(crate) fn end_of(dpu: &DpuId) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    out.extend_from_slice(dpu.as_str().as_bytes());
    out.push(1);
    out
}

/// Reads the day out of a key whose DPU is known.
pub(crate) fn decode_day(dpu: &DpuId, bytes: &[u8]) -> Result<Day, StoreError> {
    let mut reader = Reader(bytes);
    reader.take(dpu.as_str().len() + 1)?;
    let day = Day(!take_i32(&mut reader)?);
    reader.end()?;
    Ok(day)
}

/// Reads the key of counters.
pub(crate) fn decode_dpu(bytes: &[u8]) -> Result<DpuId, StoreError> {
    let mut reader = Reader(bytes);
    let text = take_text(&mut reader)?;
    reader.end()?;
    text.parse().map_err(|error| corrupt(&format!("{text:?} is no DPU id: {error}")))
}

/// Reads the key of an edit: the revision it made.
pub(crate) fn decode_revision(bytes: &[u8]) -> Result<u64, StoreError> {
    let mut reader = Reader(bytes);
    let revision = u64::from_be_bytes(take(&mut reader)?);
    reader.end()?;
    Ok(revision)
}

/// Reads the key of a quarantined piece.
pub(crate) fn decode_source(bytes: &[u8]) -> Result<Source, StoreError> {
    let mut reader = Reader(bytes);
    let source = Source {
        topic: take_text(&mut reader)?,
        partition: take_i32(&mut reader)?,
        offset: take_i64(&mut reader)?,
        index: u32::from_be_bytes(take(&mut reader)?),
    };
    reader.end()?;
    Ok(source)
}

fn ordered_i64(value: i64) -> [u8; 8] {
    (value.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn ordered_i32(value: i32) -> [u8; 4] {
    (value.cast_unsigned() ^ (1 << 31)).to_be_bytes()
}

/// An id holds neither a zero byte nor a one.
fn put_dpu(out: &mut Vec<u8>, dpu: &DpuId) {
    out.extend_from_slice(dpu.as_str().as_bytes());
    out.push(0);
}

/// Text, then a zero byte; a zero or one within is escaped so that the order stays.
fn put_text(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            0 | 1 => out.extend_from_slice(&[1, byte + 1]),
            _ => out.push(byte),
        }
    }
    out.push(0);
}

fn take_text(reader: &mut Reader<'_>) -> Result<String, StoreError> {
    let mut text = Vec::new();
    loop {
        match reader.byte()? {
            0 => return String::from_utf8(text).map_err(|_| corrupt("a key is not UTF-8")),
            1 => text.push(reader.byte()?.wrapping_sub(1)),
            byte => text.push(byte),
        }
    }
}

fn take<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N], StoreError> {
    reader.take(N)?.try_into().map_err(|_| corrupt("a key ends too early"))
}

fn take_i64(reader: &mut Reader<'_>) -> Result<i64, StoreError> {
    Ok((u64::from_be_bytes(take(reader)?) ^ (1 << 63)).cast_signed())
}

fn take_i32(reader: &mut Reader<'_>) -> Result<i32, StoreError> {
    Ok((u32::from_be_bytes(take(reader)?) ^ (1 << 31)).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};

    fn dpu() -> impl Strategy<Value = DpuId> {
        "[A-Za-z0-9][A-Za-z0-9._:-]{0,2}".prop_map(|id| id.parse().unwrap())
    }

    fn day() -> impl Strategy<Value = Day> {
        prop_oneof![-3_i32..3, any::<i32>()].prop_map(Day)
    }

    fn source() -> impl Strategy<Value = Source> {
        let topic = prop_oneof!["[\u{0}-\u{2}a]{0,3}", "http"];
        (topic, any::<i32>(), any::<i64>(), any::<u32>()).prop_map(|(topic, partition, offset, index)| Source {
            topic,
            partition,
            offset,
            index,
        })
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

        #[test]
        fn byte_order_is_key_order_and_keys_come_back(
            dpus in (dpu(), dpu()), days in (day(), day()), numbers in any::<(u32, u32)>(), sources in (source(), source()),
        ) {
            let keys = |dpu, day, number: u32, source| [
                StoreKey::Segment(dpu, day, number),
                StoreKey::Day(dpu, Reverse(day)),
                StoreKey::Counters(dpu),
                StoreKey::Edit(number.into()),
                StoreKey::Settings,
                StoreKey::Quarantined(source),
            ];
            let a = keys(&dpus.0, days.0, numbers.0, &sources.0);
            let same_dpu = [days.0, days.1].map(|day| keys(&dpus.0, day, numbers.1, &sources.0));
            for b in same_dpu.into_iter().chain([keys(&dpus.1, days.1, numbers.1, &sources.1)]) {
                for (a, b) in a.iter().zip(&b) {
                    assert_eq!(a.encode().cmp(&b.encode()), a.cmp(b), "{a:?} {b:?}");
                }
            }
            let [segment, day, counters, edit, _, quarantined] = a.map(|key| key.encode());
            assert!([&segment, &day, &counters].into_iter().all(|key| *key < end_of(&dpus.0)));
            assert_eq!(end_of(&dpus.0) < StoreKey::Counters(&dpus.1).encode(), dpus.0 < dpus.1);
            assert_eq!(decode_day(&dpus.0, &day), Ok(days.0));
            assert_eq!(decode_dpu(&counters), Ok(dpus.0));
            assert_eq!(decode_revision(&edit), Ok(numbers.0.into()));
            assert_eq!(decode_source(&quarantined), Ok(sources.0));
        }

        #[test]
        fn any_bytes_are_a_key_or_refused(dpu in dpu(), bytes in any::<Vec<u8>>()) {
            let day = decode_day(&dpu, &bytes).map(|day| StoreKey::Day(&dpu, Reverse(day)).encode().len());
            assert!(day.is_err() || day == Ok(bytes.len()));
            let read = [decode_dpu(&bytes).is_ok(), decode_revision(&bytes).is_ok(), decode_source(&bytes).is_ok()];
            assert!(bytes.len() > 1 || read == [false; 3]);
        }
    }
}
