//! Stored values, compact; what they look like belongs to the store's format number (see [`crate::FORMAT`]).

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::ledger::{Counters, Position, Row, Totals};
use occupancy::time::UnixMs;

use crate::codec::{Reader, corrupt, put_bytes, put_i64, put_u64};
use crate::{Quarantined, Reason, Source, StoreError};

const HAS_LAST: u8 = 1;
const HAS_HEARTBEAT: u8 = 2;
const HAS_HEARD: u8 = 4;
const HAS_POSITION: u8 = 8;

/// An opening.
pub(crate) fn totals(totals: Totals) -> Vec<u8> {
    let mut out = Vec::with_capacity(4);
    put_totals(&mut out, totals);
    out
}

/// Reads an opening.
pub(crate) fn read_totals(bytes: &[u8]) -> Result<Totals, StoreError> {
    let mut reader = Reader(bytes);
    let totals = take_totals(&mut reader)?;
    reader.end()?;
    Ok(totals)
}

/// What a crossing's key does not say: most are 4 to 6 bytes.
pub(crate) fn row(row: &Row) -> Vec<u8> {
    let mut out = Vec::with_capacity(8);
    put_totals(&mut out, row.totals);
    put_i64(&mut out, row.appended_at.since(row.key.at));
    out
}

/// Reads a crossing.
pub(crate) fn read_row(key: Key, bytes: &[u8]) -> Result<Row, StoreError> {
    let mut reader = Reader(bytes);
    let totals = take_totals(&mut reader)?;
    let appended_at = instant(key.at.ms().checked_add(reader.i64()?))?;
    reader.end()?;
    Ok(Row { key, totals, appended_at })
}

/// The realtime row.
pub(crate) fn counters(counters: &Counters) -> Vec<u8> {
    let Counters { opening, day, last, heartbeat, heard, position, stamp_us } = *counters;
    let flag = |bit: u8, there: bool| if there { bit } else { 0 };
    let flags = flag(HAS_LAST, last.is_some())
        | flag(HAS_HEARTBEAT, heartbeat.is_some())
        | flag(HAS_HEARD, heard.is_some())
        | flag(HAS_POSITION, position.is_some());
    let mut out = vec![flags];
    put_i64(&mut out, stamp_us);
    put_totals(&mut out, opening);
    put_totals(&mut out, day);
    if let Some(Key { at, boot, seq, direction }) = last {
        put_i64(&mut out, at.ms());
        put_u64(&mut out, boot);
        put_u64(&mut out, seq);
        put_i64(&mut out, direction.sign());
    }
    if let Some(Heartbeat { at, boot, last_seq }) = heartbeat {
        put_i64(&mut out, at.ms());
        put_u64(&mut out, boot);
        put_u64(&mut out, last_seq);
    }
    if let Some(heard) = heard {
        put_i64(&mut out, heard.ms());
    }
    if let Some(Position { epoch, partition, offset }) = position {
        put_i64(&mut out, epoch.into());
        put_i64(&mut out, partition.into());
        put_i64(&mut out, offset);
    }
    out
}

/// Reads the realtime row.
pub(crate) fn read_counters(bytes: &[u8]) -> Result<Counters, StoreError> {
    let mut reader = Reader(bytes);
    let flags = reader.byte()?;
    if flags & !(HAS_LAST | HAS_HEARTBEAT | HAS_HEARD | HAS_POSITION) != 0 {
        return Err(corrupt(&format!("counters carry unknown flags {flags:#x}")));
    }
    let mut counters = Counters { stamp_us: reader.i64()?, ..Counters::default() };
    counters.opening = take_totals(&mut reader)?;
    counters.day = take_totals(&mut reader)?;
    if flags & HAS_LAST != 0 {
        let (at, boot, seq) = (take_instant(&mut reader)?, reader.u64()?, reader.u64()?);
        let direction = Direction::try_from(reader.i64()?).map_err(|error| corrupt(&error.to_string()))?;
        counters.last = Some(Key { at, boot, seq, direction });
    }
    if flags & HAS_HEARTBEAT != 0 {
        counters.heartbeat = Some(Heartbeat { at: take_instant(&mut reader)?, boot: reader.u64()?, last_seq: reader.u64()? });
    }
    if flags & HAS_HEARD != 0 {
        counters.heard = Some(take_instant(&mut reader)?);
    }
    if flags & HAS_POSITION != 0 {
        counters.position = Some(Position { epoch: reader.narrow()?, partition: reader.narrow()?, offset: reader.i64()? });
    }
    reader.end()?;
    Ok(counters)
}

/// What a quarantined piece's source does not say.
pub(crate) fn quarantined(one: &Quarantined) -> Vec<u8> {
    let Quarantined { source: _, reason, detail, dpu, received_at, payload, replayed_at } = one;
    let mut out = vec![reason_code(*reason), u8::from(replayed_at.is_some())];
    put_i64(&mut out, received_at.ms());
    if let Some(at) = replayed_at {
        put_i64(&mut out, at.ms());
    }
    // No DPU is the empty text: no id is empty.
    put_bytes(&mut out, dpu.as_ref().map_or("", |dpu| dpu.as_str()).as_bytes());
    put_bytes(&mut out, detail.as_bytes());
    put_bytes(&mut out, payload);
    out
}

/// Reads a quarantined piece.
pub(crate) fn read_quarantined(source: Source, bytes: &[u8]) -> Result<Quarantined, StoreError> {
    let mut reader = Reader(bytes);
    let code = reader.byte()?;
    let reason = Reason::ALL.into_iter().find(|reason| reason_code(*reason) == code);
    let reason = reason.ok_or_else(|| corrupt(&format!("there is no quarantine reason {code}")))?;
    let replayed = reader.byte()? != 0;
    let received_at = take_instant(&mut reader)?;
    let replayed_at = if replayed { Some(take_instant(&mut reader)?) } else { None };
    let dpu = match reader.text()? {
        "" => None,
        id => Some(id.parse().map_err(|error| corrupt(&format!("{id:?} is no DPU id: {error}")))?),
    };
    let detail = reader.text()?.to_owned();
    let payload = reader.bytes()?.to_vec();
    reader.end()?;
    Ok(Quarantined { source, reason, detail, dpu, received_at, payload, replayed_at })
}

fn reason_code(reason: Reason) -> u8 {
    match reason {
        Reason::Undecodable => 0,
        Reason::ClockAhead => 1,
        Reason::ClockUnset => 2,
        Reason::TooLate => 3,
    }
}

fn put_totals(out: &mut Vec<u8>, totals: Totals) {
    put_u64(out, totals.entered);
    put_u64(out, totals.exited);
}

fn take_totals(reader: &mut Reader<'_>) -> Result<Totals, StoreError> {
    Ok(Totals { entered: reader.u64()?, exited: reader.u64()? })
}

fn take_instant(reader: &mut Reader<'_>) -> Result<UnixMs, StoreError> {
    instant(Some(reader.i64()?))
}

fn instant(ms: Option<i64>) -> Result<UnixMs, StoreError> {
    let at = ms.map(UnixMs::new).ok_or_else(|| corrupt("an instant has more than 64 bits"))?;
    at.map_err(|error| corrupt(&error.to_string()))
}
