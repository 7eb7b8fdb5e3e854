//! Changes of counters.

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::ledger::{Change, Counters, Position, Totals};
use occupancy::time::UnixMs;
use proptest::prelude::{prop_assert_eq, proptest};
use wire::change::{decode, encode};

use crate::{golden, strategy};

fn at(text: &str) -> UnixMs {
    text.parse().unwrap()
}

fn minimal() -> Change {
    Change { dpu: "283".parse().unwrap(), counters: Counters::default(), from: None }
}

fn full() -> Change {
    let counters = Counters {
        opening: Totals { entered: 300, exited: 299 },
        day: Totals { entered: 2, exited: 1 },
        last: Some(Key { at: at("2018-02-26T16:06:02.903Z"), boot: 7, seq: 41, direction: Direction::Minus }),
        heartbeat: Some(Heartbeat { at: at("2018-02-26T16:06:10Z"), boot: 7, last_seq: 42 }),
        heard: Some(at("2018-02-26T16:06:10Z")),
        position: Some(Position { epoch: 2, partition: 11, offset: 123_456_789_012 }),
        stamp_us: 1_519_661_170_000_001,
    };
    Change { counters, from: Some(at("1969-12-31T23:59:59.999Z")), ..minimal() }
}

#[test]
fn version_1_is_frozen() {
    for (name, change) in [("minimal", minimal()), ("full", full())] {
        let payload = golden::check(&format!("change/{name}.bin"), &encode(&change));
        assert_eq!(decode(&payload), Ok(change), "{name}");
    }
}

#[test]
fn what_is_no_change_of_this_version_is_refused() {
    let refused = |payload: &[u8]| decode(payload).unwrap_err().0;
    let written = encode(&full());
    assert_eq!(written[..2], [8, 1], "the version comes first");
    let newer = [&[8, 2], &written[2..]].concat();
    assert_eq!(refused(&newer), "a change of counters has version 2, this program reads version 1: use a newer program");
    assert!(refused(b"").contains("has version 0"));
    assert!(refused(&written[..written.len() - 1]).starts_with("no change of counters: failed to decode"));
    assert_eq!(refused(&[8, 1]), "no change of counters: it has no totals");
    // Version 1 and an id that is none, with totals.
    assert!(refused(&[8, 1, 18, 1, b'-', 34, 0, 42, 0]).starts_with("no change of counters: dpu_id: character '-'"));
    let sideways = [&written[..], &[50, 2, 32, 4]].concat();
    assert_eq!(refused(&sideways), "no change of counters: a direction is 1 or -1, not 2");
}

proptest! {
    #[test]
    fn a_change_is_read_as_it_was_written(change in strategy::counters_change()) {
        prop_assert_eq!(decode(&encode(&change)), Ok(change));
    }
}
