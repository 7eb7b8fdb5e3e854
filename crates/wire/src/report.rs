//! Reports, version 1, as protobuf (`schemas/headcount/v1/report.proto`) and JSON.
//!
//! ```json
//! {"dpu_id":"283","boot":7,"crossings":[{"at":"2018-02-26T16:06:02.903Z","direction":1,"seq":41}],
//!  "heartbeat":{"at":"2018-02-26T16:06:10.000Z","last_seq":41},"accept_clock":true}
//! ```
//!
//! All but `dpu_id` may be absent, as may `seq` and `last_seq`. A crossing may have a `boot` of its own: one kept over a
//! restart. Unknown fields are ignored, so that newer DPUs can talk to an older server. `boot`, `seq` and `last_seq` may
//! be written with a point, `41.0`, as programs do to which numbers that may be absent are floating.
//!
//! # What is wrong with a part stays with the part
//!
//! A crossing that cannot be read becomes a [`Bad`] in its place; a heartbeat that cannot be read becomes one after the
//! last crossing, so that it costs no crossing. The payload of each is a JSON report of just this part, ready to be
//! mended and sent again. A report whose own fields cannot be read (`dpu_id`, `boot`, `accept_clock`, no list of
//! crossings) fails as a whole.

mod json;
mod proto;
mod quick;

use crate::{Bad, Report, WireError, v1};

/// Reads one record's value: protobuf, or JSON where the first byte that is no white space is `{`.
///
/// # Errors
/// It is neither, or names no DPU.
pub fn decode(payload: &[u8]) -> Result<Report, WireError> {
    Decoder::default().decode(payload)
}

/// The memory of how many crossings is kept: one record with many more is no reason to hold so much for good.
const MOST_KEPT: usize = 1024;

/// Reads one record after the other, and keeps the memory it reads them into.
#[derive(Debug, Default)]
pub struct Decoder(v1::Report);

impl Decoder {
    /// Reads one record's value, as [`decode`] does.
    ///
    /// # Errors
    /// It is neither protobuf nor JSON, or names no DPU.
    pub fn decode(&mut self, payload: &[u8]) -> Result<Report, WireError> {
        // A protobuf report begins with white space too, the tag of `dpu_id`, but an id never begins with a brace.
        if first(payload) == Some(b'{') {
            return json::decode(json::text(payload)?);
        }
        let report = proto::decode(&mut self.0, payload);
        if self.0.crossings.capacity() > MOST_KEPT {
            self.0 = v1::Report::default();
        }
        report
    }
}

/// Reads a JSON body: one report or an array of them; a bad one does not spoil the others.
///
/// # Errors
/// It is no JSON, or neither an object nor an array.
pub fn decode_body(body: &[u8]) -> Result<Vec<Result<Report, Bad>>, WireError> {
    match first(body) {
        Some(b'{') => json::decode_one(json::text(body)?).map(|report| vec![report]),
        Some(b'[') => json::decode_all(json::text(body)?),
        _ => Err(WireError("the body is no JSON report and no array of them: it begins with neither { nor [".to_owned())),
    }
}

/// A report as protobuf; crossings that could not be read are left out.
#[must_use]
pub fn encode(report: &Report) -> Vec<u8> {
    proto::encode(report)
}

/// A report as JSON; crossings that could not be read are left out.
#[must_use]
pub fn encode_json(report: &Report) -> Vec<u8> {
    json::encode(report)
}

/// The first byte that is no white space.
fn first(bytes: &[u8]) -> Option<u8> {
    bytes.trim_ascii_start().first().copied()
}

/// The `boot` a report is written with: the heartbeat has no other.
fn boot(report: &Report) -> u64 {
    let crossing = || report.crossings.iter().flatten().next().map(|key| key.boot);
    report.heartbeat.map(|heartbeat| heartbeat.boot).or_else(crossing).unwrap_or(0)
}
