//! The limits of a provider: every number a setting, with its unit in its name.

use serde::Deserialize;

/// The table `[limits]`. Whatever is left out has its default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most requests in any minute.
    pub max_requests_per_minute: u32,
    /// How long connecting may take.
    pub connect_timeout_ms: u64,
    /// How long a request may take, answer and all.
    pub timeout_ms: u64,
    /// The largest answer.
    pub max_answer_bytes: usize,
    /// The pause after the first failure; it doubles with each that follows.
    pub backoff_first_ms: u64,
    /// The longest pause, unless the provider asks for more.
    pub backoff_longest_ms: u64,
    /// The longest pause that is granted to a provider that asks for one (Retry-After).
    pub retry_after_longest_s: u64,
    /// How often the same is tried with `--once` before it gives up.
    pub once_attempts: u32,
    /// The most pages of one round; the next round goes on from there.
    pub max_pages_per_round: u32,
    /// Of how many intervals, the latest, it is known what they said, to notice those that are lowered later.
    pub remember_intervals: usize,
    /// How many rejected items are known, besides those of the page at the cursor, not to be rejected again each time they
    /// are read.
    pub remember_rejected: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_requests_per_minute: 60,
            connect_timeout_ms: 5_000,
            timeout_ms: 30_000,
            max_answer_bytes: 8 << 20,
            backoff_first_ms: 1_000,
            backoff_longest_ms: 60_000,
            retry_after_longest_s: 3_600,
            once_attempts: 8,
            max_pages_per_round: 10_000,
            remember_intervals: 20_000,
            remember_rejected: 1_000,
        }
    }
}

impl Limits {
    /// The first that is 0 and may not be.
    pub(crate) fn zero(&self) -> Option<&'static str> {
        let numbers = [
            ("max_requests_per_minute", u64::from(self.max_requests_per_minute)),
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("timeout_ms", self.timeout_ms),
            ("max_answer_bytes", self.max_answer_bytes as u64),
            ("backoff_first_ms", self.backoff_first_ms),
            ("backoff_longest_ms", self.backoff_longest_ms),
            ("once_attempts", u64::from(self.once_attempts)),
            ("max_pages_per_round", u64::from(self.max_pages_per_round)),
            ("remember_intervals", self.remember_intervals as u64),
        ];
        numbers.into_iter().find(|(_, number)| *number == 0).map(|(name, _)| name)
    }
}
