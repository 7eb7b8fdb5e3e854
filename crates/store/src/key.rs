//! Every key of the embedded store: as bytes they sort as they do as values.
//!
//! Fixed-width numbers are big-endian with the sign bit flipped; `boot` and `seq`, mostly absent or small, take one byte
//! up to 247; a text ends with a zero byte. What they look like belongs to the store's format number ([`crate::FORMAT`]).

use std::cmp::Reverse;

use occupancy::crossing::{Direction, Key};
use occupancy::id::DpuId;
use occupancy::time::{Day, UnixMs};

use crate::codec::{Reader, corrupt};
use crate::{Source, StoreError};

/// A table: one keyspace each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Crossings,
    Openings,
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
            Self::Openings => "openings",
            Self::Counters => "counters",
            Self::Edits => "edits",
            Self::Settings => "settings",
            Self::Quarantine => "quarantine",
        }
    }
}

/// The key of a stored value.
///
/// Segments and openings are kept newest first: "the last one before an instant" is then one seek forward, which costs
/// the database less than one backward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StoreKey<'a> {
    /// By its first crossing.
    Segment(&'a DpuId, Reverse<Key>),
    Opening(&'a DpuId, Reverse<Day>),
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
            Self::Opening(..) => Table::Openings,
            Self::Counters(_) => Table::Counters,
            Self::Edit(_) => Table::Edits,
            Self::Settings => Table::Settings,
            Self::Quarantined(_) => Table::Quarantine,
        }
    }

    /// As bytes; within a table their order is that of the keys.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        match self {
            Self::Segment(dpu, Reverse(key)) => {
                put_dpu(&mut out, dpu);
                let start = out.len();
                out.extend_from_slice(&ordered_i64(key.at.ms()));
                put_ordered(&mut out, key.boot);
                put_ordered(&mut out, key.seq);
                out.push(u8::from(key.direction == Direction::Plus));
                reverse(&mut out, start);
            }
            Self::Opening(dpu, Reverse(day)) => {
                put_dpu(&mut out, dpu);
                let start = out.len();
                out.extend_from_slice(&ordered_i32(day.0));
                reverse(&mut out, start);
            }
            Self::Counters(dpu) => put_dpu(&mut out, dpu),
            Self::Edit(revision) => out.extend_from_slice(&revision.to_be_bytes()),
            Self::Settings => out.push(0),
            Self::Quarantined(Source { topic, partition, offset, index }) => {
                put_text(&mut out, topic);
                out.extend_from_slice(&ordered_i32(*partition));
                out.extend_from_slice(&ordered_i64(*offset));
                out.extend_from_slice(&index.to_be_bytes());
            }
        }
        out
    }
}

/// What every key of a DPU in a table stays below.
pub(crate) fn end_of(dpu: &DpuId) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    out.extend_from_slice(dpu.as_str().as_bytes());
    out.push(1);
    out
}

/// Reads the first crossing out of a segment's key whose DPU is known.
pub(crate) fn decode_segment(dpu: &DpuId, bytes: &[u8]) -> Result<Key, StoreError> {
    let bytes = reversed_after(dpu, bytes);
    let mut reader = Reader(&bytes);
    let at = UnixMs::new(take_i64(&mut reader)?).map_err(|error| corrupt(&error.to_string()))?;
    let (boot, seq) = (take_ordered(&mut reader)?, take_ordered(&mut reader)?);
    let direction = match reader.byte()? {
        0 => Direction::Minus,
        1 => Direction::Plus,
        other => return Err(corrupt(&format!("there is no direction {other}"))),
    };
    reader.end()?;
    Ok(Key { at, boot, seq, direction })
}

