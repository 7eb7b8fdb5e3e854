//! Answers as the description says they are written, field by field.

use occupancy::baseline::{Baseline, Kind};
use occupancy::bucket::Extreme;
use occupancy::conservation::Remainder;
use occupancy::count::Count;
use occupancy::crossing::Direction;
use occupancy::edit::Note;
use occupancy::time::UnixMs;
use occupancy::world::Made;
use query::{DoorwayPart, Event, Explained, HistoryBucket, InstallationPart, Series, Stats};
use serde_json::{Value, json};

pub(super) fn time(at: UnixMs) -> String {
    at.utc().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn texts<T: ToString>(all: &[T]) -> Vec<String> {
    all.iter().map(T::to_string).collect()
}

fn baseline(one: &Baseline) -> Value {
    let kind = match one.kind {
        Kind::Beginning => "beginning",
        Kind::Reset => "reset",
        Kind::Correction => "correction",
    };
    json!({"kind": kind, "at": one.at.map(time), "count": one.count})
}

pub(super) fn count(one: &Count) -> Value {
    json!({
        "space": one.space.to_string(),
        "at": time(one.at),
        "count": if one.raw < 0 { 0 } else { one.raw },
        "raw": one.raw,
        "baseline": baseline(&one.baseline),
        "entered": one.entered,
        "exited": one.exited,
        "heard_to": one.heard_to.map(time),
        "settled": one.heard_to.is_some_and(|heard| heard >= one.at),
        "silent": texts(&one.silent),
        "uncovered": texts(&one.uncovered),
        "capacity": one.capacity,
    })
}

fn note((at, note): &(UnixMs, Note)) -> Value {
    json!({"at": time(*at), "by": note.by, "reason": note.reason})
}

fn correction(made: &Made) -> Value {
    let one = &made.correction;
    json!({
        "id": one.id.to_string(),
        "space": one.space.to_string(),
        "at": time(one.at),
        "count": one.count,
        "made_at": time(made.made_at),
        "by": made.note.by,
        "reason": made.note.reason,
        "retracted": made.retracted.as_ref().map(note),
    })
}

fn installation(one: &InstallationPart) -> Value {
    let missing = one.missing.as_ref().map(|boots| {
        let boots = boots.iter().map(|(boot, missing)| json!({"boot": boot, "missing": missing}));
        boots.collect::<Vec<Value>>()
    });
    json!({
        "dpu": one.dpu.to_string(),
        "sign": if one.plus_enters { 1 } else { -1 },
        "from": time(one.from),
        "to": time(one.to),
        "entered": one.part.entered,
        "exited": one.part.exited,
        "missing": missing,
        "heard": one.part.heard.map(time),
        "silent": one.part.silent,
    })
}

fn doorway(one: &DoorwayPart) -> Value {
    let uncovered = one.uncovered.iter().map(|(from, to)| json!({"from": time(*from), "to": time(*to)}));
    json!({
        "id": one.doorway.id.to_string(),
        "name": one.doorway.name,
        "between": texts(&one.doorway.between),
        "inside": one.inside.to_string(),
        "installations": one.installations.iter().map(installation).collect::<Vec<Value>>(),
        "uncovered": uncovered.collect::<Vec<Value>>(),
    })
}

fn conservation(one: &Remainder) -> Value {
    let child = |(space, raw, from): &(_, i64, Baseline)| {
        let space: &occupancy::id::SpaceId = space;
        json!({"space": space.to_string(), "raw": raw, "baseline": baseline(from)})
    };
    let people = one.people();
    json!({
        "remainder": people,
        "contradicts": people.is_some_and(|people| people < 0 || (people != 0 && !one.has_doors)),
        "since": one.since.map(time),
        "start": people.map(|people| people - one.entered + one.exited),
        "entered": one.entered,
        "exited": one.exited,
        "has_doorways": one.has_doors,
        "uncovered": one.uncovered.iter().map(ToString::to_string).collect::<Vec<String>>(),
        "children": one.children.iter().map(child).collect::<Vec<Value>>(),
    })
}

pub(super) fn explained(one: &Explained) -> Value {
    json!({
        "count": count(&one.count),
        "correction": one.correction.as_ref().map(correction),
        "doorways": one.doorways.iter().map(doorway).collect::<Vec<Value>>(),
        "conservation": one.remainder.as_ref().map(conservation),
    })
}

pub(super) fn crossing(one: &Event) -> Value {
    json!({
        "at": time(one.key.at),
        "event": if one.entered { "entered" } else { "exited" },
        "doorway": one.doorway.to_string(),
        "dpu_id": one.dpu.to_string(),
        "direction": if one.key.direction == Direction::Plus { 1 } else { -1 },
        "boot": one.key.boot,
        "seq": one.key.seq,
    })
}

/// The mean is left out: it is held against the number.
pub(super) fn bucket(series: &Series, one: &HistoryBucket, stats: Stats) -> Value {
    let HistoryBucket { bucket, missing, partial } = one;
    let extreme = |one: Extreme| json!({"count": one.count, "at": time(one.at)});
    let mut told = json!({
        "start": time(bucket.start),
        "end": time(bucket.end),
        "offset": bucket.start.utc().with_timezone(&series.zone).format("%:z").to_string(),
        "entered": bucket.entered,
        "exited": bucket.exited,
        "adjusted": bucket.adjusted,
        "close": {"count": if bucket.close < 0 { 0 } else { bucket.close }, "raw": bucket.close},
        "partial": partial,
    });
    if stats == Stats::Full {
        told["min"] = extreme(bucket.min);
        told["max"] = extreme(bucket.max);
        told["missing"] = json!(missing);
    }
    told
}

/// The cells of a row of CSV: those of the JSON, where null and what is left out are empty.
pub(super) fn cells(value: &Value, columns: &[&str]) -> Vec<String> {
    let cell = |column: &&str| match column.split('.').fold(value, |value, part| &value[part]) {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    columns.iter().map(cell).collect()
}
