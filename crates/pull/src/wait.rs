//! How long the cursor has waited at one page for an interval to be over.

use occupancy::time::UnixMs;

/// Longer than an hour and its settling, so that only providers of longer intervals wait as long without anything being
/// wrong.
const LONG_MS: i64 = 2 * 3_600_000;

/// A wait, and whether somebody was told that it is long.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    since: Option<UnixMs>,
    told: bool,
}

impl Wait {
    /// Notes whether the cursor waits. For how many minutes it has, once that is long: to be told once a page.
    pub(crate) fn long(&mut self, waits: bool, now: UnixMs) -> Option<i64> {
        if !waits {
            *self = Self::default();
            return None;
        }
        let waited_ms = now.since(*self.since.get_or_insert(now));
        let long = waited_ms >= LONG_MS && !self.told;
        self.told |= long;
        long.then_some(waited_ms / 60_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_once_when_it_has_become_long_and_anew_at_another_page() {
        let mut wait = Wait::default();
        let mut after = |minutes: i64, waits| wait.long(waits, UnixMs::CLOCK_SET.plus_ms(minutes * 60_000));
        for (minutes, waits, told) in [
            (0, true, None),
            (119, true, None),
            (121, true, Some(121)),
            (122, true, None),
            (600, true, None),
            (601, false, None),
            (602, true, None),
            (700, true, None),
            (722, true, Some(120)),
        ] {
            assert_eq!(after(minutes, waits), told, "after {minutes} minutes");
        }
    }
}
