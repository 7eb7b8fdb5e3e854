//! A day as it is kept in memory.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use occupancy::time::UnixMs;

use crate::day::DayEntry;
use crate::steps::Steps;

/// A day, and how totals step up in those of its segments that were asked for.
pub(super) struct KeptDay {
    pub(super) entry: DayEntry,
    pub(super) segments: Box<[KeptSegment]>,
}

/// What is kept of a segment.
#[derive(Default)]
pub(super) struct KeptSegment {
    pub(super) steps: OnceLock<Steps>,
    /// Whether it was read while little room was left.
    asked: AtomicBool,
}

impl KeptDay {
    pub(super) fn new(entry: DayEntry) -> Self {
        let segments = entry.starts.iter().map(|_| KeptSegment::default()).collect();
        Self { entry, segments }
    }

    /// What is kept of the segment that holds what comes before an instant.
    pub(super) fn segment_of(&self, before: UnixMs) -> Option<&KeptSegment> {
        self.segments.get(self.entry.begun_before(before).checked_sub(1)?)
    }

    /// What it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let of_segments: usize = self.segments.iter().filter_map(|segment| segment.steps.get()).map(Steps::bytes).sum();
        size_of::<Self>() + size_of_val(&*self.entry.starts) + size_of_val(&*self.segments) + of_segments
    }
}

impl KeptSegment {
    /// Whether it was asked for before, while little room was left; from now on it was.
    pub(super) fn asked_again(&self) -> bool {
        self.asked.swap(true, Ordering::Relaxed)
    }
}
