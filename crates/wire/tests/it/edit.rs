//! The stored form of edits.

use occupancy::edit::{Change, Correction, Edit, Note};
use occupancy::time::UnixMs;
use proptest::prelude::{any, prop_assert_eq, proptest};
use proptest::sample::Index;
use wire::edit::{decode, encode};

use crate::document::EXAMPLE;
use crate::{golden, strategy};

fn at(text: &str) -> UnixMs {
    text.parse().unwrap()
}

fn edits() -> [(&'static str, Change); 6] {
    let document = wire::document::from_toml(EXAMPLE).unwrap().into_domain(UnixMs::MIN).unwrap();
    let list = document.installations.clone();
    let correction = |id: &str, space: &str, count| Correction {
        id: id.parse().unwrap(),
        space: space.parse().unwrap(),
        at: at("2018-03-01T04:00:00Z"),
        count,
    };
    let corrections = vec![correction("c1", "hall", 12), correction("c2", "campus", 0)];
    let note = |reason: &str, by: Option<&str>| Note { reason: reason.into(), by: by.map(str::to_owned) };
    [
        ("topology", Change::Topology { root: "campus".parse().unwrap(), document, allow_removal: true }),
        ("installations", Change::Installations { dpu: "283".parse().unwrap(), list }),
        ("corrections", Change::Corrections { corrections: corrections.clone(), note: note("counted", None) }),
        ("retraction", Change::Retraction { id: "c1".parse().unwrap(), note: note("a \"mistake\"", None) }),
        ("corrections_by", Change::Corrections { corrections, note: note("counted", Some("ann@example.org")) }),
        ("retraction_by", Change::Retraction { id: "c1".parse().unwrap(), note: note("", Some("Bö")) }),
    ]
}

#[test]
fn the_stored_form_of_every_change_is_frozen() {
    for (name, change) in edits() {
        let edit = Edit { made_at: at("2018-03-01T12:30:00.001Z"), change };
        let stored = golden::check(&format!("edit/{name}.json"), &encode(&edit));
        assert_eq!(decode(&stored), Ok(edit), "{name}");
    }
}

#[test]
fn what_is_no_edit_of_a_known_version_is_refused() {
    for (stored, why) in [
        (&b""[..], "a stored edit cannot be read: EOF while parsing a value at line 1 column 0"),
        (br#"{"made_at":"2018-03-01T12:30:00Z"}"#, "a stored edit cannot be read: missing field `v` at line 1 column 34"),
        (br#"{"v":3,"who":"knows"}"#, "a stored edit has version 3, this program reads versions 1 to 2: use a newer program"),
        (
            br#"{"v":1,"made_at":"noon","change":{"retraction":{"id":"c","reason":""}}}"#,
            "stored edit: made_at: \"noon\" is not an RFC 3339 time like 2018-02-26T16:06:02.903Z",
        ),
        (
            br#"{"v":1,"made_at":"2018-03-01T12:30:00Z","change":{"retraction":{"id":"c d","reason":""}}}"#,
            "stored edit: id: character ' ' at position 1 is not allowed: an id is made of A-Z a-z 0-9 . _ : - and starts with a letter or digit",
        ),
    ] {
        assert_eq!(decode(stored).unwrap_err().0, why);
    }
}

proptest! {
    #[test]
    fn a_stored_edit_reads_back_as_it_was(edit in strategy::edit()) {
        prop_assert_eq!(decode(&encode(&edit)), Ok(edit));
    }

    /// A byte changed on disk gives an error or another edit, never a panic.
    #[test]
    fn a_damaged_edit_never_panics(edit in strategy::edit(), place in any::<Index>(), byte in any::<u8>()) {
        let mut stored = encode(&edit);
        let place = place.index(stored.len());
        stored[place] = byte;
        if let Ok(read) = decode(&stored) {
            prop_assert_eq!(decode(&encode(&read)), Ok(read));
        }
    }
}
