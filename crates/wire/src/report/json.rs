//! Reports as JSON. Where anything is wrong each crossing is first found, then read by itself, so that one wrong crossing
//! costs no other.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::id::DpuId;
use occupancy::time::UnixMs;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::quick;
use crate::whole::{Whole, counter};
use crate::{Bad, Report, WireError, to_json};

#[derive(Deserialize)]
struct Read<'a> {
    dpu_id: Dpu,
    boot: Option<Counter>,
    #[serde(borrow)]
    crossings: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    heartbeat: Option<&'a RawValue>,
    accept_clock: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct ReadCrossing {
    at: At,
    direction: Sign,
    seq: Option<Counter>,
    boot: Option<Counter>,
}

#[derive(Deserialize)]
pub(super) struct ReadHeartbeat {
    at: At,
    last_seq: Option<Counter>,
}

/// A report as it is written: its own parts, or one that came and could not be read.
#[derive(Serialize)]
pub(super) struct Written<'a, C, H> {
    pub(super) dpu_id: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) boot: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) crossings: Vec<C>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) heartbeat: Option<H>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) accept_clock: bool,
}

/// A crossing as it is written; what a protobuf crossing says wrongly has other types than it should.
#[derive(Serialize)]
pub(super) struct WrittenCrossing {
    pub(super) at: Value,
    pub(super) direction: Value,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) boot: Option<u64>,
}

/// A heartbeat as it is written.
#[derive(Serialize)]
pub(super) struct WrittenHeartbeat {
    pub(super) at: Value,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) last_seq: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A payload as text.
pub(super) fn text(payload: &[u8]) -> Result<&str, WireError> {
    str::from_utf8(payload).map_err(|error| WireError(format!("the JSON is no UTF-8: {error}")))
}

/// Reads one report.
pub(super) fn decode(text: &str) -> Result<Report, WireError> {
    quick::decode(text).map_or_else(|| decode_parts(text), Ok)
}

/// Reads one report part by part.
pub(super) fn decode_parts(text: &str) -> Result<Report, WireError> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(WireError("a report is an object like {\"dpu_id\":\"283\",\"crossings\":[]}".to_owned()));
    }
    let read: Read<'_> = serde_json::from_str(text).map_err(|error| WireError(format!("the report cannot be read: {error}")))?;
    if read.crossings.is_none() && read.heartbeat.is_none() {
        says_nothing_else(text)?;
    }
    let (dpu, boot) = (read.dpu_id.0, read.boot.map_or(0, |boot| boot.0));
    let mut crossings = Vec::with_capacity(read.crossings.as_ref().map_or(0, Vec::len) + 1);
    for raw in read.crossings.unwrap_or_default() {
        crossings.push(part::<ReadCrossing>(raw).map(|read| read.key(boot)).map_err(|detail| bad_crossing(&dpu, boot, raw, detail)));
    }
    let mut heartbeat = None;
    if let Some(raw) = read.heartbeat {
        match part::<ReadHeartbeat>(raw) {
            Ok(read) => heartbeat = Some(read.heartbeat(boot)),
            Err(detail) => crossings.push(Err(bad_heartbeat(&dpu, boot, raw, &detail))),
        }
    }
    Ok(Report { dpu, crossings, heartbeat, accept_clock: read.accept_clock.unwrap_or(false) })
}

/// Refuses a report that says something, though nothing that is understood: misspelt crossings must not vanish.
fn says_nothing_else(text: &str) -> Result<(), WireError> {
    let keys: BTreeMap<String, IgnoredAny> = serde_json::from_str(text).unwrap_or_default();
    match keys.into_keys().find(|key| !["dpu_id", "boot", "crossings", "heartbeat", "accept_clock"].contains(&key.as_str())) {
        Some(key) => Err(WireError(format!("the report holds neither `crossings` nor a `heartbeat`, but {key:?}"))),
        None => Ok(()),
    }
}

/// Reads a body of one report.
pub(super) fn decode_one(text: &str) -> Result<Result<Report, Bad>, WireError> {
    let report = decode(text);
    if report.is_err() {
        serde_json::from_str::<&RawValue>(text).map_err(|error| no_json(&error))?;
    }
    Ok(report.map_err(|error| Bad::new(error.0, text.as_bytes().to_vec())))
}

/// Reads a body of several reports.
pub(super) fn decode_all(text: &str) -> Result<Vec<Result<Report, Bad>>, WireError> {
    quick::decode_all(text).map_or_else(|| decode_each(text), Ok)
}

