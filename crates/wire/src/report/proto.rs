//! Reports as protobuf.

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::id::DpuId;
use occupancy::time::UnixMs;
use prost::Message;
use serde_json::Value;

use super::json::{WrittenCrossing, WrittenHeartbeat, bad_crossing, bad_heartbeat};
use crate::{Bad, Report, WireError, v1};

/// Reads a report, by way of one whose memory is used again.
pub(super) fn decode(read: &mut v1::Report, payload: &[u8]) -> Result<Report, WireError> {
    let no_report = |detail: String| WireError(format!("neither a protobuf nor a JSON report: {detail}"));
    read.clear();
    read.merge(payload).map_err(|error| no_report(error.to_string()))?;
    let dpu: DpuId = read.dpu_id.parse().map_err(|error| no_report(format!("dpu_id: {error}")))?;
    let boot = counter("boot", read.boot).map_err(WireError)?;
    let mut crossings = Vec::with_capacity(read.crossings.len() + 1);
    crossings.extend(read.crossings.iter().map(|crossing| key(&dpu, boot, crossing)));
    let mut heartbeat = None;
    if let Some(read) = read.heartbeat {
        match sign_of_life(boot, read) {
            Ok(good) => heartbeat = Some(good),
            Err(detail) => {
                let raw = WrittenHeartbeat { at: time(read.at_ms), last_seq: read.last_seq };
                crossings.push(Err(bad_heartbeat(&dpu, boot, raw, &detail)));
            }
        }
    }
    Ok(Report { dpu, crossings, heartbeat, accept_clock: read.accept_clock })
}

/// Writes a report.
pub(super) fn encode(report: &Report) -> Vec<u8> {
    let boot = super::boot(report);
    let crossing = |key: &Key| v1::Crossing {
        at_ms: key.at.ms(),
        direction: match key.direction {
            Direction::Plus => v1::Direction::Plus,
            Direction::Minus => v1::Direction::Minus,
        }
        .into(),
        seq: key.seq,
        boot: (key.boot != boot).then_some(key.boot),
    };
    let written = v1::Report {
        dpu_id: report.dpu.to_string(),
        boot,
        crossings: report.crossings.iter().flatten().map(crossing).collect(),
        heartbeat: report.heartbeat.map(|heartbeat| v1::Heartbeat { at_ms: heartbeat.at.ms(), last_seq: heartbeat.last_seq }),
        accept_clock: report.accept_clock,
    };
    written.encode_to_vec()
}

fn key(dpu: &DpuId, boot: u64, read: &v1::Crossing) -> Result<Key, Bad> {
    let key = || -> Result<Key, String> {
        Ok(Key {
            at: UnixMs::new(read.at_ms).map_err(|error| format!("at_ms: {error}"))?,
            boot: counter("boot", read.boot.unwrap_or(boot))?,
            seq: counter("seq", read.seq)?,
            direction: direction(read.direction)?,
        })
    };
    key().map_err(|detail| {
        // An unknown direction is written as a text, so that none of its numbers is taken for a sign.
        let direction =
            direction(read.direction).map_or_else(|_| Value::from(read.direction.to_string()), |known| Value::from(known.sign()));
        let raw = WrittenCrossing { at: time(read.at_ms), direction, seq: read.seq, boot: read.boot };
        bad_crossing(dpu, boot, raw, detail)
    })
}

fn sign_of_life(boot: u64, read: v1::Heartbeat) -> Result<Heartbeat, String> {
    let at = UnixMs::new(read.at_ms).map_err(|error| format!("at_ms: {error}"))?;
    Ok(Heartbeat { at, boot, last_seq: counter("last_seq", read.last_seq)? })
}

fn direction(number: i32) -> Result<Direction, String> {
    match v1::Direction::try_from(number) {
        Ok(v1::Direction::Plus) => Ok(Direction::Plus),
        Ok(v1::Direction::Minus) => Ok(Direction::Minus),
        _ => Err(format!("direction {number} is neither DIRECTION_PLUS (1) nor DIRECTION_MINUS (2)")),
    }
}

fn counter(name: &str, number: u64) -> Result<u64, String> {
    if number <= Key::MAX_COUNTER { Ok(number) } else { Err(format!("{name} {number} is more than {}", Key::MAX_COUNTER)) }
}

/// A time as JSON has it, or its milliseconds where it is none.
fn time(at_ms: i64) -> Value {
    UnixMs::new(at_ms).map_or_else(|_| Value::from(at_ms), |at| Value::from(at.to_string()))
}
