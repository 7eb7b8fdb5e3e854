//! Readers: what they accept, what they refuse and how they say so.

use std::io::{self, BufReader, Read};
use std::num::NonZeroU32;

use fleet::replay::{Crossings, Intervals, Line, MAX_LINE_BYTES, Problem, ReplayError, Reports};
use occupancy::crossing::{Direction, Key};

const MINUTE_MS: NonZeroU32 = NonZeroU32::new(60_000).unwrap();
const CROSSINGS: &str = "timestamp,direction,dpu_id,boot,seq\n";
const INTERVALS: &str = "start,dpu_id,entered,exited\n";

type Items = Vec<Result<Line, ReplayError>>;

fn crossings(text: &str) -> Items {
    Crossings::open(text.as_bytes()).map_or_else(|error| vec![Err(error)], Iterator::collect)
}

fn intervals(text: &str) -> Items {
    Intervals::open(text.as_bytes(), MINUTE_MS).map_or_else(|error| vec![Err(error)], Iterator::collect)
}

fn reports(text: &str) -> Items {
    Reports::new(text.as_bytes()).collect()
}

fn key(line: &Line) -> (&str, Key) {
    (line.report.dpu.as_str(), line.report.crossings[0].clone().unwrap())
}

fn told(items: Items) -> String {
    items.into_iter().find_map(Result::err).unwrap().to_string()
}

#[test]
fn crossings_are_read_whatever_the_order_of_columns_and_the_quotes() {
    let at = "2018-02-26T16:06:02.903Z".parse().unwrap();
    for text in [
        "timestamp,direction,dpu_id\n\"2018-02-26T16:06:02.903Z\",\"1\",\"283\"\n",
        "dpu_id,timestamp,direction\r\n283,2018-02-26T16:06:02.903Z,+1\r\n",
        "\u{feff}DPU_ID , Timestamp,Direction\n\n  \n 283 , 2018-02-26T17:06:02.903+01:00 , Entry",
        "seq,direction,dpu_id,boot,timestamp\n,in,283,,2018-02-26T16:06:02.903Z\n",
    ] {
        let items = crossings(text);
        assert_eq!(items.len(), 1, "{text}");
        assert_eq!(key(items[0].as_ref().unwrap()), ("283", Key { at, boot: 0, seq: 0, direction: Direction::Plus }), "{text}");
    }
}

#[test]
fn directions_have_many_names() {
    for (names, direction) in [
        (["1", "+1", "in", "ENTRY", "Enter", "entered", "\"1\""].as_slice(), Direction::Plus),
        (&["-1", "out", "Exit", "EXITED", "\"-1\""], Direction::Minus),
    ] {
        for name in names {
            let items = crossings(&format!("{CROSSINGS}2018-02-26T16:06:02.903Z,{name},283,7,41\n"));
            let (_, key) = key(items[0].as_ref().unwrap());
            assert_eq!((key.direction, key.boot, key.seq), (direction, 7, 41), "{name}");
        }
    }
}

#[test]
fn bad_headers_are_told() {
    for (items, text) in [
        (crossings(""), "line 1: the file is empty: its first line must be a header like `timestamp,direction,dpu_id,boot,seq`"),
        (
            crossings("2018-02-26T16:06:02.903Z,1,283\n"),
            "line 1: the header has column `2018-02-26t16:06:02.903z` too: \
             the columns are `timestamp,direction,dpu_id,boot,seq`, rename or remove it",
        ),
        (
            crossings("\ntimestamp,dpu_id\n"),
            "line 2: the header has no column `direction`: \
             the first line must be a header like `timestamp,direction,dpu_id,boot,seq`, in any order",
        ),
        (
            intervals("start,dpu_id,entered,exited,Start\n"),
            "line 1: the header has column `start` twice: the columns are `start,dpu_id,entered,exited`, rename or remove it",
        ),
    ] {
        assert_eq!(told(items), text);
    }
}

#[test]
fn a_bad_crossing_is_told_with_its_line_and_the_next_one_read() {
    for (line, text) in [
        ("2018-02-26T16:06:02.903Z,1", "2 fields, but the header has 5: add or remove fields"),
        ("2018-02-26T16:06:02.903Z,1,283,1,1,1", "6 fields, but the header has 5: add or remove fields"),
        (
            "2018-02-26 16:06,1,283,,",
            "\"2018-02-26 16:06\" is not an RFC 3339 time like 2018-02-26T16:06:02.903Z: \
             give the time with its offset, as in 2018-02-26T16:06:02.903Z or 2018-02-26T08:06:02-08:00",
        ),
        ("2018-02-26T16:06:02.903Z,0,283,,", "direction \"0\" is none of 1, +1, -1, in, out, entry, exit, enter, entered, exited"),
        ("2018-02-26T16:06:02.903Z,1,,,", "dpu_id: an id needs at least one character"),
        ("2018-02-26T16:06:02.903Z,1,283,-1,", "boot \"-1\" is not a whole number from 0 to 9223372036854775807"),
        (
            "2018-02-26T16:06:02.903Z,1,283,1,9223372036854775808",
            "seq \"9223372036854775808\" is not a whole number from 0 to 9223372036854775807",
        ),
        ("\"2018-02-26T16:06:02.903Z,1,283,,", "a quote is opened and not closed on the same line"),
    ] {
        let items = crossings(&format!("{CROSSINGS}{line}\n2018-02-26T16:06:02.903Z,1,283,1,2\n"));
        assert_eq!(items[0].as_ref().unwrap_err().to_string(), format!("line 2: {text}"));
        assert_eq!((items.len(), items[1].as_ref().unwrap().number), (2, 3));
    }
}

