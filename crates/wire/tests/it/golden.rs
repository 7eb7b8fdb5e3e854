//! Frozen payloads. A new one is written with `GOLDEN=write cargo test -p wire`; an old one never changes.

use std::fs;
use std::path::PathBuf;

/// A golden file's bytes, which `made` must equal; a missing file is written where that was asked for.
pub(crate) fn check(name: &str, made: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if !path.exists() && std::env::var("GOLDEN").is_ok_and(|word| word == "write") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, made).unwrap();
    }
    let golden = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(String::from_utf8_lossy(&golden), String::from_utf8_lossy(made), "{name} is frozen: a change of form is a new version");
    assert_eq!(golden, made, "{name} is frozen: a change of form is a new version");
    golden
}
