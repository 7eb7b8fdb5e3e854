//! Stored values, compact; what they look like belongs to the store's format number (see [`crate::FORMAT`]).

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::ledger::{Counters, Position, Totals};
use occupancy::time::UnixMs;

use crate::codec::{Reader, corrupt, instant, put_bytes, put_i64, put_u64};
use crate::{Quarantined, Reason, Source, StoreError, segment};

const HAS_LAST: u8 = 1;
const HAS_HEARTBEAT: u8 = 2;
const HAS_HEARD: u8 = 4;
const HAS_POSITION: u8 = 8;
const HAS_COUNTERS: u8 = 16;
const IS_LOOSE: u8 = 32;

/// What is kept of a DPU in one cell: its realtime row and its hot rows, the last ones of its ledger, which are not in a
/// segment yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// `None` only after a commit that was cut short before it wrote them.
    pub(crate) counters: Option<Counters>,
    /// Whether crossings may be stored that the counters do not know, as a commit was cut short.
    pub(crate) loose: bool,
    /// A segment of one day, after all others; empty for none.
    pub(crate) hot: Vec<u8>,
}

/// A DPU's record.
pub(crate) fn record(record: &Record) -> Vec<u8> {
    let Record { counters, loose, hot } = record;
    let mut out = Vec::with_capacity(80 + hot.len());
    put_record(&mut out, *counters, *loose, hot);
    out
}

/// Appends a DPU's record.
pub(crate) fn put_record(out: &mut Vec<u8>, counters: Option<Counters>, loose: bool, hot: &[u8]) {
    let Counters { opening, day, last, heartbeat, heard, position, stamp_us } = counters.unwrap_or_default();
    let flag = |bit: u8, there: bool| if there { bit } else { 0 };
    let flags = flag(HAS_COUNTERS, counters.is_some())
        | flag(HAS_LAST, last.is_some())
        | flag(HAS_HEARTBEAT, heartbeat.is_some())
        | flag(HAS_HEARD, heard.is_some())
        | flag(HAS_POSITION, position.is_some())
        | flag(IS_LOOSE, loose);
    out.push(flags);
    put_i64(out, stamp_us);
    put_totals(out, opening);
    put_totals(out, day);
    if let Some(last) = last {
        put_key(out, last);
    }
    if let Some(Heartbeat { at, boot, last_seq }) = heartbeat {
        put_i64(out, at.ms());
        put_u64(out, boot);
        put_u64(out, last_seq);
    }
    if let Some(heard) = heard {
        put_i64(out, heard.ms());
    }
    if let Some(Position { epoch, partition, offset }) = position {
        put_i64(out, epoch.into());
        put_i64(out, partition.into());
        put_i64(out, offset);
    }
    out.extend_from_slice(hot);
}

/// A record as it is read: the hot rows are unpacked when asked for.
#[derive(Default)]
pub(crate) struct Stored<'a> {
    pub(crate) counters: Option<Counters>,
    pub(crate) loose: bool,
    pub(crate) hot: &'a [u8],
}

impl Stored<'_> {
    /// The hot rows, unpacked.
    pub(crate) fn hot_rows(&self) -> segment::Rows<'_> {
        segment::decode(self.hot)
    }
}

/// Reads a DPU's record.
pub(crate) fn read_record(bytes: &[u8]) -> Result<Stored<'_>, StoreError> {
    let mut reader = Reader(bytes);
    let flags = reader.byte()?;
    if flags & !(HAS_COUNTERS | HAS_LAST | HAS_HEARTBEAT | HAS_HEARD | HAS_POSITION | IS_LOOSE) != 0 {
        return Err(corrupt(&format!("counters carry unknown flags {flags:#x}")));
    }
    let mut counters = Counters { stamp_us: reader.i64()?, ..Counters::default() };
    counters.opening = take_totals(&mut reader)?;
    counters.day = take_totals(&mut reader)?;
    if flags & HAS_LAST != 0 {
        counters.last = Some(take_key(&mut reader)?);
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
    let there = flags & HAS_COUNTERS != 0;
    Ok(Stored { counters: there.then_some(counters), loose: flags & IS_LOOSE != 0, hot: reader.0 })
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

/// Appends totals.
pub(crate) fn put_totals(out: &mut Vec<u8>, totals: Totals) {
    put_u64(out, totals.entered);
    put_u64(out, totals.exited);
}

/// Reads totals.
pub(crate) fn take_totals(reader: &mut Reader<'_>) -> Result<Totals, StoreError> {
    Ok(Totals { entered: reader.u64()?, exited: reader.u64()? })
}

fn put_key(out: &mut Vec<u8>, Key { at, boot, seq, direction }: Key) {
    put_i64(out, at.ms());
    put_u64(out, boot);
    put_u64(out, seq);
    put_i64(out, direction.sign());
}

fn take_key(reader: &mut Reader<'_>) -> Result<Key, StoreError> {
    let (at, boot, seq) = (take_instant(reader)?, reader.u64()?, reader.u64()?);
    let direction = Direction::try_from(reader.i64()?).map_err(|error| corrupt(&error.to_string()))?;
    Ok(Key { at, boot, seq, direction })
}

fn take_instant(reader: &mut Reader<'_>) -> Result<UnixMs, StoreError> {
    instant(Some(reader.i64()?))
}
