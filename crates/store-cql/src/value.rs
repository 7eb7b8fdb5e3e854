//! Values as the tables hold them.

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::ledger::{Counters, Position, Row, Totals};
use occupancy::time::UnixMs;
use scylla::cluster::metadata::ColumnType;
use scylla::deserialize::value::DeserializeValue;
use scylla::deserialize::{DeserializationError, FrameSlice, TypeCheckError};
use scylla::serialize::SerializationError;
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellWriter, WrittenCellProof};
use scylla::value::{CqlTimestamp, CqlVarintBorrowed};
use scylla::{DeserializeValue, SerializeValue};
use store::StoreError;

/// What is stored cannot be read.
#[allow(clippy::needless_pass_by_value, reason = "`map_err` hands errors over")]
pub(crate) fn corrupt(what: impl ToString) -> StoreError {
    StoreError::Corrupt(what.to_string())
}

/// 64 bits without a sign, as a varint: readable in every tool, and ordered as the numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole(pub(crate) u64);

impl SerializeValue for Whole {
    fn serialize<'b>(&self, typ: &ColumnType<'_>, writer: CellWriter<'b>) -> Result<WrittenCellProof<'b>, SerializationError> {
        let mut bytes = [0; 9];
        bytes[1..].copy_from_slice(&self.0.to_be_bytes());
        // The shortest form whose first bit, the sign, is 0.
        let start = (self.0.leading_zeros() as usize).saturating_add(7) / 8;
        CqlVarintBorrowed::from_signed_bytes_be_slice(bytes.get(start.min(8)..).unwrap_or_default()).serialize(typ, writer)
    }
}

impl<'frame, 'metadata> DeserializeValue<'frame, 'metadata> for Whole {
    fn type_check(typ: &ColumnType<'_>) -> Result<(), TypeCheckError> {
        CqlVarintBorrowed::type_check(typ)
    }

    fn deserialize(typ: &'metadata ColumnType<'metadata>, v: Option<FrameSlice<'frame>>) -> Result<Self, DeserializationError> {
        let number = CqlVarintBorrowed::deserialize(typ, v)?;
        let bytes = number.as_signed_bytes_be_slice();
        let fold = |sum: u64, byte: &u8| sum.checked_mul(256).map(|sum| sum | u64::from(*byte));
        let negative = bytes.first().is_none_or(|first| first & 0x80 != 0);
        let whole = if negative { None } else { bytes.iter().try_fold(0, fold) };
        whole.map(Self).ok_or_else(|| DeserializationError::new(NotWhole(bytes.to_vec())))
    }
}

/// A varint that is no `boot` or `seq`.
#[derive(Debug, thiserror::Error)]
#[error("the varint {0:02x?} is not within 0 and 2^64 - 1")]
struct NotWhole(Vec<u8>);

/// An instant.
pub(crate) fn timestamp(at: UnixMs) -> CqlTimestamp {
    CqlTimestamp(at.ms())
}

/// Reads an instant.
pub(crate) fn instant(at: CqlTimestamp) -> Result<UnixMs, StoreError> {
    UnixMs::new(at.0).map_err(corrupt)
}

/// Entered and exited.
pub(crate) fn numbers(totals: Totals) -> (i64, i64) {
    (totals.entered.cast_signed(), totals.exited.cast_signed())
}

/// Reads entered and exited.
pub(crate) fn totals(entered: i64, exited: i64) -> Totals {
    Totals { entered: entered.cast_unsigned(), exited: exited.cast_unsigned() }
}

/// A direction as it is stored: 1 or -1.
pub(crate) fn sign(direction: Direction) -> i8 {
    if direction == Direction::Plus { 1 } else { -1 }
}

/// The columns of a crossing: its key, its totals within the day, when it was appended.
pub(crate) type CrossingColumns = (CqlTimestamp, Whole, Whole, i8, i64, i64, CqlTimestamp);

/// Reads a crossing.
pub(crate) fn row((at, boot, seq, direction, entered, exited, appended_at): CrossingColumns) -> Result<Row, StoreError> {
    let key = CqlKey { at, boot, seq, direction }.read()?;
    Ok(Row { key, totals: totals(entered, exited), appended_at: instant(appended_at)? })
}

#[derive(Debug, SerializeValue, DeserializeValue)]
struct CqlTotals {
    entered: i64,
    exited: i64,
}

#[derive(Debug, SerializeValue, DeserializeValue)]
struct CqlKey {
    at: CqlTimestamp,
    boot: Whole,
    seq: Whole,
    direction: i8,
}

impl CqlKey {
    fn read(self) -> Result<Key, StoreError> {
        let direction = Direction::try_from(i64::from(self.direction)).map_err(corrupt)?;
        Ok(Key { at: instant(self.at)?, boot: self.boot.0, seq: self.seq.0, direction })
    }
}

#[derive(Debug, SerializeValue, DeserializeValue)]
struct CqlHeartbeat {
    at: CqlTimestamp,
    boot: Whole,
    last_seq: Whole,
}

#[derive(Debug, SerializeValue, DeserializeValue)]
struct CqlPosition {
    epoch: i64,
    partition: i32,
    log_offset: i64,
}

/// The realtime row, as its one cell.
#[derive(Debug, SerializeValue, DeserializeValue)]
pub(crate) struct CqlCounters {
    opening: CqlTotals,
    day: CqlTotals,
    last: Option<CqlKey>,
    heartbeat: Option<CqlHeartbeat>,
    heard: Option<CqlTimestamp>,
    position: Option<CqlPosition>,
    stamp_us: i64,
}

impl From<&Counters> for CqlCounters {
    fn from(counters: &Counters) -> Self {
        let Counters { opening, day, last, heartbeat, heard, position, stamp_us } = *counters;
        let cql = |totals| {
            let (entered, exited) = numbers(totals);
            CqlTotals { entered, exited }
        };
        let key =
            |Key { at, boot, seq, direction }| CqlKey { at: timestamp(at), boot: Whole(boot), seq: Whole(seq), direction: sign(direction) };
        let beat = |Heartbeat { at, boot, last_seq }| CqlHeartbeat { at: timestamp(at), boot: Whole(boot), last_seq: Whole(last_seq) };
        let place = |Position { epoch, partition, offset }| CqlPosition { epoch: epoch.into(), partition, log_offset: offset };
        Self {
            opening: cql(opening),
            day: cql(day),
            last: last.map(key),
            heartbeat: heartbeat.map(beat),
            heard: heard.map(timestamp),
            position: position.map(place),
            stamp_us,
        }
    }
}

impl TryFrom<CqlCounters> for Counters {
    type Error = StoreError;
    fn try_from(cell: CqlCounters) -> Result<Self, StoreError> {
        let CqlCounters { opening, day, last, heartbeat, heard, position, stamp_us } = cell;
        let beat = |CqlHeartbeat { at, boot, last_seq }| Ok(Heartbeat { at: instant(at)?, boot: boot.0, last_seq: last_seq.0 });
        let place = |CqlPosition { epoch, partition, log_offset }| {
            Ok(Position { epoch: epoch.try_into().map_err(corrupt)?, partition, offset: log_offset })
        };
        Ok(Self {
            opening: totals(opening.entered, opening.exited),
            day: totals(day.entered, day.exited),
            last: last.map(CqlKey::read).transpose()?,
            heartbeat: heartbeat.map(beat).transpose()?,
            heard: heard.map(instant).transpose()?,
            position: position.map(place).transpose()?,
            stamp_us,
        })
    }
}
