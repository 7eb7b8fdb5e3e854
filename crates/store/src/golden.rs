//! The bytes of format 1, frozen: stores out there hold them.

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::ledger::{Counters, Position, Row, Totals};
use occupancy::time::{Day, UnixMs};

use crate::key::StoreKey;
use crate::{FORMAT, Quarantined, Reason, Settings, Source, value};

const FORMAT_1: &str = include_str!("../tests/golden/format-1.txt");

fn at(ms: i64) -> UnixMs {
    UnixMs::new(ms).unwrap()
}

/// A name, and the bytes this program writes for it; each is read back first.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let totals = Totals { entered: 300, exited: 7 };
    let plain = Key { at: at(1_519_661_162_903), boot: 0, seq: 0, direction: Direction::Plus };
    let numbered = Key { at: at(-1), boot: 248, seq: 70_000, direction: Direction::Minus };
    let source = Source { topic: "headcount.crossings".to_owned(), partition: 3, offset: 1 << 40, index: Source::WHOLE };
    let row = Row { key: plain, totals, appended_at: at(1_519_661_163_000) };
    let early = Row { appended_at: at(1_519_661_162_000), ..row };
    let heartbeat = Heartbeat { at: at(1_519_661_200_000), boot: 7, last_seq: 41 };
    let full = Counters {
        opening: totals,
        day: Totals { entered: 1, exited: 0 },
        last: Some(numbered),
        heartbeat: Some(heartbeat),
        heard: Some(at(1_519_661_200_000)),
        position: Some(Position { epoch: 2, partition: 11, offset: 123_456 }),
        stamp_us: 1_519_661_200_000_001,
    };
    let quarantined = Quarantined {
        source: source.clone(),
        reason: Reason::TooLate,
        detail: "9 days late".to_owned(),
        dpu: Some("283".parse().unwrap()),
        received_at: at(1_519_661_200_000),
        payload: b"{}".to_vec(),
        replayed_at: Some(at(1_519_661_300_000)),
    };
    let unknown = Quarantined { reason: Reason::Undecodable, dpu: None, replayed_at: None, ..quarantined.clone() };
    let stored = Settings { cluster_id: Some("k1".to_owned()), partitions: Some(12), epoch: 1, first_start_done: true };

    assert_eq!(value::read_totals(&value::totals(totals)), Ok(totals));
    for row in [row, early] {
        assert_eq!(value::read_row(plain, &value::row(&row)), Ok(row));
    }
    for counters in [full, Counters::default()] {
        assert_eq!(value::read_counters(&value::counters(&counters)), Ok(counters));
    }
    for one in [&quarantined, &unknown] {
        assert_eq!(value::read_quarantined(source.clone(), &value::quarantined(one)).as_ref(), Ok(one));
    }
    assert_eq!(Settings::decode(&stored.encode().unwrap()), Ok(stored.clone()));

    let dpu = || "283".parse().unwrap();
    vec![
        ("key crossing plain", StoreKey::Crossing(dpu(), plain).encode()),
        ("key crossing numbered", StoreKey::Crossing(dpu(), numbered).encode()),
        ("key opening", StoreKey::Opening(dpu(), Day(17_588)).encode()),
        ("key opening negative", StoreKey::Opening(dpu(), Day(-1)).encode()),
        ("key counters", StoreKey::Counters(dpu()).encode()),
        ("key edit", StoreKey::Edit(258).encode()),
        ("key settings", StoreKey::Settings.encode()),
        ("key quarantine", StoreKey::Quarantined(source).encode()),
        ("value opening", value::totals(totals)),
        ("value crossing", value::row(&row)),
        ("value crossing early", value::row(&early)),
        ("value counters", value::counters(&full)),
        ("value counters new", value::counters(&Counters::default())),
        ("value quarantine", value::quarantined(&quarantined)),
        ("value quarantine unknown", value::quarantined(&unknown)),
        ("value settings", stored.encode().unwrap()),
    ]
}

#[test]
fn format_1_stays_as_it_is() {
    assert_eq!(FORMAT, 1, "a new format needs a golden file of its own");
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let written: String = samples().into_iter().map(|(name, bytes)| format!("{name}: {}\n", hex(bytes))).collect();
    assert_eq!(written, FORMAT_1, "what is stored has changed:\n{written}");
}
