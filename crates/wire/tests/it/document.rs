//! Topology documents as people write them.

use occupancy::id::DpuId;
use occupancy::time::UnixMs;
use occupancy::topology::{Document, Side};
use proptest::prelude::{prop_assert_eq, proptest};
use wire::document::{InstallationEntry, SpaceEntry, TopologyDocument, from_toml, installations, to_toml};

use crate::strategy;

pub(crate) const EXAMPLE: &str = r#"
[[space]]
id = "campus"
time_zone = "America/Los_Angeles"
[[space]]
id = "hall"
name = "Town Hall"
parent = "campus"
time_zone = "America/Los_Angeles"
capacity = 400
[[reset]]
space = "hall"
at = "04:00"                         # or "none"
from = 2018-01-01T00:00:00Z
[[doorway]]
id = "front"
between = ["outside", "hall"]
[[installation]]
dpu = "283"
doorway = "front"
enters = "hall"                      # +1 means a person enters this side
from = 2018-01-01T00:00:00Z
to = "2019-01-01T00:00:00+01:00"
"#;

fn now() -> UnixMs {
    "2020-02-02T02:02:02Z".parse().unwrap()
}

fn read(text: &str) -> Result<Document, String> {
    from_toml(text).and_then(|document| document.into_domain(now())).map_err(|error| error.0)
}

#[test]
fn the_example_reads_and_stands() {
    let document = read(EXAMPLE).unwrap();
    document.check(&"campus".parse().unwrap()).unwrap();
    assert_eq!(document.spaces[1].name.as_deref(), Some("Town Hall"));
    assert_eq!(document.spaces[1].capacity, Some(400));
    assert_eq!(document.spaces[1].time_zone, Some(chrono_tz::America::Los_Angeles));
    assert_eq!(document.resets[0].at, chrono::NaiveTime::from_hms_opt(4, 0, 0));
    assert_eq!(document.resets[0].from.to_string(), "2018-01-01T00:00:00.000Z");
    assert_eq!(document.doorways[0].between, [Side::Outside, Side::Space("hall".parse().unwrap())]);
    assert_eq!(document.installations[0].to.unwrap().to_string(), "2018-12-31T23:00:00.000Z");
}

#[test]
fn a_missing_from_is_the_default_and_a_missing_to_is_open() {
    let document =
        read("[[reset]]\nspace = \"a\"\nat = \"none\"\n[[installation]]\ndpu = \"1\"\ndoorway = \"d\"\nenters = \"outside\"\n").unwrap();
    assert_eq!((document.resets[0].from, document.resets[0].at), (now(), None));
    assert_eq!((document.installations[0].from, document.installations[0].to), (now(), None));
}

#[test]
fn a_time_of_day_is_read_in_every_form_it_is_written_in() {
    let seconds = |at: &str| read(&format!("[[reset]]\nspace = \"a\"\nat = {at}\n")).unwrap().resets[0].at.unwrap().to_string();
    for (at, read) in [("\"04:00\"", "04:00:00"), ("\"04:00:30\"", "04:00:30"), ("04:00:30", "04:00:30"), ("23:59:59", "23:59:59")] {
        assert_eq!(seconds(at), read);
    }
}

#[test]
fn json_has_the_same_keys() {
    let json = serde_json::to_value(from_toml(EXAMPLE).unwrap()).unwrap();
    assert_eq!(json["reset"][0], serde_json::json!({"space": "hall", "at": "04:00", "from": "2018-01-01T00:00:00Z"}));
    assert_eq!(json["space"][0], serde_json::json!({"id": "campus", "time_zone": "America/Los_Angeles"}));
    let document: TopologyDocument = serde_json::from_value(json).unwrap();
    assert_eq!(document, from_toml(EXAMPLE).unwrap());
    let empty: TopologyDocument = serde_json::from_str("{}").unwrap();
    assert_eq!(empty, TopologyDocument::default());
}

#[test]
fn the_list_of_one_dpu_may_leave_it_out() {
    let list: Vec<InstallationEntry> = serde_json::from_str(
        r#"[{"doorway":"front","enters":"hall","from":"2018-01-01T00:00:00Z"},{"dpu":"284","doorway":"front","enters":"hall"}]"#,
    )
    .unwrap();
    let dpu: DpuId = "283".parse().unwrap();
    let list = installations(list, &dpu, now()).unwrap();
    assert_eq!((list[0].dpu.as_str(), list[0].from.to_string().as_str()), ("283", "2018-01-01T00:00:00.000Z"));
    assert_eq!((list[1].dpu.as_str(), list[1].from), ("284", now()), "the edit refuses another DPU, by name");
}

