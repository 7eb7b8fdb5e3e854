//! The provider's file: the example is a good one, and what is wrong is said.

use pull::{Limits, Provider, State, StateError};

const GOOD: &str = "name = \"a\"\nurl = \"https://a.example/?c={cursor}\"\n[page]\nitems = \"\"\nnext = \"/n\"\n";
const CROSSINGS: &str = "[crossings]\ndpu_id = \"/d\"\nat = \"/t\"\ndirection = \"/w\"\n";

#[test]
fn the_example_is_a_provider_and_shows_the_defaults() {
    let text = include_str!("../../../../examples/pull/provider.toml");
    let provider = Provider::parse(text).unwrap();
    assert_eq!((provider.name(), provider.poll_s()), ("acme", 60));
    let limits: Limits = toml::from_str(text.split_once("[limits]").unwrap().1).unwrap();
    assert_eq!(limits, Limits::default());
    let uncommented: Vec<&str> = text.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    let intervals = uncommented.iter().position(|line| line.starts_with("[intervals]")).unwrap();
    let table = uncommented[intervals..].iter().take_while(|line| !line.is_empty()).copied().collect::<Vec<_>>().join("\n");
    assert!(Provider::parse(&format!("{GOOD}{table}")).is_ok(), "{table}");
}

#[test]
fn what_is_wrong_with_a_provider_is_said() {
    let interval = |more: &str| format!("{GOOD}[intervals]\ndpu = \"d\"\nstart = \"/s\"\nentered = \"/i\"\nexited = \"/o\"\n{more}");
    for (text, says) in [
        (String::new(), "missing field `name`"),
        (GOOD.to_owned(), "give one of the tables [crossings] and [intervals]"),
        (format!("{}{CROSSINGS}", GOOD.replace("\"a\"", "\"a b\"")), "name: it is made of"),
        (format!("{}{CROSSINGS}", GOOD.replace("https", "ftp")), "url: it begins with neither https:// nor http://"),
        (format!("{}{CROSSINGS}", GOOD.replace("cursor", "curser")), "has braces: the only ones it may have are {cursor}"),
        (format!("poll_s = 0\n{GOOD}{CROSSINGS}"), "poll_s: it must be at least 1"),
        (format!("{}{CROSSINGS}", GOOD.replace("?c", "?x={y}&c")), "has braces"),
        (format!("{}{CROSSINGS}", GOOD.replace("next = \"/n\"", "")), "{cursor} in the URL and page.next"),
        (format!("{GOOD}next_link = true\n{CROSSINGS}"), "page: give one of next, next_of_last_item and next_link"),
        (format!("{}{CROSSINGS}", GOOD.replace("\"/n\"", "\"n\"")), "is no JSON pointer: write \"/n\""),
        (format!("{GOOD}{CROSSINGS}dpu = \"x\""), "crossings: give either dpu_id"),
        (format!("{GOOD}{CROSSINGS}plus = \"/p\""), "crossings: give either direction"),
        (format!("{GOOD}{CROSSINGS}directions = {{ in = 2 }}"), "crossings.directions: a direction is 1 or -1, not 2"),
        (format!("{GOOD}{CROSSINGS}time = \"unix\""), "unknown variant `unix`"),
        (format!("{GOOD}{CROSSINGS}speed = 1"), "unknown field `speed`"),
        (format!("{GOOD}{CROSSINGS}[limits]\nmax_answer_bytes = 0"), "limits.max_answer_bytes: it must be at least 1"),
        (format!("{GOOD}{CROSSINGS}[dpus]\nx = \"a b\""), "dpus.x: character ' '"),
        (format!("{GOOD}{CROSSINGS}[dpus]\nx = \"d\"\ny = \"d\""), "dpus.y: x is d already"),
        (interval(""), "intervals: give either end"),
        (interval("length_s = 0"), "intervals.length_s: it must be from 1"),
        (interval("length_s = 4294968"), "intervals.length_s: it must be from 1"),
        (interval("end = \"/e\"\nlongest_interval_s = 0"), "intervals.longest_interval_s: it must be from 1"),
        (interval("length_s = 60\nlongest_interval_s = 60"), "intervals: give either end"),
    ] {
        let error = Provider::parse(&text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}\nsays {error}\nnot {says}");
    }
}

#[test]
fn a_state_is_of_one_provider_and_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let provider = Provider::parse(&format!("{GOOD}{CROSSINGS}")).unwrap();
    let state = State::open(&path, &provider).unwrap();
    assert!(matches!(State::open(&path, &provider), Err(StateError::Locked(_))));
    drop(state);
    let text =
        |url: &str| format!(r#"{{"version":1,"name":"a","url":"{url}","cursor":"7","intervals":[],"forgotten_to_ms":null,"rejected":[]}}"#);
    for (text, says) in [
        (text("https://a.example/?c={cursor}"), None),
        (text("https://b.example/?c={cursor}"), Some("says how far a was read at https://b.example/")),
        (text("x").replace(":1", ":2"), Some("it has version 2")),
        ("{}".to_owned(), Some("missing field `version`")),
        (String::new(), Some("is no state of this program")),
    ] {
        std::fs::write(&path, &text).unwrap();
        let error = State::open(&path, &provider).err().map(|error| error.to_string());
        assert_eq!(error.is_some(), says.is_some(), "{text}: {error:?}");
        assert!(error.unwrap_or_default().contains(says.unwrap_or_default()), "{text}");
    }
}
