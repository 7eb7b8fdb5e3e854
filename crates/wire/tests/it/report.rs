//! Reports in both forms, good and bad.

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::time::UnixMs;
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert_eq, proptest};
use proptest::sample::Index;
use wire::report::{Decoder, decode, decode_body, encode, encode_json};
use wire::{Bad, Report};

use crate::{golden, strategy};

fn at(text: &str) -> UnixMs {
    text.parse().unwrap()
}

fn minimal() -> Report {
    Report { dpu: "283".parse().unwrap(), crossings: Vec::new(), heartbeat: None, accept_clock: false }
}

fn full() -> Report {
    let key = |text, boot, seq, direction| Ok(Key { at: at(text), boot, seq, direction });
    Report {
        crossings: vec![
            key("2018-02-26T16:06:02.903Z", 7, 41, Direction::Plus),
            key("2018-02-26T16:06:04.000Z", 7, 42, Direction::Minus),
            key("2018-02-25T00:00:00.001Z", 6, Key::MAX_COUNTER, Direction::Plus),
            key("1969-12-31T23:59:59.999Z", 0, 0, Direction::Minus),
        ],
        heartbeat: Some(Heartbeat { at: at("2018-02-26T16:06:10Z"), boot: 7, last_seq: 42 }),
        accept_clock: true,
        ..minimal()
    }
}

/// Freezes a payload and what it is decoded to.
fn freeze(name: &str, payload: &[u8]) -> Report {
    let read = decode(&golden::check(&format!("report/{name}"), payload)).unwrap();
    golden::check(&format!("report/{name}.txt"), in_lines(&read).as_bytes());
    read
}

/// A report, a line for each part.
fn in_lines(report: &Report) -> String {
    let head = format!("dpu {}, accept_clock {}", report.dpu, report.accept_clock);
    let crossing = |part: &Result<Key, Bad>| match part {
        Ok(Key { at, boot, seq, direction }) => format!("crossing {at} boot {boot} seq {seq} direction {}", direction.sign()),
        Err(Bad { detail, payload }) => format!("bad {detail}: {}", String::from_utf8_lossy(payload)),
    };
    let heartbeat = report.heartbeat.map(|Heartbeat { at, boot, last_seq }| format!("heartbeat {at} boot {boot} last_seq {last_seq}"));
    let lines: Vec<String> = [head].into_iter().chain(report.crossings.iter().map(crossing)).chain(heartbeat).collect();
    lines.join("\n") + "\n"
}

#[test]
fn a_report_that_says_nothing_understood_is_refused_and_does_not_vanish() {
    for misspelt in [
        r#"{"dpu_id":"283","crossing":[{"at":"2018-02-26T16:06:02Z","direction":1}]}"#,
        r#"{"dpu_id":"283","at":"2018-02-26T16:06:02Z","direction":1}"#,
    ] {
        let error = decode(misspelt.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("neither `crossings` nor a `heartbeat`, but \"at\"") || error.contains("but \"crossing\""), "{error}");
        assert!(matches!(decode_body(misspelt.as_bytes()).unwrap().as_slice(), [Err(bad)] if bad.payload == misspelt.as_bytes()));
    }
    assert_eq!(decode(br#"{"dpu_id":"283"}"#).unwrap().crossings.len(), 0);
    let newer = br#"{"dpu_id":"283","crossings":[],"firmware":"9.1"}"#;
    assert_eq!(decode(newer).unwrap().crossings.len(), 0, "a field of a newer device");
}

#[test]
fn the_forms_of_a_report_are_frozen() {
    for (name, report) in [("minimal", minimal()), ("full", full())] {
        assert_eq!(freeze(&format!("{name}.bin"), &encode(&report)), report);
        assert_eq!(freeze(&format!("{name}.json"), &encode_json(&report)), report);
    }
}

const BAD_PARTS: &str = r#" {"dpu_id":"283","boot":7,"later":{"is":[1e999]},"crossings":[
  {"at":"2018-02-26T17:06:02.903+01:00","direction":1,"seq":41,"lane":2},
  {"at":"2018-02-26T16:06:03Z","direction":5},
  {"at":"2018-02-26T16:06:03Z","direction":"in"},
  {"at":"2018-02-26T16:06:03Z","direction":1.0},
  {"at":"2018-02-26T16:06:03Z"},
  {"at":"foo","direction":1},
  {"at":"0000-01-01T00:00:00Z","direction":1},
  {"at":1519661163000,"direction":1},
  {"direction":1},
  {"at":"2018-02-26T16:06:03Z","direction":1,"seq":9223372036854775808},
  {"at":"2018-02-26T16:06:03Z","direction":1,"seq":-1},
  {"at":"2018-02-26T16:06:03Z","direction":1,"boot":1.5},
  {"at":"2018-02-26T16:06:03Z","at":"2018-02-26T16:06:03Z","direction":1},
  ["2018-02-26T16:06:03Z",1],
  null,
  {"at":"2018-02-26T16:06:04Z","direction":-1,"seq":null,"boot":null}
 ],"heartbeat":{"at":"now","last_seq":41}}
