//! The one place that reads the clock.

use std::sync::Arc;

use occupancy::time::{Clock, UnixMs};

/// The system's clock.
#[must_use]
pub(crate) fn system() -> Clock {
    Arc::new(now)
}

/// Now, by the system's clock; held within the years 1 to 9999.
#[must_use]
pub(crate) fn now() -> UnixMs {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ms = since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    UnixMs::MIN.plus_ms(ms.saturating_sub(UnixMs::MIN.ms()))
}