#[test]
fn a_bad_interval_is_told_with_its_line_and_the_next_one_read() {
    let good = "2005-07-24T00:00:00Z,a,2,1";
    let overlap = |start| {
        format!(
            "it starts at {start}, but the DPU's interval before ends at 2005-07-24T00:01:00.000Z: \
             sort the file by start, give the true length of intervals, remove repeated rows"
        )
    };
    for (line, text) in [
        ("2005-07-24T00:01:00Z,a,x,1", "entered \"x\" is not a whole number from 0 to 60000"),
        ("2005-07-24T00:01:00Z,a,1,", "exited \"\" is not a whole number from 0 to 60000"),
        ("2005-07-24T00:01:00Z,a,60001,1", "entered \"60001\" is not a whole number from 0 to 60000"),
        ("2005-07-24T00:00:59.999Z,a,1,1", &overlap("2005-07-24T00:00:59.999Z")),
        (good, &overlap("2005-07-24T00:00:00.000Z")),
    ] {
        let items = intervals(&format!("{INTERVALS}{good}\n{line}\n2005-07-24T00:01:00Z,a,0,0\n"));
        assert_eq!(items[1].as_ref().unwrap_err().to_string(), format!("line 3: {text}"));
        assert_eq!((items.len(), items[2].as_ref().unwrap().number), (3, 4));
    }
}

#[test]
fn an_interval_is_spread_and_says_the_dpu_was_alive_to_its_end() {
    let items = intervals(&format!("{INTERVALS}2005-07-24T00:00:00Z,a,2,1\n"));
    let report = &items[0].as_ref().unwrap().report;
    let keys = report.crossings.iter().map(|key| key.clone().unwrap());
    let found: Vec<_> = keys.map(|key| (key.at.to_string(), key.direction.sign())).collect();
    let at = |seconds: &str| format!("2005-07-24T00:00:{seconds}Z");
    assert_eq!(found, [("2005-07-24T00:00:00.000Z".to_owned(), 1), (at("32.768"), -1), (at("32.768"), 1)]);
    assert_eq!(report.heartbeat.unwrap().at.to_string(), "2005-07-24T00:00:59.999Z");
}

#[test]
fn reports_are_read_line_by_line_and_their_bad_parts_told() {
    let good = r#"{"dpu_id":"283","boot":7,"crossings":[{"at":"2018-02-26T16:06:02.903Z","direction":1,"seq":41}]}"#;
    let half =
        r#"{"dpu_id":"283","crossings":[{"at":"2018-02-26T16:06:02.903Z","direction":3},{"at":"2018-02-26T16:06:03Z","direction":-1}]}"#;
    let items = reports(&format!("{good}\n\nnonsense\n{{}}\n[{good}]\n{half}\n{good}"));
    let lines: Vec<_> = items.iter().map(|item| item.as_ref().map(|line| line.number).map_err(|error| error.line)).collect();
    assert_eq!(lines, [Ok(1), Err(3), Err(4), Err(5), Err(6), Ok(6), Ok(7)]);
    assert_eq!(items[1].as_ref().unwrap_err().problem, Problem::NotAnObject);
    assert!(matches!(items[2].as_ref().unwrap_err().problem, Problem::Report(_)));
    assert!(matches!(items[4].as_ref().unwrap_err().problem, Problem::Part { index: 0, .. }));
    let rest = &items[5].as_ref().unwrap().report.crossings;
    assert_eq!((rest.len(), rest[0].as_ref().unwrap().direction), (1, Direction::Minus));
    assert_eq!(items[0].as_ref().unwrap().report, items[6].as_ref().unwrap().report);
}

#[test]
fn a_line_that_is_no_text_or_too_long_does_not_end_the_rest() {
    let good = b"2018-02-26T16:06:02.903Z,1,283,1,2".as_slice();
    let long = vec![b'x'; MAX_LINE_BYTES + 1];
    let longest = [b" ".repeat(MAX_LINE_BYTES - good.len()).as_slice(), good].concat();
    let text = [CROSSINGS.trim().as_bytes(), &long, good, b"\xff\xfe", &longest, &long].join(b"\n".as_slice());
    let items: Vec<_> = Crossings::open(BufReader::with_capacity(100, text.as_slice())).unwrap().collect();
    let problems: Vec<_> = items.iter().map(|item| item.as_ref().err().map(|error| (error.line, error.problem.clone()))).collect();
    assert_eq!(problems, [Some((2, Problem::TooLong)), None, Some((4, Problem::NotText)), None, Some((6, Problem::TooLong))]);
}

/// A file on a disk that fails.
struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

#[test]
fn a_failing_file_is_told_once() {
    let text = format!("{CROSSINGS}2018-02-26T16:06:02.903Z,1,283,1,2\n");
    let items: Vec<_> = Crossings::open(BufReader::new(text.as_bytes().chain(Failing))).unwrap().collect();
    assert_eq!(items.len(), 2);
    assert_eq!(items[1].as_ref().unwrap_err().to_string(), "line 3: the file cannot be read on: the disk is gone");
}

#[test]
fn what_the_simulation_sends_can_be_replayed() {
    let text = r#"{"dpu_id":"283","boot":7,"crossings":[{"at":"2018-02-26T16:06:02.903Z","direction":1,"seq":41}]}"#;
    let first = reports(text).remove(0).unwrap();
    let again = reports(std::str::from_utf8(&wire::report::encode_json(&first.report)).unwrap()).remove(0).unwrap();
    assert_eq!(first, again);
}