"#;

#[test]
fn numbers_may_be_written_with_a_point_as_long_as_that_is_exact() {
    let seq = |text: &str| {
        let report = format!(r#"{{"dpu_id":"283","boot":7.0,"crossings":[{{"at":"2018-02-26T16:06:03Z","direction":1,"seq":{text}}}]}}"#);
        decode(report.as_bytes()).unwrap().crossings[0].clone().map(|key| (key.boot, key.seq)).map_err(|bad| bad.detail)
    };
    for (text, read) in [
        ("41.0", 41),
        ("9007199254740991.0", (1 << 53) - 1),
        ("9007199254740993", (1 << 53) + 1),
        ("9223372036854775807", Key::MAX_COUNTER),
    ] {
        assert_eq!(seq(text), Ok((7, read)), "{text}");
    }
    for text in ["9007199254740992.0", "9007199254740993.0", "1e20"] {
        let why = "may have been rounded: expected a boot or seq from 0 to 9223372036854775807, without a point";
        assert!(seq(text).unwrap_err().ends_with(why), "{text}: {:?}", seq(text));
    }
}

#[test]
fn a_bad_part_spoils_no_other() {
    let read = freeze("bad_parts.json", BAD_PARTS.as_bytes());
    assert_eq!(read.heartbeat, None);
    let good: Vec<(usize, &Key)> = read.crossings.iter().enumerate().filter_map(|(i, one)| Some((i, one.as_ref().ok()?))).collect();
    assert_eq!(good.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [0, 15]);
    assert_eq!(*good[0].1, Key { at: at("2018-02-26T16:06:02.903Z"), boot: 7, seq: 41, direction: Direction::Plus });
    let details: Vec<&str> = read.crossings.iter().filter_map(|one| Some(one.as_ref().err()?.detail.as_str())).collect();
    let counter = "expected a boot or seq from 0 to 9223372036854775807";
    assert_eq!(
        details,
        [
            "a direction is 1 or -1, not 5",
            "invalid type: string \"in\", expected direction 1 or -1",
            "invalid type: floating point `1.0`, expected direction 1 or -1",
            "missing field `direction`",
            "at: \"foo\" is not an RFC 3339 time like 2018-02-26T16:06:02.903Z",
            "at: -62167219200000 ms since 1970 is outside the years 1 to 9999",
            "invalid type: integer `1519661163000`, expected at, an RFC 3339 time like \"2018-02-26T16:06:02.903Z\"",
            "missing field `at`",
            &format!("invalid value: integer `9223372036854775808`, {counter}"),
            &format!("invalid value: integer `-1`, {counter}"),
            &format!("invalid type: floating point `1.5`, {counter}"),
            "duplicate field `at`",
            "not an object like {\"at\":\"2018-02-26T16:06:02.903Z\"}",
            "not an object like {\"at\":\"2018-02-26T16:06:02.903Z\"}",
            "heartbeat: at: \"now\" is not an RFC 3339 time like 2018-02-26T16:06:02.903Z",
        ]
    );
}

#[test]
fn a_bad_part_can_be_mended_and_sent_again() {
    let read = decode(BAD_PARTS.as_bytes()).unwrap();
    let payload = |i: usize| String::from_utf8(read.crossings[i].clone().unwrap_err().payload).unwrap();
    assert_eq!(payload(1), r#"{"dpu_id":"283","boot":7,"crossings":[{"at":"2018-02-26T16:06:03Z","direction":5}]}"#);
    assert_eq!(payload(16), r#"{"dpu_id":"283","boot":7,"heartbeat":{"at":"now","last_seq":41}}"#);
    let mended = decode(payload(1).replace('5', "-1").as_bytes()).unwrap();
    let key = Key { at: at("2018-02-26T16:06:03Z"), boot: 7, seq: 0, direction: Direction::Minus };
    assert_eq!(mended.crossings, [Ok(key)]);
    let mended = decode(payload(16).replace("now", "2018-02-26T16:06:10Z").as_bytes()).unwrap();
    assert_eq!(mended.heartbeat, Some(Heartbeat { at: at("2018-02-26T16:06:10Z"), boot: 7, last_seq: 41 }));
}

/// Bytes as no encoder of this crate writes them.
fn bad_protobuf() -> Vec<u8> {
    let far = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
    let minus_1 = b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    let own_boot = b"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    let report = b"\x0a\x03283\x10\x07";
    let good = b"\x1a\x07\x08\x90\x4e\x10\x01\x18\x01";
    let five = b"\x08\x90\x4e\x10\x05";
    [&report[..], good, b"\x1a\x15", far, minus_1, b"\x1a\x10", five, own_boot, b"\x22\x0a", far].concat()
}

#[test]
fn a_bad_part_of_a_protobuf_report_becomes_json() {
    let read = freeze("bad_parts.bin", &bad_protobuf());
    let bad = |one: &Result<Key, Bad>| one.clone().map_err(|bad| (bad.detail, String::from_utf8(bad.payload).unwrap()));
    let parts: Vec<_> = read.crossings.iter().map(bad).collect();
    let far = "at_ms: 9223372036854775807 ms since 1970 is outside the years 1 to 9999";
    let bad = |detail: &str, payload: &str| Err((detail.to_owned(), payload.to_owned()));
    assert_eq!(
        parts,
        [
            Ok(Key { at: at("1970-01-01T00:00:10Z"), boot: 7, seq: 1, direction: Direction::Plus }),
            bad(far, r#"{"dpu_id":"283","boot":7,"crossings":[{"at":9223372036854775807,"direction":"-1"}]}"#),
            bad(
                "boot 18446744073709551615 is more than 9223372036854775807",
                r#"{"dpu_id":"283","boot":7,"crossings":[{"at":"1970-01-01T00:00:10.000Z","direction":"5","boot":18446744073709551615}]}"#,
            ),
            bad(&format!("heartbeat: {far}"), r#"{"dpu_id":"283","boot":7,"heartbeat":{"at":9223372036854775807}}"#),
        ]
    );
}

#[test]
fn what_is_no_report_fails_as_a_whole() {
    for (payload, why) in [
        (&b""[..], "neither a protobuf nor a JSON report: dpu_id: an id needs at least one character"),
        (b"hello", "neither a protobuf nor a JSON report: failed to decode Protobuf message: "),
        (b"\x0a\x01-", "neither a protobuf nor a JSON report: dpu_id: character '-' at position 0 is not allowed"),
        (b"\x0a\x011\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "boot 18446744073709551615 is more than 9223372036854775807"),
        (b"{}", "the report cannot be read: missing field `dpu_id`"),
        (b"{\"dpu_id\":\"1\"", "the report cannot be read: EOF while parsing an object"),
        (b"{\"dpu_id\":283}", "the report cannot be read: invalid type: integer `283`, expected dpu_id, a text"),
        (b"{\"dpu_id\":\"a b\"}", "the report cannot be read: dpu_id: character ' ' at position 1 is not allowed"),
        (b"{\"dpu_id\":\"1\",\"boot\":\"x\"}", "the report cannot be read: invalid type: string \"x\", expected a boot or seq from 0 to"),
        (b"{\"dpu_id\":\"1\",\"crossings\":{}}", "the report cannot be read: invalid type: map, expected a sequence"),
        (b"{\"dpu_id\":\"1\",\"accept_clock\":1}", "the report cannot be read: invalid type: integer `1`, expected a boolean"),
        (b"{\"dpu_id\":\"\xff\"}", "the JSON is no UTF-8: invalid utf-8 sequence of 1 bytes from index 11"),
    ] {
        let error = decode(payload).unwrap_err().0;
        assert!(error.starts_with(why), "{error}");
    }
}

#[test]
fn a_body_is_one_report_or_an_array_of_them() {
    let one = encode_json(&full());
    assert_eq!(decode_body(&one), Ok(vec![Ok(full())]));
    let array = [b" [ ", &one[..], b", {\"dpu_id\" : \"a b\"} ,7,[[]]\n,", &encode_json(&minimal()), b"]"].concat();
    let read = decode_body(&array).unwrap();
    assert_eq!((read.len(), &read[0], &read[4]), (5, &Ok(full()), &Ok(minimal())));
    assert_eq!(read[1].as_ref().unwrap_err().payload, b"{\"dpu_id\" : \"a b\"}");
    for (i, payload) in [(2, "7"), (3, "[[]]")] {
        let detail = "a report is an object like {\"dpu_id\":\"283\",\"crossings\":[]}".to_owned();
        assert_eq!(read[i], Err(Bad { detail, payload: payload.into() }));
    }
    assert_eq!(decode_body(b"{}").unwrap()[0].as_ref().unwrap_err().payload, b"{}");
    assert_eq!(decode_body(b"[]"), Ok(Vec::new()));
}

#[test]
fn a_body_that_is_no_json_is_refused() {
    for (body, why) in [
        (&b""[..], "the body is no JSON report and no array of them: it begins with neither { nor ["),
        (b"\"report\"", "the body is no JSON report and no array of them: it begins with neither { nor ["),
        (b"{\"dpu_id\":\"1\"", "the body is no JSON: EOF while parsing an object at line 1 column 13"),
        (b"[{\"dpu_id\":\"1\"},", "the body is no JSON: EOF while parsing a value at line 1 column 16"),
        (b"[{\"dpu_id\":\"1\"}] x", "the body is no JSON: trailing characters at line 1 column 18"),
        (b"[\"\xff\"]", "the JSON is no UTF-8: invalid utf-8 sequence of 1 bytes from index 2"),
    ] {
        assert_eq!(decode_body(body).unwrap_err().0, why);
    }
}

#[test]
fn deep_nesting_and_huge_numbers_are_errors() {
    let deep = |open: &str| open.repeat(200_000).into_bytes();
    for body in [deep("["), deep("{\"crossings\":["), deep("{\"dpu_id\":"), [b"[", &b"9".repeat(100_000)[..]].concat()] {
        assert!(decode_body(&body).is_err());
        assert!(decode(&body).is_err());
    }
    let nested = ["[".repeat(100_000), "]".repeat(100_000)].concat();
    let read = decode(format!("{{\"dpu_id\":\"1\",\"x\":{nested},\"crossings\":[{nested},{{\"at\":{nested}}}]}}").as_bytes()).unwrap();
    assert!(read.crossings.len() == 2 && read.crossings.iter().all(Result::is_err));
}

#[test]
fn protobuf_is_told_from_json_whatever_the_length_of_the_id() {
    for length in 1..=64 {
        let report = Report { dpu: "x".repeat(length).parse().unwrap(), ..full() };
        assert_eq!(decode(&encode(&report)), Ok(report));
    }
}

#[test]
fn crossings_that_could_not_be_read_are_left_out_when_written() {
    let read = decode(BAD_PARTS.as_bytes()).unwrap();
    let good: Vec<_> = read.crossings.iter().filter(|one| one.is_ok()).cloned().collect();
    assert_eq!(decode(&encode(&read)).unwrap().crossings, good);
    assert_eq!(decode(&encode_json(&read)).unwrap().crossings, good);
}

proptest! {
    #[test]
    fn a_report_reads_back_as_it_was(report in strategy::report()) {
        prop_assert_eq!(decode(&encode(&report)), Ok(report.clone()));
        prop_assert_eq!(decode(&encode_json(&report)), Ok(report.clone()));
        prop_assert_eq!(decode_body(&encode_json(&report)), Ok(vec![Ok(report)]));
    }

    #[test]
    fn a_decoder_keeps_nothing_of_what_it_read_before(reports in vec((strategy::report(), any::<bool>(), any::<bool>(), any::<Index>()), 1..6)) {
        let mut decoder = Decoder::default();
        for (report, json, damaged, cut) in reports {
            let mut payload = if json { encode_json(&report) } else { encode(&report) };
            if damaged {
                payload.truncate(cut.index(payload.len()));
            }
            prop_assert_eq!(decoder.decode(&payload), decode(&payload));
        }
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes in vec(any::<u8>(), 0..256), brace in any::<bool>()) {
        let bytes = if brace { [b"{\"dpu_id\":\"1\",\"crossings\":[", &bytes[..]].concat() } else { bytes };
        survives(&bytes);
    }

    #[test]
    fn a_damaged_report_never_panics(report in strategy::report(), json in any::<bool>(), edits in vec((any::<Index>(), any::<u8>()), 1..8), cut in any::<Index>()) {
        let mut payload = if json { encode_json(&report) } else { encode(&report) };
        for (place, byte) in edits {
            let place = place.index(payload.len());
            payload[place] = byte;
        }
        survives(&payload);
        survives(&payload[..cut.index(payload.len())]);
    }
}

/// Whatever was read can be written and read again, and so can its bad parts, which stay bad.
fn survives(bytes: &[u8]) {
    let _ = decode_body(bytes);
    let Ok(read) = decode(bytes) else { return };
    let good = Report { crossings: read.crossings.iter().filter(|one| one.is_ok()).cloned().collect(), ..read.clone() };
    assert_eq!(decode(&encode(&read)), Ok(good.clone()));
    assert_eq!(decode(&encode_json(&read)), Ok(good));
    for bad in read.crossings.iter().filter_map(|one| one.as_ref().err()) {
        let again = decode(&bad.payload).unwrap();
        assert_eq!((again.dpu, again.crossings.len(), again.crossings[0].is_err()), (read.dpu.clone(), 1, true), "{}", bad.detail);
    }
}

#[test]
fn what_is_wrong_is_told_in_few_words_however_much_came() {
    let long = "x".repeat(100_000);
    for text in
        [format!(r#"{{"dpu_id":"283","{long}":1}}"#), format!(r#"{{"dpu_id":"283","crossings":[{{"at":"{long}","direction":1}}]}}"#)]
    {
        let read = decode_body(text.as_bytes()).unwrap().pop().unwrap();
        let bad = read.map(|mut report| report.crossings.pop().unwrap().unwrap_err()).unwrap_or_else(|bad| bad);
        assert!((20..=501).contains(&bad.detail.chars().count()), "{}", bad.detail.len());
        assert!(bad.payload.len() > 100_000);
    }
}
