//! Changes of counters, version 1, as protobuf (`schemas/headcount/v1/change.proto`): what lanes publish and live views
//! follow.

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::ledger::{Change, Counters, Position, Totals};
use occupancy::time::UnixMs;
use prost::Message;

use crate::WireError;
use crate::v1;

/// The version written, and the only one read.
const VERSION: u32 = 1;

/// A change as a record's value.
#[must_use]
pub fn encode(change: &Change) -> Vec<u8> {
    let Counters { opening, day, last, heartbeat, heard, position, stamp_us } = change.counters;
    let totals = |Totals { entered, exited }| Some(v1::CountersTotals { entered, exited });
    let written = v1::CountersChange {
        version: VERSION,
        dpu_id: change.dpu.to_string(),
        stamp_us,
        opening: totals(opening),
        day: totals(day),
        last: last.map(|Key { at, boot, seq, direction }| v1::CountersKey {
            at_ms: at.ms(),
            boot,
            seq,
            sign: if direction == Direction::Plus { 1 } else { -1 },
        }),
        heartbeat: heartbeat.map(|Heartbeat { at, boot, last_seq }| v1::CountersHeartbeat { at_ms: at.ms(), boot, last_seq }),
        heard_ms: heard.map(UnixMs::ms),
        position: position.map(|Position { epoch, partition, offset }| v1::CountersPosition { epoch, partition, offset }),
        from_ms: change.from.map(UnixMs::ms),
    };
    written.encode_to_vec()
}

/// Reads a record's value.
///
/// # Errors
/// It is no change, or one of another version.
pub fn decode(payload: &[u8]) -> Result<Change, WireError> {
    let read = v1::CountersChange::decode(payload).map_err(|error| unreadable(&error))?;
    if read.version != VERSION {
        let found = read.version;
        return Err(WireError(format!(
            "a change of counters has version {found}, this program reads version {VERSION}: use a newer program"
        )));
    }
    let time = |ms| UnixMs::new(ms).map_err(|error| unreadable(&error));
    let totals = |read: Option<v1::CountersTotals>| {
        let v1::CountersTotals { entered, exited } = read.ok_or_else(|| unreadable(&"it has no totals"))?;
        Ok(Totals { entered, exited })
    };
    let key = |v1::CountersKey { at_ms, boot, seq, sign }| {
        let direction = Direction::try_from(i64::from(sign)).map_err(|error| unreadable(&error))?;
        Ok(Key { at: time(at_ms)?, boot, seq, direction })
    };
    let beat = |v1::CountersHeartbeat { at_ms, boot, last_seq }| Ok(Heartbeat { at: time(at_ms)?, boot, last_seq });
    let counters = Counters {
        opening: totals(read.opening)?,
        day: totals(read.day)?,
        last: read.last.map(key).transpose()?,
        heartbeat: read.heartbeat.map(beat).transpose()?,
        heard: read.heard_ms.map(time).transpose()?,
        position: read.position.map(|v1::CountersPosition { epoch, partition, offset }| Position { epoch, partition, offset }),
        stamp_us: read.stamp_us,
    };
    let dpu = read.dpu_id.parse().map_err(|error| unreadable(&format_args!("dpu_id: {error}")))?;
    Ok(Change { dpu, counters, from: read.from_ms.map(time).transpose()? })
}

fn unreadable(why: &dyn std::fmt::Display) -> WireError {
    WireError(format!("no change of counters: {why}"))
}
