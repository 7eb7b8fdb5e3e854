//! How fast is asked: at most so many requests in any minute, and ever longer pauses while there is trouble.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::Limits;

const MINUTE: Duration = Duration::from_secs(60);

/// The requests of the last minute.
#[derive(Debug)]
pub(crate) struct Pace {
    most: usize,
    asked: VecDeque<Instant>,
}

impl Pace {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { most: usize::try_from(limits.max_requests_per_minute).unwrap_or(usize::MAX), asked: VecDeque::new() }
    }

    /// Waits until one more request is within the limit, and counts it.
    pub(crate) async fn turn(&mut self) {
        while let Some(first) = self.asked.front().copied() {
            if first.elapsed() >= MINUTE {
                self.asked.pop_front();
            } else if self.asked.len() >= self.most {
                tokio::time::sleep_until(first + MINUTE).await;
            } else {
                break;
            }
        }
        self.asked.push_back(Instant::now());
    }
}

/// Failures in a row.
#[derive(Debug)]
pub(crate) struct Backoff {
    next_ms: u64,
    longest_ms: u64,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { next_ms: limits.backoff_first_ms.min(limits.backoff_longest_ms), longest_ms: limits.backoff_longest_ms, failures: 0 }
    }

    /// Counts a failure; how long to pause, in ms: what was asked for, or half the next pause and a random part of the other half.
    pub(crate) fn failed(&mut self, asked_ms: Option<u64>) -> u64 {
        self.failures = self.failures.saturating_add(1);
        let half_ms = self.next_ms / 2;
        let pause_ms = self.next_ms - half_ms + random() % (half_ms + 1);
        self.next_ms = self.next_ms.saturating_mul(2).min(self.longest_ms);
        asked_ms.map_or(pause_ms, |asked_ms| asked_ms.max(pause_ms))
    }

    /// How many in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

/// Random enough that many pullers do not come back at one moment.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_minute_has_more_requests_than_allowed() {
        let mut pace = Pace::new(&Limits { max_requests_per_minute: 3, ..Limits::default() });
        let start = Instant::now();
        let mut at = Vec::new();
        for i in 0..8 {
            pace.turn().await;
            at.push(start.elapsed());
            tokio::time::advance(Duration::from_secs(i)).await;
        }
        for window in at.windows(4) {
            assert!(window[3] - window[0] >= MINUTE, "{at:?}");
        }
        assert!(at[2] < MINUTE && at[7] < 4 * MINUTE, "{at:?}");
    }

    #[test]
    fn pauses_double_up_to_the_longest_or_what_was_asked_for() {
        let mut backoff = Backoff::new(&Limits { backoff_first_ms: 100, backoff_longest_ms: 350, ..Limits::default() });
        for (least, most) in [(50, 100), (100, 200), (175, 350), (175, 350)] {
            let pause_ms = backoff.failed(None);
            assert!((least..=most).contains(&pause_ms), "{pause_ms} is not from {least} to {most}");
        }
        assert_eq!((backoff.failed(Some(10_000)), backoff.failures()), (10_000, 5));
    }
}
