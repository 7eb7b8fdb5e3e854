//! Arbitrary values of the domain.

use std::fmt::Debug;
use std::str::FromStr;

use chrono::NaiveTime;
use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::edit::{Change, Correction, Edit, Note};
use occupancy::installation::Installation;
use occupancy::ledger::{self, Counters, Position, Totals};
use occupancy::time::UnixMs;
use occupancy::topology::{Document, Doorway, Reset, Side, Space};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use wire::Report;

/// Any id.
pub(crate) fn id<T: FromStr<Err: Debug> + Debug>() -> impl Strategy<Value = T> {
    "[A-Za-z0-9][A-Za-z0-9._:-]{0,63}".prop_filter("reserved", |text| text != "outside").prop_map(|text| text.parse().unwrap())
}

/// Any instant, the first and last more often.
pub(crate) fn instant() -> impl Strategy<Value = UnixMs> {
    let any_ms = (UnixMs::MIN.ms()..=UnixMs::MAX.ms()).prop_map(|ms| UnixMs::new(ms).unwrap());
    prop_oneof![8 => any_ms, 1 => Just(UnixMs::MIN), 1 => Just(UnixMs::MAX)]
}

fn counter() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), 0..1000_u64, 0..=Key::MAX_COUNTER, Just(Key::MAX_COUNTER)]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Outside), id().prop_map(Side::Space)]
}

fn space() -> impl Strategy<Value = Space> {
    let zone = prop_oneof![Just(chrono_tz::UTC), Just(chrono_tz::America::Los_Angeles), Just(chrono_tz::Asia::Kolkata)];
    (id(), option::of(id()), option::of(any::<String>()), option::of(zone), option::of(any::<u32>()))
        .prop_map(|(id, parent, name, time_zone, capacity)| Space { id, parent, name, time_zone, capacity })
}

fn reset() -> impl Strategy<Value = Reset> {
    let second = (0..86_400_u32).prop_map(|second| NaiveTime::from_num_seconds_from_midnight_opt(second, 0).unwrap());
    (id(), instant(), option::of(second)).prop_map(|(space, from, at)| Reset { space, from, at })
}

fn doorway() -> impl Strategy<Value = Doorway> {
    (id(), option::of(any::<String>()), [side(), side()]).prop_map(|(id, name, between)| Doorway { id, name, between })
}

fn installation() -> impl Strategy<Value = Installation> {
    (id(), instant(), option::of(instant()), id(), side()).prop_map(|(dpu, from, to, doorway, enters)| Installation {
        dpu,
        from,
        to,
        doorway,
        enters,
    })
}

/// Any document, whether it stands or not.
pub(crate) fn document() -> impl Strategy<Value = Document> {
    (vec(space(), 0..4), vec(reset(), 0..4), vec(doorway(), 0..4), vec(installation(), 0..4))
        .prop_map(|(spaces, resets, doorways, installations)| Document { spaces, resets, doorways, installations })
}

fn note() -> impl Strategy<Value = Note> {
    (any::<String>(), option::of(any::<String>())).prop_map(|(reason, by)| Note { reason, by })
}

fn change() -> impl Strategy<Value = Change> {
    let correction = (id(), id(), instant(), any::<u32>()).prop_map(|(id, space, at, count)| Correction { id, space, at, count });
    prop_oneof![
        (id(), document(), any::<bool>()).prop_map(|(root, document, allow_removal)| Change::Topology { root, document, allow_removal }),
        (id(), vec(installation(), 0..4)).prop_map(|(dpu, list)| Change::Installations { dpu, list }),
        (vec(correction, 0..4), note()).prop_map(|(corrections, note)| Change::Corrections { corrections, note }),
        (id(), note()).prop_map(|(id, note)| Change::Retraction { id, note }),
    ]
}

/// Any edit.
pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    (instant(), change()).prop_map(|(made_at, change)| Edit { made_at, change })
}

/// Any totals.
fn totals() -> impl Strategy<Value = Totals> {
    (any::<u64>(), any::<u64>()).prop_map(|(entered, exited)| Totals { entered, exited })
}

fn key() -> impl Strategy<Value = Key> {
    let direction = prop_oneof![Just(Direction::Minus), Just(Direction::Plus)];
    (instant(), counter(), counter(), direction).prop_map(|(at, boot, seq, direction)| Key { at, boot, seq, direction })
}

fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    (instant(), counter(), counter()).prop_map(|(at, boot, last_seq)| Heartbeat { at, boot, last_seq })
}

/// Any change of counters, whether it makes sense or not.
pub(crate) fn counters_change() -> impl Strategy<Value = ledger::Change> {
    let position = (any::<u32>(), any::<i32>(), any::<i64>()).prop_map(|(epoch, partition, offset)| Position { epoch, partition, offset });
    let latest = (option::of(key()), option::of(heartbeat()), option::of(instant()), option::of(position));
    (id(), totals(), totals(), latest, any::<i64>(), option::of(instant())).prop_map(
        |(dpu, opening, day, (last, heartbeat, heard, position), stamp_us, from)| {
            let counters = Counters { opening, day, last, heartbeat, heard, position, stamp_us };
            ledger::Change { dpu, counters, from }
        },
    )
}

/// Any report whose crossings can all be read, also of several boots.
pub(crate) fn report() -> impl Strategy<Value = Report> {
    (id(), vec(key().prop_map(Ok), 0..6), option::of(heartbeat()), any::<bool>())
        .prop_map(|(dpu, crossings, heartbeat, accept_clock)| Report { dpu, crossings, heartbeat, accept_clock })
}
