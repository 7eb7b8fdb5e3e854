//! What is let into a ledger, and what is quarantined instead. Pure.
//!
//! A crossing is kept out for its own sake alone: the rest of its report goes in. A heartbeat whose clock is wrong is
//! left out, counted by a metric and not quarantined: it says nothing that could be replayed later, and taken in it
//! would pass for the latest one for as long as its clock was ahead.

use occupancy::crossing::Key;
use occupancy::few::Few;
use occupancy::id::DpuId;
use occupancy::ledger::{Position, Record};
use occupancy::time::UnixMs;
use store::{Quarantined, Reason, Source};
use wire::{Bad, Report};

/// What a crossing's device time may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How far ahead of the append time, in ms.
    pub max_clock_ahead_ms: i64,
    /// How far behind the append time, in ms; `None` for any.
    pub max_lateness_ms: Option<i64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { max_clock_ahead_ms: 300_000, max_lateness_ms: None }
    }
}

impl Policy {
    /// Why a device time is refused, and what exactly is wrong; `None` when it is fine.
    fn refuses(&self, at: UnixMs, appended_at: UnixMs) -> Option<(Reason, String)> {
        let ahead_ms = at.since(appended_at);
        if at < UnixMs::CLOCK_SET {
            return Some((Reason::ClockUnset, format!("{at} is before {}: the clock was never set", UnixMs::CLOCK_SET)));
        }
        if ahead_ms > self.max_clock_ahead_ms {
            let limit_ms = self.max_clock_ahead_ms;
            return Some((Reason::ClockAhead, format!("{at} is {ahead_ms} ms ahead of {appended_at}; the limit is {limit_ms} ms")));
        }
        let limit_ms = self.max_lateness_ms.filter(|limit_ms| -ahead_ms > *limit_ms)?;
        Some((Reason::TooLate, format!("{at} came {} ms late; the limit is {limit_ms} ms", -ahead_ms)))
    }
}

/// When and where a report came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival<'a> {
    /// When the log (or, without one, the server) took it in.
    pub appended_at: UnixMs,
    /// Where the log holds it; `None` without a log.
    pub position: Option<Position>,
    /// Its place among quarantined input, without the index.
    pub topic: &'a str,
    /// The same.
    pub partition: i32,
    /// The same.
    pub offset: i64,
}

impl Arrival<'_> {
    /// The place of one of its parts among quarantined input.
    fn source(&self, index: u32) -> Source {
        Source { topic: self.topic.to_owned(), partition: self.partition, offset: self.offset, index }
    }
}

/// What becomes of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// For the ledger of its DPU; `None` only for a report that could not be read. A report of which nothing was
    /// admitted still has its record: it moves the ledger's position and stamp, whatever the policy.
    pub record: Option<(DpuId, Record)>,
    /// What was kept out.
    pub quarantine: Vec<Quarantined>,
    /// Why its heartbeat was left out, if it was.
    pub ignored_heartbeat: Option<Reason>,
}

/// Judges a report by the policy.
///
/// A report that says `accept_clock` is taken at its word: its times are not judged.
#[must_use]
pub fn admit(report: Result<Report, Bad>, arrival: &Arrival<'_>, policy: &Policy) -> Admission {
    let Report { dpu, crossings, heartbeat, accept_clock } = match report {
        Ok(report) => report,
        Err(bad) => return Admission { quarantine: vec![quarantined(arrival, Source::WHOLE, None, bad)], ..Admission::default() },
    };
    let refuses = |at| {
        // The end of time bounds spans from outside: nothing can happen at it, whoever vouches for the clock.
        if at == UnixMs::MAX {
            return Some((Reason::ClockAhead, format!("{at} is the end of time")));
        }
        if accept_clock { None } else { policy.refuses(at, arrival.appended_at) }
    };
    let mut quarantine = Vec::new();
    let mut judge = |index: u32, crossing: Result<Key, Bad>| -> Option<Key> {
        let (reason, bad) = match crossing {
            Ok(key) => {
                let Some((reason, detail)) = refuses(key.at) else { return Some(key) };
                let alone = Report { dpu: dpu.clone(), crossings: vec![Ok(key)], heartbeat: None, accept_clock: false };
                (reason, Bad::new(detail, wire::report::encode_json(&alone)))
            }
            Err(bad) => (Reason::Undecodable, bad),
        };
        quarantine.push(Quarantined { reason, ..quarantined(arrival, index, Some(&dpu), bad) });
        None
    };
    let most = crossings.len();
    let crossings = Few::up_to(most, (0..).zip(crossings).filter_map(|(index, crossing)| judge(index, crossing)));
    let ignored_heartbeat = heartbeat.and_then(|beat| refuses(beat.at)).map(|(reason, _)| reason);
    let heartbeat = heartbeat.filter(|_| ignored_heartbeat.is_none());
    let record = Record { crossings, heartbeat, appended_at: arrival.appended_at, position: arrival.position };
    Admission { record: Some((dpu, record)), quarantine, ignored_heartbeat }
}