/// Reads the day out of an opening's key whose DPU is known.
pub(crate) fn decode_day(dpu: &DpuId, bytes: &[u8]) -> Result<Day, StoreError> {
    let bytes = reversed_after(dpu, bytes);
    let mut reader = Reader(&bytes);
    let day = Day(take_i32(&mut reader)?);
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

/// The complement of bytes sorts them the other way round, where none is the beginning of another.
fn reverse(out: &mut [u8], start: usize) {
    out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
}

/// What follows the DPU in a key, turned round again.
fn reversed_after(dpu: &DpuId, bytes: &[u8]) -> Vec<u8> {
    bytes.iter().skip(dpu.as_str().len() + 1).map(|byte| !byte).collect()
}

fn ordered_i64(value: i64) -> [u8; 8] {
    (value.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn ordered_i32(value: i32) -> [u8; 4] {
    (value.cast_unsigned() ^ (1 << 31)).to_be_bytes()
}

/// The largest number that is its own byte; above, the byte says how many bytes follow.
const INLINE: u8 = 247;

fn put_ordered(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    match u8::try_from(value) {
        Ok(byte) if byte <= INLINE => out.push(byte),
        _ => {
            let zeros = value.leading_zeros() / 8;
            out.push(INLINE + 8 - zeros as u8);
            out.extend(bytes.into_iter().skip(zeros as usize));
        }
    }
}

fn take_ordered(reader: &mut Reader<'_>) -> Result<u64, StoreError> {
    let first = reader.byte()?;
    if first <= INLINE {
        return Ok(first.into());
    }
    let bytes = reader.take(usize::from(first - INLINE))?;
    Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
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
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![0_u64..600, any::<u64>(), (any::<u64>(), 0_u32..64).prop_map(|(value, shift)| value >> shift)]
    }

    fn dpu() -> impl Strategy<Value = DpuId> {
        "[A-Za-z0-9][A-Za-z0-9._:-]{0,2}".prop_map(|id| id.parse().unwrap())
    }

    fn crossing() -> impl Strategy<Value = Key> {
        let at = prop_oneof![-3_i64..3, UnixMs::MIN.ms()..=UnixMs::MAX.ms()];
        let direction = prop_oneof![Just(Direction::Minus), Just(Direction::Plus)];
        (at, number(), number(), direction).prop_map(|(at, boot, seq, direction)| Key {
            at: UnixMs::new(at).unwrap(),
            boot,
            seq,
            direction,
        })
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
        fn byte_order_is_key_order_and_keys_come_back(dpus in (dpu(), dpu()), crossings in (crossing(), crossing()), sources in (source(), source())) {
            let keys = |dpu, crossing: Key, source| [
                StoreKey::Segment(dpu, Reverse(crossing)),
                StoreKey::Opening(dpu, Reverse(crossing.at.day())),
                StoreKey::Counters(dpu),
                StoreKey::Edit(crossing.seq),
                StoreKey::Settings,
                StoreKey::Quarantined(source),
            ];
            let a = keys(&dpus.0, crossings.0, &sources.0);
            for b in [keys(&dpus.1, crossings.1, &sources.1), keys(&dpus.0, crossings.1, &sources.1)] {
                for (a, b) in a.iter().zip(&b) {
                    assert_eq!(a.encode().cmp(&b.encode()), a.cmp(b), "{a:?} {b:?}");
                }
            }
            let [segment, opening, counters, edit, _, quarantined] = a.map(|key| key.encode());
            assert!([&segment, &opening, &counters].into_iter().all(|key| *key < end_of(&dpus.0)));
            assert_eq!(end_of(&dpus.0) < StoreKey::Counters(&dpus.1).encode(), dpus.0 < dpus.1);
            assert_eq!(decode_segment(&dpus.0, &segment), Ok(crossings.0));
            assert_eq!(decode_day(&dpus.0, &opening), Ok(crossings.0.at.day()));
            assert_eq!(decode_dpu(&counters), Ok(dpus.0));
            assert_eq!(decode_revision(&edit), Ok(crossings.0.seq));
            assert_eq!(decode_source(&quarantined), Ok(sources.0));
        }

        #[test]
        fn any_bytes_are_a_key_or_refused(dpu in dpu(), bytes in any::<Vec<u8>>()) {
            let day = decode_day(&dpu, &bytes).map(|day| StoreKey::Opening(&dpu, Reverse(day)).encode().len());
            assert!(day.is_err() || day == Ok(bytes.len()));
            let read = [
                decode_segment(&dpu, &bytes).is_ok(),
                decode_dpu(&bytes).is_ok(),
                decode_revision(&bytes).is_ok(),
                decode_source(&bytes).is_ok(),
            ];
            assert!(bytes.len() > 1 || read == [false; 4]);
        }
    }
}
