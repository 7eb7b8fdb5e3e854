//! Instants, UTC days and local wall-clock times.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, FixedOffset, MappedLocalTime, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;

/// Milliseconds in a UTC day.
pub const DAY_MS: i64 = 86_400_000;

/// An instant: milliseconds since 1970-01-01T00:00:00Z, within the years 1 to 9999 so that it can always be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMs(i64);

/// Why a text or a number is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not RFC 3339.
    #[error("{0:?} is not an RFC 3339 time like 2018-02-26T16:06:02.903Z")]
    Syntax(String),
    /// Outside the years 1 to 9999.
    #[error("{0} ms since 1970 is outside the years 1 to 9999")]
    Range(i64),
}

impl UnixMs {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);
    /// 2000-01-01T00:00:00Z: a DPU that says it is earlier has never had its clock set.
    pub const CLOCK_SET: Self = Self(946_684_800_000);

    /// The instant `ms` after 1970 began.
    ///
    /// # Errors
    /// Outside the years 1 to 9999.
    pub fn new(ms: i64) -> Result<Self, TimeError> {
        if (Self::MIN.0..=Self::MAX.0).contains(&ms) { Ok(Self(ms)) } else { Err(TimeError::Range(ms)) }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn ms(self) -> i64 {
        self.0
    }

    /// This much later (earlier when negative), held within the years 1 to 9999.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds from `earlier` to here; negative when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// The UTC day that holds this instant.
    #[must_use]
    pub fn day(self) -> Day {
        // Within the years 1 to 9999 a day number fits in 32 bits.
        Day(i32::try_from(self.0.div_euclid(DAY_MS)).unwrap_or(i32::MAX))
    }

    /// The same instant for chrono.
    #[must_use]
    pub fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// The instant of a chrono time, cut to whole milliseconds and held within the years 1 to 9999.
    #[must_use]
    pub fn of<Z: TimeZone>(time: &DateTime<Z>) -> Self {
        Self(time.timestamp_millis().clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl fmt::Display for UnixMs {
    /// RFC 3339 in UTC, with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, ms) = (self.utc().date_naive(), self.0.rem_euclid(DAY_MS));
        let time = |unit_ms: i64, of: i64| ms / unit_ms % of;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (place, number) in [
            (0..4, i64::from(date.year())),
            (5..7, i64::from(date.month())),
            (8..10, i64::from(date.day())),
            (11..13, time(3_600_000, 24)),
            (14..16, time(60_000, 60)),
            (17..19, time(1_000, 60)),
            (20..23, time(1, 1_000)),
        ] {
            let mut left = number;
            for digit in text.get_mut(place).into_iter().flatten().rev() {
                *digit += (left % 10) as u8;
                left /= 10;
            }
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl FromStr for UnixMs {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| TimeError::Syntax(text.chars().take(64).collect()))?;
        Self::new(time.timestamp_millis())
    }
}

/// Where a component gets the time from: an argument, so that only the program reads a clock.
pub type Clock = Arc<dyn Fn() -> UnixMs + Send + Sync>;

/// A UTC day, counted from 1970-01-01: the bucket crossings are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// The first instant of the day.
    #[must_use]
    pub fn start(self) -> UnixMs {
        UnixMs::MIN.plus_ms(i64::from(self.0) * DAY_MS - UnixMs::MIN.0)
    }
}

/// The instant at which the clocks of `zone` show `time` on `date`.
///
/// When they show it twice, the first; when they skip it, the first instant after the gap. `None` outside
/// the years 1 to 9999.
#[must_use]
pub fn local_instant(zone: Tz, date: NaiveDate, time: NaiveTime) -> Option<UnixMs> {
    let wall = date.and_time(time);
    match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => UnixMs::new(at.timestamp_millis()).ok(),
        MappedLocalTime::None => {
            // No zone is further than 26 hours from UTC on the wall clock, the day Samoa skipped included.
            let reads = |ms: i64| DateTime::from_timestamp_millis(ms).map(|utc| zone.from_utc_datetime(&utc.naive_utc()).naive_local());
            let guess = wall.and_utc().timestamp_millis();
            let (mut before, mut after) = (guess - 26 * 3_600_000, guess + 26 * 3_600_000);
            while after - before > 1 {
                let middle = before.midpoint(after);
                if reads(middle)? < wall { before = middle } else { after = middle }
            }
            UnixMs::new(after).ok()
        }
    }
}

/// The first instant of `date` in `zone`.
#[must_use]
pub fn day_start(zone: Tz, date: NaiveDate) -> Option<UnixMs> {
    local_instant(zone, date, NaiveTime::MIN)
}

/// The date the clocks of `zone` show at `at`.
#[must_use]
pub fn local_date(zone: Tz, at: UnixMs) -> NaiveDate {
    at.utc().with_timezone(&zone).date_naive()
}

/// What the clocks of `zone` show at `at`, and how far they are from UTC.
#[must_use]
pub fn local_time(zone: Tz, at: UnixMs) -> DateTime<FixedOffset> {
    at.utc().with_timezone(&zone).fixed_offset()
}

/// `days` later (earlier when negative); `None` beyond what a date can hold.
#[must_use]
pub fn add_days(date: NaiveDate, days: i64) -> Option<NaiveDate> {
    let step = Days::new(days.unsigned_abs());
    if days < 0 { date.checked_sub_days(step) } else { date.checked_add_days(step) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(zone: Tz, text: &str) -> String {
        let wall: chrono::NaiveDateTime = text.parse().unwrap();
        local_instant(zone, wall.date(), wall.time()).unwrap().to_string()
    }

    #[test]
    fn wall_clock_times_resolve_through_gaps_and_overlaps() {
        use chrono_tz::{America::Los_Angeles, Asia::Kolkata, Australia::Lord_Howe, Pacific::Apia};
        assert_eq!(wall(Los_Angeles, "2005-10-29T04:00:00"), "2005-10-29T11:00:00.000Z");
        assert_eq!(wall(Los_Angeles, "2005-10-30T01:30:00"), "2005-10-30T08:30:00.000Z", "the first of two");
        assert_eq!(wall(Los_Angeles, "2005-10-30T04:00:00"), "2005-10-30T12:00:00.000Z");
        assert_eq!(wall(Los_Angeles, "2005-04-03T02:30:00"), "2005-04-03T10:00:00.000Z", "the first instant after the gap");
        assert_eq!(wall(Kolkata, "2024-01-01T00:00:00"), "2023-12-31T18:30:00.000Z");
        assert_eq!(wall(Lord_Howe, "2024-10-06T02:15:00"), "2024-10-05T15:30:00.000Z", "a gap of half an hour");
        assert_eq!(wall(Apia, "2011-12-30T04:00:00"), "2011-12-30T10:00:00.000Z", "a skipped day");
    }

    #[test]
    fn instants_are_written_with_milliseconds_and_read_back() {
        let at: UnixMs = "2018-02-26T17:06:02.903+01:00".parse().unwrap();
        assert_eq!(at.to_string(), "2018-02-26T16:06:02.903Z");
        for edge in [UnixMs::MIN, UnixMs::MAX, UnixMs::CLOCK_SET] {
            assert_eq!(edge.to_string().parse(), Ok(edge));
        }
        // Steps that meet every part of a date and a time.
        for ms in (UnixMs::MIN.0..=UnixMs::MAX.0).step_by(77_777_777_777).chain((0..DAY_MS * 800).step_by(98_765_432)) {
            let at = UnixMs(ms);
            assert_eq!(at.to_string(), at.utc().to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        }
        assert!("yesterday".parse::<UnixMs>().is_err());
        assert_eq!(UnixMs::new(i64::MAX), Err(TimeError::Range(i64::MAX)));
    }

    #[test]
    fn days_are_utc_days() {
        let at: UnixMs = "1969-12-31T23:59:59.999Z".parse().unwrap();
        assert_eq!(at.day(), Day(-1));
        assert_eq!(Day(-1).start().to_string(), "1969-12-31T00:00:00.000Z");
        assert_eq!(UnixMs::MAX.day().start().to_string(), "9999-12-31T00:00:00.000Z");
    }
}
