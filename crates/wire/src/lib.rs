//! What crosses the edges: reports as protobuf and JSON, topology documents, edits as they are stored, changes of
//! counters, and counts of an interval as crossings.

pub mod change;
pub mod document;
pub mod edit;
pub mod interval;
pub mod named;
pub mod report;
pub mod whole;

pub use interval::Interval;
use occupancy::crossing::{Heartbeat, Key};
use occupancy::id::DpuId;
use serde::Serialize;

#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated code")]
mod v1 {
    include!(concat!(env!("OUT_DIR"), "/headcount.v1.rs"));
}

/// What a DPU sends: crossings and, or, a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Who reports.
    pub dpu: DpuId,
    /// Crossings in the order they came; a bad one never spoils the others. A bad heartbeat stands after the last of them.
    pub crossings: Vec<Result<Key, Bad>>,
    /// That it is alive.
    pub heartbeat: Option<Heartbeat>,
    /// Whether somebody vouches for its clock: set on reports replayed from quarantine.
    pub accept_clock: bool,
}

/// A part that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// What was wrong, for people.
    pub detail: String,
    /// The part as it came.
    pub payload: Vec<u8>,
}

/// The longest text of what was wrong, in characters: it may quote what came.
const DETAIL_MOST_CHARS: usize = 500;

impl Bad {
    /// A long detail is cut.
    pub fn new(detail: impl Into<String>, payload: Vec<u8>) -> Self {
        Self { detail: cut(detail.into(), DETAIL_MOST_CHARS), payload }
    }
}

/// A text for people, of which no more than so many characters are told.
#[must_use]
pub fn cut(mut text: String, most_chars: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most_chars) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A text or payload that cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WireError(pub String);

/// A value of this crate's own forms as JSON.
fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    // Writing to memory fails only for maps whose keys are no text, and these forms have no maps.
    serde_json::to_vec(value).unwrap_or_default()
}