/// The quarantine row of an undecodable part.
fn quarantined(arrival: &Arrival<'_>, index: u32, dpu: Option<&DpuId>, bad: Bad) -> Quarantined {
    Quarantined {
        source: arrival.source(index),
        reason: Reason::Undecodable,
        detail: bad.detail,
        dpu: dpu.cloned(),
        received_at: arrival.appended_at,
        payload: bad.payload,
        replayed_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use occupancy::crossing::Heartbeat;

    fn arrival(appended_at: UnixMs) -> Arrival<'static> {
        Arrival { appended_at, position: None, topic: "http", partition: 0, offset: 7 }
    }

    fn report(times: &[UnixMs]) -> Report {
        let crossings = times.iter().map(|at| Ok(Key::first_at(*at))).collect();
        Report { dpu: "d".parse().unwrap(), crossings, heartbeat: None, accept_clock: false }
    }

    fn at(text: &str) -> UnixMs {
        text.parse().unwrap()
    }

    #[test]
    fn a_bad_time_takes_the_crossing_and_not_its_report() {
        let now = at("2024-01-01T00:00:00Z");
        let edge = now.plus_ms(300_000);
        let mut report = report(&[UnixMs::CLOCK_SET.plus_ms(-1), UnixMs::CLOCK_SET, now, edge, edge.plus_ms(1)]);
        report.crossings.push(Err(Bad::new("no", b"x".to_vec())));
        let admission = admit(Ok(report), &arrival(now), &Policy::default());
        let (_, record) = admission.record.unwrap();
        assert_eq!(record.crossings.iter().map(|key| key.at).collect::<Vec<_>>(), [UnixMs::CLOCK_SET, now, edge]);
        let found: Vec<_> = admission.quarantine.iter().map(|row| (row.source.index, row.reason)).collect();
        assert_eq!(found, [(0, Reason::ClockUnset), (4, Reason::ClockAhead), (5, Reason::Undecodable)]);
        assert_eq!(admission.quarantine[2].payload, b"x");
        assert_eq!(admission.quarantine[0].dpu.as_ref().map(DpuId::as_str), Some("d"));
    }

    #[test]
    fn nothing_happens_at_the_end_of_time_whoever_vouches_for_the_clock() {
        let vouched = Report { accept_clock: true, ..report(&[UnixMs::MAX.plus_ms(-1), UnixMs::MAX]) };
        let admission = admit(Ok(vouched), &arrival(at("2024-01-01T00:00:00Z")), &Policy::default());
        assert_eq!(admission.record.unwrap().1.crossings.len(), 1);
        assert_eq!(admission.quarantine.iter().map(|row| row.reason).collect::<Vec<_>>(), [Reason::ClockAhead]);
    }

    #[test]
    fn a_quarantined_crossing_is_kept_as_a_report_of_its_own() {
        let now = at("2024-01-01T00:00:00Z");
        let late = now.plus_ms(300_001);
        let row = admit(Ok(report(&[late])), &arrival(now), &Policy::default()).quarantine.remove(0);
        let replay = wire::report::decode(&row.payload).unwrap();
        assert_eq!(replay.crossings, [Ok(Key::first_at(late))]);
        let vouched = admit(Ok(Report { accept_clock: true, ..replay }), &arrival(now), &Policy::default());
        assert!(vouched.quarantine.is_empty());
        assert_eq!(vouched.record.unwrap().1.crossings.len(), 1);
    }

    #[test]
    fn lateness_counts_only_where_it_is_limited() {
        let now = at("2024-01-01T00:00:00Z");
        let times = [now.plus_ms(-3_600_000), now.plus_ms(-3_600_001)];
        let strict = Policy { max_lateness_ms: Some(3_600_000), ..Policy::default() };
        assert!(admit(Ok(report(&times)), &arrival(now), &Policy::default()).quarantine.is_empty());
        let admission = admit(Ok(report(&times)), &arrival(now), &strict);
        assert_eq!(admission.quarantine.iter().map(|row| (row.source.index, row.reason)).collect::<Vec<_>>(), [(1, Reason::TooLate)]);
    }

    #[test]
    fn a_heartbeat_of_a_wrong_clock_is_left_out() {
        let now = at("2024-01-01T00:00:00Z");
        for (beat_at, ignored) in [(now, None), (now.plus_ms(300_001), Some(Reason::ClockAhead)), (UnixMs::MIN, Some(Reason::ClockUnset))] {
            let heartbeat = Some(Heartbeat { at: beat_at, boot: 1, last_seq: 2 });
            let admission = admit(Ok(Report { heartbeat, ..report(&[now]) }), &arrival(now), &Policy::default());
            assert_eq!(admission.ignored_heartbeat, ignored);
            let record = admission.record.unwrap().1;
            assert_eq!((record.heartbeat.is_none(), record.crossings.len()), (ignored.is_some(), 1));
        }
    }

    #[test]
    fn an_unreadable_report_is_quarantined_whole() {
        let bad = Bad::new("no", vec![1, 2]);
        let admission = admit(Err(bad), &arrival(UnixMs::CLOCK_SET), &Policy::default());
        assert_eq!(admission.record, None);
        let row = &admission.quarantine[0];
        assert_eq!((row.source.index, row.source.offset, row.reason), (Source::WHOLE, 7, Reason::Undecodable));
    }
}
