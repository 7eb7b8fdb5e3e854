//! How large is what is sent, found by writing it.

use anyhow::Result;
use capacity::load::Sizes;
use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::id::DpuId;
use occupancy::ledger::{Change, Counters, Position, Totals};
use occupancy::time::UnixMs;
use wire::Report;

/// A DPU some years old: its numbers are as long as most get.
const DPU: &str = "dpu-1234";
const AT_MS: i64 = 1_800_000_000_000;
const BOOT: u64 = 100;
const SEQ: u64 = 1_000_000;

/// With so many crossings in a report.
pub(super) fn of(crossings: u32) -> Result<Sizes> {
    let (dpu, at): (DpuId, _) = (DPU.parse()?, UnixMs::new(AT_MS)?);
    let beat = Heartbeat { at, boot: BOOT, last_seq: SEQ };
    let key = |seq| Key { at, boot: BOOT, seq, direction: Direction::Plus };
    let seen = (0..u64::from(crossings)).map(|k| Ok(key(SEQ + k))).collect();
    let report = Report { dpu: dpu.clone(), crossings: seen, heartbeat: None, accept_clock: false };
    let heartbeat = Report { dpu: dpu.clone(), crossings: Vec::new(), heartbeat: Some(beat), accept_clock: false };
    let totals = Totals { entered: SEQ, exited: SEQ };
    let counters = Counters {
        opening: totals,
        day: totals,
        last: Some(key(SEQ)),
        heartbeat: Some(beat),
        heard: Some(at),
        position: Some(Position { epoch: 1, partition: 1_000, offset: 1_000_000_000 }),
        stamp_us: AT_MS * 1_000,
    };
    let change = Change { dpu, counters, from: Some(at) };
    Ok(Sizes {
        key: DPU.len() as f64,
        report: wire::report::encode(&report).len() as f64,
        heartbeat: wire::report::encode(&heartbeat).len() as f64,
        change: wire::change::encode(&change).len() as f64,
        post: posted(&wire::report::encode_json(&report)),
        heartbeat_post: posted(&wire::report::encode_json(&heartbeat)),
    })
}

/// A body and the least that stands before it.
fn posted(body: &[u8]) -> f64 {
    let head = "POST /v1/crossings HTTP/1.1\r\nhost: headcount.example.org\r\ncontent-type: application/json\r\ncontent-length: ";
    (head.len() + body.len().to_string().len() + "\r\n\r\n".len() + body.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_grows_by_its_crossings_alone() {
        let (one, many) = (of(1).unwrap(), of(1_000).unwrap());
        let each = (many.report - one.report) / 999.0;
        assert!((10.0..20.0).contains(&each) && one.report < 50.0, "{one:?} {many:?}");
        assert!(one.post > one.report + 100.0 && one.heartbeat < one.change, "{one:?}");
    }
}