/// Reads a body of several reports one by one.
pub(super) fn decode_each(text: &str) -> Result<Vec<Result<Report, Bad>>, WireError> {
    let reports: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| no_json(&error))?;
    let decode = |raw: &RawValue| decode(raw.get()).map_err(|error| Bad::new(error.0, raw.get().as_bytes().to_vec()));
    Ok(reports.into_iter().map(decode).collect())
}

/// Writes a report.
pub(super) fn encode(report: &Report) -> Vec<u8> {
    let boot = super::boot(report);
    let time = |at: UnixMs| Value::from(at.to_string());
    let crossing = |key: &Key| WrittenCrossing {
        at: time(key.at),
        direction: Value::from(key.direction.sign()),
        seq: key.seq,
        boot: (key.boot != boot).then_some(key.boot),
    };
    to_json(&Written {
        dpu_id: report.dpu.as_str(),
        boot,
        crossings: report.crossings.iter().flatten().map(crossing).collect(),
        heartbeat: report.heartbeat.map(|heartbeat| WrittenHeartbeat { at: time(heartbeat.at), last_seq: heartbeat.last_seq }),
        accept_clock: report.accept_clock,
    })
}

/// A crossing that cannot be read, as a report of its own.
pub(super) fn bad_crossing<C: Serialize>(dpu: &DpuId, boot: u64, crossing: C, detail: String) -> Bad {
    let crossings = vec![crossing];
    let alone = Written { dpu_id: dpu.as_str(), boot, crossings, heartbeat: None::<()>, accept_clock: false };
    Bad::new(detail, to_json(&alone))
}

/// A heartbeat that cannot be read, as a report of its own.
pub(super) fn bad_heartbeat<H: Serialize>(dpu: &DpuId, boot: u64, heartbeat: H, detail: &str) -> Bad {
    let crossings = Vec::<()>::new();
    let alone = Written { dpu_id: dpu.as_str(), boot, crossings, heartbeat: Some(heartbeat), accept_clock: false };
    Bad::new(format!("heartbeat: {detail}"), to_json(&alone))
}

/// Reads a crossing or a heartbeat.
fn part<T: DeserializeOwned>(raw: &RawValue) -> Result<T, String> {
    if !raw.get().starts_with('{') {
        return Err("not an object like {\"at\":\"2018-02-26T16:06:02.903Z\"}".to_owned());
    }
    serde_json::from_str(raw.get()).map_err(|error| {
        // A place within the part says nothing to who sent the report.
        let text = error.to_string();
        text.rsplit_once(" at line ").map_or(text.as_str(), |(detail, _)| detail).to_owned()
    })
}

fn no_json(error: &serde_json::Error) -> WireError {
    WireError(format!("the body is no JSON: {error}"))
}

impl ReadCrossing {
    pub(super) fn key(self, boot: u64) -> Key {
        Key { at: self.at.0, boot: self.boot.map_or(boot, |own| own.0), seq: self.seq.map_or(0, |seq| seq.0), direction: self.direction.0 }
    }
}

impl ReadHeartbeat {
    pub(super) fn heartbeat(self, boot: u64) -> Heartbeat {
        Heartbeat { at: self.at.0, boot, last_seq: self.last_seq.map_or(0, |seq| seq.0) }
    }
}

pub(super) struct Dpu(pub(super) DpuId);
struct At(UnixMs);
struct Sign(Direction);
pub(super) struct Counter(pub(super) u64);

impl<'de> Deserialize<'de> for Dpu {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("dpu_id, a text", PhantomData)).map(Self)
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("at, an RFC 3339 time like \"2018-02-26T16:06:02.903Z\"", PhantomData)).map(Self)
    }
}

impl<'de> Deserialize<'de> for Sign {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // That 1.0 is none is frozen with the form.
        let sign: i64 = Whole { expected: "direction 1 or -1", point: false }.read(deserializer)?;
        Direction::try_from(sign).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Counter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        counter(deserializer).map(Self)
    }
}

/// Reads a text as what it stands for.
struct Text<T>(&'static str, PhantomData<T>);

impl<T: FromStr<Err: Display>> Visitor<'_> for Text<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        let name = self.0.split_once(',').map_or(self.0, |(name, _)| name);
        text.parse().map_err(|error| E::custom(format_args!("{name}: {error}")))
    }
}
