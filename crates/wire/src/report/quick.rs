//! Reports as JSON that hold nothing wrong, as nearly all: read in one pass.
//!
//! What is read here is read by [`super::json`] too, to the same. That goes over each crossing three times, to tell what is
//! wrong with which: it reads whatever this gives up.

use std::fmt;

use occupancy::crossing::Key;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::json::{Counter, Dpu, ReadCrossing, ReadHeartbeat};
use crate::named::Named;
use crate::{Bad, Report};

#[derive(Deserialize)]
struct Read {
    dpu_id: Dpu,
    boot: Option<Counter>,
    crossings: Option<Crossings>,
    heartbeat: Option<Named<ReadHeartbeat>>,
    accept_clock: Option<bool>,
}

/// Reads one report.
pub(super) fn decode(text: &str) -> Option<Report> {
    serde_json::from_str::<Named<Read>>(text).ok()?.0.report()
}

/// Reads an array of them.
pub(super) fn decode_all(text: &str) -> Option<Vec<Result<Report, Bad>>> {
    let read: Vec<Named<Read>> = serde_json::from_str(text).ok()?;
    read.into_iter().map(|Named(read)| read.report().map(Ok)).collect()
}

impl Read {
    /// `None` where it says nothing that is understood: then it matters what else it says.
    fn report(self) -> Option<Report> {
        let Self { dpu_id, boot, crossings, heartbeat, accept_clock } = self;
        if crossings.is_none() && heartbeat.is_none() {
            return None;
        }
        let boot = boot.map_or(0, |boot| boot.0);
        let read = crossings.map_or_else(Vec::new, |crossings| crossings.0);
        let crossings: Vec<Result<Key, Bad>> = read.into_iter().map(|read| Ok(read.key(boot))).collect();
        let heartbeat = heartbeat.map(|Named(read)| read.heartbeat(boot));
        Some(Report { dpu: dpu_id.0, crossings, heartbeat, accept_clock: accept_clock.unwrap_or(false) })
    }
}

/// A list of crossings; mostly it is one, and room is made for that.
struct Crossings(Vec<ReadCrossing>);

impl<'de> Deserialize<'de> for Crossings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(List).map(Self)
    }
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Vec<ReadCrossing>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of crossings")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<ReadCrossing>, A::Error> {
        let mut read = Vec::new();
        while let Some(Named(crossing)) = list.next_element()? {
            if read.is_empty() {
                read.reserve_exact(1);
            }
            read.push(crossing);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use proptest::sample::Index;

    use super::super::json;
    use super::*;

    /// Parts of reports, right and wrong, in any order and number.
    const PARTS: [&str; 27] = [
        r#""dpu_id":"283""#,
        r#""dpu_id":"\u0032""#,
        r#""dpu_id":3"#,
        r#""boot":7"#,
        r#""boot":7.0"#,
        r#""boot":null"#,
        r#""boot":-1"#,
        r#""crossings":[]"#,
        r#""crossings":null"#,
        r#""crossings":{}"#,
        r#""crossings":[{"at":"2018-02-26T16:06:02.903Z","direction":1,"seq":41}]"#,
        r#""crossings": [ {"direction":-1,"at":"2018-02-26T16:06:02.903Z","boot":3,"x":[1e999]} ,{"at":"2018-02-26T16:06:02Z","direction":1}]"#,
        r#""crossings":[{"at":"2018-02-26T16:06:02Z","direction":1,"seq":9007199254740993.0}]"#,
        r#""crossings":[{"at":"2018-02-26T16:06:02Z","direction":1,"direction":1}]"#,
        r#""crossings":[{"at":"2018-02-26T16:06:02Z"}]"#,
        r#""crossings":[["2018-02-26T16:06:02Z",1,null,null]]"#,
        r#""crossings":[null]"#,
        r#""heartbeat":{"at":"2018-02-26T16:06:02.903Z","last_seq":4}"#,
        r#""heartbeat":{"at":"2018-02-26T16:06:02.903Z"}"#,
        r#""heartbeat":["2018-02-26T16:06:02.903Z",4]"#,
        r#""heartbeat":{"at":"yesterday"}"#,
        r#""heartbeat":null"#,
        r#""accept_clock":true"#,
        r#""accept_clock":1"#,
        r#""later":{"is":[1e999,"\ud800"]}"#,
        r#""at":"2018-02-26T16:06:02Z""#,
        r#""boot""#,
    ];

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4000))]

        #[test]
        fn what_is_read_at_one_go_is_what_is_read_part_by_part(
            reports in proptest::collection::vec(proptest::collection::vec(0..PARTS.len(), 0..5), 0..3),
            sound in any::<bool>(),
            cut in any::<Option<Index>>(),
        ) {
            let one = |parts: &Vec<usize>| {
                let head = if sound { Some(r#""dpu_id":"d1""#) } else { None };
                let all: Vec<&str> = head.into_iter().chain(parts.iter().map(|part| PARTS[*part])).collect();
                format!("{{{}}}", all.join(","))
            };
            let each: Vec<String> = reports.iter().map(one).collect();
            for text in &each {
                if let Some(report) = decode(text) {
                    prop_assert_eq!(json::decode_parts(text), Ok(report));
                }
            }
            let mut body = format!(" [{}]", each.join(", "));
            body.truncate(cut.map_or(body.len(), |cut| cut.index(body.len() + 1)));
            if let Some(reports) = decode_all(&body) {
                prop_assert_eq!(json::decode_each(&body), Ok(reports));
            }
        }
    }

    #[test]
    fn reports_without_a_wrong_part_are_read_at_one_go() {
        let report = r#"{"dpu_id":"283","boot":7,"crossings":[{"at":"2018-02-26T16:06:02.903Z","direction":1,"seq":41}],"later":1}"#;
        let read = decode(report).unwrap();
        assert_eq!((read.crossings.len(), read.crossings.capacity()), (1, 1));
        assert_eq!(decode_all(&format!("[{report},{report}]")), Some(vec![Ok(read.clone()), Ok(read)]));
        assert!([r#"["283",7,[],null,null]"#, r#"{"dpu_id":"283"}"#, "{", "[]"].iter().all(|other| decode(other).is_none()));
    }
}