#[test]
fn what_cannot_be_read_says_where_and_how_to_mend_it() {
    for (text, why) in [
        (
            "[[space]]\nid = \"hall\"\nparrent = \"campus\"\n",
            "TOML parse error at line 3, column 1\n  |\n3 | parrent = \"campus\"\n  | ^^^^^^^\n\
             unknown field `parrent`, expected one of `id`, `parent`, `name`, `time_zone`, `capacity`",
        ),
        (
            "[[spaces]]\nid = \"hall\"\n",
            "TOML parse error at line 1, column 3\n  |\n1 | [[spaces]]\n  |   ^^^^^^\n\
             unknown field `spaces`, expected one of `space`, `reset`, `doorway`, `installation`",
        ),
        (
            "[[space]]\nid = \"hall\"\ntime_zone = \"America/Los_Angels\"\n",
            "space \"hall\": time_zone \"America/Los_Angels\" is no IANA time zone: write one like \"America/Los_Angeles\"",
        ),
        (
            "[[reset]]\nspace = \"hall\"\nat = \"4 am\"\n",
            "reset of space \"hall\": at \"4 am\" is no time of day: write \"04:00\", \"04:00:00\" or \"none\"",
        ),
        (
            "[[reset]]\nspace = \"hall\"\nat = \"23:59:60\"\n",
            "reset of space \"hall\": at \"23:59:60\" is no time of day: write \"04:00\", \"04:00:00\" or \"none\"",
        ),
        (
            "[[reset]]\nspace = \"hall\"\nat = \"none\"\nfrom = 2018-01-01\n",
            "reset of space \"hall\": from: \"2018-01-01\" is not an RFC 3339 time like 2018-02-26T16:06:02.903Z",
        ),
        (
            "[[space]]\nid = \"town hall\"\n",
            "space \"town hall\": id: character ' ' at position 4 is not allowed: an id is made of A-Z a-z 0-9 . _ : - and starts with a letter or digit",
        ),
        ("[[space]]\nid = \"outside\"\n", "space \"outside\": id: `outside` is reserved for what lies beyond every space"),
        ("[[doorway]]\nid = \"front\"\nbetween = [\"outside\", \"\"]\n", "doorway \"front\": between: an id needs at least one character"),
        (
            "[[installation]]\ndoorway = \"front\"\nenters = \"hall\"\n",
            "installation over doorway \"front\": dpu is missing: say which DPU hung there",
        ),
        (
            "[[installation]]\ndpu = \"283\"\ndoorway = \"front\"\nenters = \"hall\"\nto = \"never\"\n",
            "installation of DPU \"283\": to: \"never\" is not an RFC 3339 time like 2018-02-26T16:06:02.903Z",
        ),
    ] {
        assert_eq!(read(text).unwrap_err(), why);
    }
}

/// To JSON Schema 12.0 is an integer.
#[test]
fn a_capacity_may_be_written_with_a_point() {
    let capacity =
        |text: &str| serde_json::from_str::<SpaceEntry>(&format!(r#"{{"id":"hall","capacity":{text}}}"#)).map(|one| one.capacity);
    for (text, read) in
        [("400", Some(400)), ("400.0", Some(400)), ("4e2", Some(400)), ("-0", Some(0)), ("4294967295.0", Some(u32::MAX)), ("null", None)]
    {
        assert_eq!(capacity(text).unwrap(), read, "{text}");
    }
    let expected = "expected a whole number from 0 to 4294967295";
    for (text, why) in [
        ("12.5", "invalid type: floating point `12.5`, "),
        ("-1.0", "invalid value: integer `-1`, "),
        ("4294967296", "invalid value: integer `4294967296`, "),
        ("4294967296.0", "invalid value: integer `4294967296`, "),
        ("1e300", "1e300 may have been rounded: "),
        ("\"12\"", "invalid type: string \"12\", "),
    ] {
        let error = capacity(text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{why}{expected}")), "{error}");
    }
}

#[test]
fn wrong_types_and_missing_keys_say_so() {
    for (text, why) in [
        ("[[space]]\nid = \"hall\"\ncapacity = -1\n", "invalid value: integer `-1`, expected a whole number from 0 to 4294967295"),
        ("[[space]]\nname = \"hall\"\n", "missing field `id`"),
        ("[[doorway]]\nid = \"front\"\nbetween = [\"outside\"]\n", "invalid length 1, expected an array of length 2"),
        ("[[reset]]\nspace = \"hall\"\nat = 4\n", "invalid type: integer `4`, expected a text or a time"),
        ("[[space]\n", "TOML parse error at line 1"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(why) && error.contains("line"), "{error}");
    }
    let error = serde_json::from_str::<InstallationEntry>(r#"{"doorway":"front","enters":"hall","from":{"a":1}}"#).unwrap_err();
    assert_eq!(error.to_string(), "expected a text or a time at line 1 column 46");
}

proptest! {
    #[test]
    fn a_document_reads_back_as_it_was(document in strategy::document()) {
        let written = TopologyDocument::of(&document);
        let toml = to_toml(&written).unwrap();
        prop_assert_eq!(read(&toml), Ok(document.clone()));
        let json: TopologyDocument = serde_json::from_slice(&serde_json::to_vec(&written).unwrap()).unwrap();
        prop_assert_eq!(json.into_domain(now()), Ok(document));
    }
}
