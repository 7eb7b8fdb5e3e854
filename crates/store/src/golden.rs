//! The bytes of format 3, frozen: stores out there hold them.

use std::cmp::Reverse;

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::ledger::{Counters, Position, Row, Totals};
use occupancy::time::{Day, UnixMs};

use crate::day::DayEntry;
use crate::key::StoreKey;
use crate::value::Record;
use crate::{FORMAT, Quarantined, Reason, Settings, Source, segment, value};

const FORMAT_3: &str = include_str!("../tests/golden/format-3.txt");

fn at(ms: i64) -> UnixMs {
    UnixMs::new(ms).unwrap()
}

/// Of ledgers: a name, and the bytes this program writes for it; each is read back first.
fn ledgers() -> Vec<(&'static str, Vec<u8>)> {
    let totals = Totals { entered: 300, exited: 7 };
    let plain = Key { at: at(1_519_661_162_903), boot: 0, seq: 0, direction: Direction::Plus };
    let numbered = Key { at: at(-1), boot: 248, seq: 70_000, direction: Direction::Minus };
    let later = |ms, direction, seq| Key { at: plain.at.plus_ms(ms), boot: 7, seq, direction };
    let row = |key: Key, entered, exited, appended_at: i64| Row { key, totals: Totals { entered, exited }, appended_at: at(appended_at) };
    let rows = [
        row(plain, 300, 7, 1_519_661_163_000),
        row(later(60_000, Direction::Plus, 70_000), 301, 7, 1_519_661_223_000),
        row(later(60_000, Direction::Plus, 70_001), 302, 7, 1_519_661_223_000),
        row(later(3_600_000, Direction::Minus, 70_002), 302, 8, 1_519_661_162_000),
    ];
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
    let day = Day(17_588);
    let days = [DayEntry { opening: Some(totals), starts: rows.iter().map(|row| row.key.at).collect() }, DayEntry::default()];
    for entry in &days {
        assert_eq!(DayEntry::decode(day, &entry.encode(day)).as_ref(), Ok(entry));
    }
    assert_eq!(segment::split(&rows).count(), 1);
    assert_eq!(segment::decode(&segment::encode(&rows)).collect::<Result<Vec<_>, _>>(), Ok(rows.to_vec()));
    let record = |counters: Option<Counters>, loose, hot: &[Row]| Record { counters, loose, hot: segment::encode(hot) };
    let records = [record(Some(full), false, &rows[..2]), record(Some(Counters::default()), false, &[]), record(None, true, &[])];
    for record in &records {
        let bytes = value::record(record);
        let stored = value::read_record(&bytes).unwrap();
        let hot = stored.hot.to_vec();
        assert_eq!(Record { counters: stored.counters, loose: stored.loose, hot }, *record);
    }

    let dpu = "283".parse().unwrap();
    vec![
        ("key segment", StoreKey::Segment(&dpu, day, 258).encode()),
        ("key segment negative", StoreKey::Segment(&dpu, Day(-1), 0).encode()),
        ("key day", StoreKey::Day(&dpu, Reverse(day)).encode()),
        ("key day negative", StoreKey::Day(&dpu, Reverse(Day(-1))).encode()),
        ("key counters", StoreKey::Counters(&dpu).encode()),
        ("value day", days[0].encode(day)),
        ("value day without opening", days[1].encode(day)),
        ("value segment", segment::encode(&rows)),
        ("value record", value::record(&records[0])),
        ("value record new", value::record(&records[1])),
        ("value record loose", value::record(&records[2])),
    ]
}

/// The same, of all that is no ledger.
fn others() -> Vec<(&'static str, Vec<u8>)> {
    let source = Source { topic: "headcount.crossings".to_owned(), partition: 3, offset: 1 << 40, index: Source::WHOLE };
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
    let stored = Settings { cluster_id: Some("k1".to_owned()), partitions: Some(12), epoch: 1, first_start_done: true, copying_from: None };
    let copying = Settings { copying_from: Some("fjall:/data".to_owned()), ..Settings::default() };

    for one in [&quarantined, &unknown] {
        assert_eq!(value::read_quarantined(source.clone(), &value::quarantined(one)).as_ref(), Ok(one));
    }
    for one in [&stored, &copying] {
        assert_eq!(Settings::decode(&one.encode().unwrap()).as_ref(), Ok(one));
    }
    vec![
        ("key edit", StoreKey::Edit(258).encode()),
        ("key settings", StoreKey::Settings.encode()),
        ("key quarantine", StoreKey::Quarantined(&source).encode()),
        ("value quarantine", value::quarantined(&quarantined)),
        ("value quarantine unknown", value::quarantined(&unknown)),
        ("value settings", stored.encode().unwrap()),
        ("value settings copying", copying.encode().unwrap()),
    ]
}

#[test]
fn format_3_stays_as_it_is() {
    assert_eq!(FORMAT, 3, "a new format needs a golden file of its own");
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let written: String = ledgers().into_iter().chain(others()).map(|(name, bytes)| format!("{name}: {}\n", hex(bytes))).collect();
    assert_eq!(written, FORMAT_3, "what is stored has changed:\n{written}");
}
