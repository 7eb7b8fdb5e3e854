//! Every key of the embedded store: as bytes they sort as they do as values.
//!
//! Fixed-width numbers are big-endian with the sign bit flipped; `boot` and `seq`, mostly absent or small, take one byte
//! up to 247; a text ends with a zero byte. What they look like belongs to the store's format number ([`crate::FORMAT`]).

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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StoreKey {
    Crossing(DpuId, Key),
    Opening(DpuId, Day),
    Counters(DpuId),
    /// The revision an edit made.
    Edit(u64),
    Settings,
    Quarantined(Source),
}

impl StoreKey {
    /// Where it is kept.
    pub(crate) fn table(&self) -> Table {
        match self {
            Self::Crossing(..) => Table::Crossings,
            Self::Opening(..) => Table::Openings,
            Self::Counters(_) => Table::Counters,
            Self::Edit(_) => Table::Edits,
            Self::Settings => Table::Settings,
            Self::Quarantined(_) => Table::Quarantine,
        }
    }

    /// As bytes; within a table their order is that of the keys.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        match self {
            Self::Crossing(dpu, key) => {
                put_text(&mut out, dpu.as_str());
                out.extend_from_slice(&ordered_i64(key.at.ms()));
                put_ordered(&mut out, key.boot);
                put_ordered(&mut out, key.seq);
                out.push(u8::from(key.direction == Direction::Plus));
            }
            Self::Opening(dpu, day) => {
                put_text(&mut out, dpu.as_str());
                out.extend_from_slice(&ordered_i32(day.0));
            }
            Self::Counters(dpu) => put_text(&mut out, dpu.as_str()),
            Self::Edit(revision) => out.extend_from_slice(&revision.to_be_bytes()),
            Self::Settings => {}
            Self::Quarantined(Source { topic, partition, offset, index }) => {
                put_text(&mut out, topic);
                out.extend_from_slice(&ordered_i32(*partition));
                out.extend_from_slice(&ordered_i64(*offset));
                out.extend_from_slice(&index.to_be_bytes());
            }
        }
        if out.is_empty() {
            out.push(0);
        }
        out
    }

    /// Reads a key of a table.
    pub(crate) fn decode(table: Table, bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        let key = match table {
            Table::Crossings => Self::Crossing(take_dpu(&mut reader)?, take_crossing(&mut reader)?),
            Table::Openings => Self::Opening(take_dpu(&mut reader)?, Day(take_i32(&mut reader)?)),
            Table::Counters => Self::Counters(take_dpu(&mut reader)?),
            Table::Edits => Self::Edit(u64::from_be_bytes(take(&mut reader)?)),
            Table::Settings => take::<1>(&mut reader).map(|_| Self::Settings)?,
            Table::Quarantine => Self::Quarantined(Source {
                topic: take_text(&mut reader)?,
                partition: take_i32(&mut reader)?,
                offset: take_i64(&mut reader)?,
                index: u32::from_be_bytes(take(&mut reader)?),
            }),
        };
        reader.end()?;
        Ok(key)
    }
}

/// Reads the crossing out of a key of [`Table::Crossings`] whose DPU is known.
pub(crate) fn decode_crossing(dpu: &DpuId, bytes: &[u8]) -> Result<Key, StoreError> {
    let mut reader = Reader(bytes);
    reader.take(dpu.as_str().len() + 1)?;
    let key = take_crossing(&mut reader)?;
    reader.end()?;
    Ok(key)
}

/// Reads the day out of a key of [`Table::Openings`] whose DPU is known.
pub(crate) fn decode_day(dpu: &DpuId, bytes: &[u8]) -> Result<Day, StoreError> {
    let mut reader = Reader(bytes);
    reader.take(dpu.as_str().len() + 1)?;
    let day = Day(take_i32(&mut reader)?);
    reader.end()?;
    Ok(day)
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

fn take_dpu(reader: &mut Reader<'_>) -> Result<DpuId, StoreError> {
    let text = take_text(reader)?;
    text.parse().map_err(|error| corrupt(&format!("{text:?} is no DPU id: {error}")))
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

fn take_crossing(reader: &mut Reader<'_>) -> Result<Key, StoreError> {
    let at = UnixMs::new(take_i64(reader)?).map_err(|error| corrupt(&error.to_string()))?;
    let (boot, seq) = (take_ordered(reader)?, take_ordered(reader)?);
    let direction = match reader.byte()? {
        0 => Direction::Minus,
        1 => Direction::Plus,
        other => return Err(corrupt(&format!("there is no direction {other}"))),
    };
    Ok(Key { at, boot, seq, direction })
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

    fn pair() -> impl Strategy<Value = (StoreKey, StoreKey)> {
        let two = |key: fn(DpuId, Key) -> StoreKey| {
            ((dpu(), crossing()), (dpu(), crossing())).prop_map(move |(a, b)| (key(a.0, a.1), key(b.0, b.1)))
        };
        prop_oneof![
            two(StoreKey::Crossing),
            (dpu(), crossing(), crossing()).prop_map(|(dpu, a, b)| (StoreKey::Crossing(dpu.clone(), a), StoreKey::Crossing(dpu, b))),
            two(|dpu, key| StoreKey::Opening(dpu, key.at.day())),
            two(|dpu, _| StoreKey::Counters(dpu)),
            (any::<u64>(), any::<u64>()).prop_map(|(a, b)| (StoreKey::Edit(a), StoreKey::Edit(b))),
            (source(), source()).prop_map(|(a, b)| (StoreKey::Quarantined(a), StoreKey::Quarantined(b))),
            Just((StoreKey::Settings, StoreKey::Settings)),
        ]
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

        #[test]
        fn byte_order_is_key_order_and_keys_come_back((a, b) in pair()) {
            assert_eq!(a.encode().cmp(&b.encode()), a.cmp(&b));
            assert_eq!(StoreKey::decode(a.table(), &a.encode()), Ok(a.clone()));
            if let StoreKey::Crossing(dpu, key) = &a {
                assert_eq!(decode_crossing(dpu, &a.encode()), Ok(*key));
            }
            if let StoreKey::Opening(dpu, day) = &a {
                assert_eq!(decode_day(dpu, &a.encode()), Ok(*day));
            }
        }

        #[test]
        fn any_bytes_are_a_key_or_refused(bytes in any::<Vec<u8>>()) {
            for table in [Table::Crossings, Table::Openings, Table::Counters, Table::Edits, Table::Settings, Table::Quarantine] {
                if let Ok(key) = StoreKey::decode(table, &bytes) {
                    assert_eq!(key.table(), table);
                }
            }
        }
    }
}
