//! How busy a campus is, minute by minute.

use chrono::{Datelike, Timelike, Weekday};
use chrono_tz::Tz;
use occupancy::time::UnixMs;

/// Crossings at each local hour of a working day, in percent of the busiest: opening at 7, lunch at 12, closing at 22.
const ACTIVITY: [u64; 24] = [0, 0, 0, 0, 0, 0, 0, 40, 100, 80, 50, 60, 100, 100, 50, 50, 60, 90, 60, 30, 20, 20, 0, 0];
/// People inside as each hour begins, in percent of the most.
const INSIDE: [u64; 24] = [0, 0, 0, 0, 0, 0, 0, 5, 30, 80, 100, 95, 50, 70, 95, 90, 75, 45, 25, 12, 6, 4, 0, 0];

/// How busy it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Crossings per hour and DPU, on the average of all DPUs, at the busiest.
    pub crossings_per_hour: u32,
    /// People inside at the busiest.
    pub people: u32,
    /// Whether it follows a day (opens at 7, lunch at 12, everybody out soon after 22 local time, few people on
    /// weekends); otherwise it is always at its busiest, and never empty: give such a campus no resets.
    pub daily: bool,
}

/// What happens in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Minute {
    /// Crossings, in thousandths.
    pub(crate) milli_crossings: u64,
    /// How many people would be inside.
    pub(crate) people: u64,
    /// Whether anybody enters; otherwise everybody leaves.
    pub(crate) open: bool,
}

impl Pace {
    /// The minute that begins at `at`, with so many people `inside` then.
    pub(crate) fn minute(self, zone: Tz, at: UnixMs, dpus: u64, inside: u64) -> Minute {
        let busiest = dpus * u64::from(self.crossings_per_hour) * 1000 / 60;
        if !self.daily {
            return Minute { milli_crossings: busiest, people: self.people.into(), open: true };
        }
        let local = at.utc().with_timezone(&zone);
        let of = |hours: &[u64], hour: u32| hours.get(hour as usize).copied().unwrap_or(0);
        let hour = local.hour();
        let (activity, people, next) = (of(&ACTIVITY, hour), of(&INSIDE, hour), of(&INSIDE, hour + 1));
        if activity == 0 {
            // Enough steps to see everybody out within the hour.
            return Minute { milli_crossings: if inside == 0 { 0 } else { (inside + 1) * 1000 }, people: 0, open: false };
        }
        let share = if matches!(local.weekday(), Weekday::Sat | Weekday::Sun) { 20 } else { 100 };
        let past = u64::from(local.minute());
        let percent_minutes = people * (60 - past) + next * past;
        Minute {
            milli_crossings: busiest * activity * share / 10_000,
            people: u64::from(self.people) * percent_minutes * share / (60 * 10_000),
            open: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_opens_has_lunch_and_closes_in_local_time() {
        let pace = Pace { crossings_per_hour: 60, people: 100, daily: true };
        let people = |text: &str| pace.minute(Tz::America__Los_Angeles, text.parse().unwrap(), 10, 0);
        assert!(!people("2024-06-03T06:59:00-07:00").open);
        assert_eq!(people("2024-06-03T10:00:00-07:00"), Minute { milli_crossings: 5000, people: 100, open: true });
        assert_eq!(people("2024-06-03T12:00:00-07:00").people, 50);
        assert_eq!(people("2024-06-03T12:30:00-07:00").people, 60, "between 50 and 70");
        assert_eq!(people("2024-06-02T10:00:00-07:00").people, 20, "a Sunday");
        assert_eq!(people("2024-06-03T23:00:00-07:00"), Minute { milli_crossings: 0, people: 0, open: false });
    }

    #[test]
    fn a_steady_pace_knows_no_hours() {
        let pace = Pace { crossings_per_hour: 60, people: 100, daily: false };
        let night = pace.minute(Tz::UTC, "2024-06-03T03:00:00Z".parse().unwrap(), 10, 7);
        assert_eq!(night, Minute { milli_crossings: 10_000, people: 100, open: true });
    }
}
