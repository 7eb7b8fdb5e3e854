//! The tree stays as a newcomer should find it: small documented files, short functions, and only the agreed arrows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;

/// Files that may be longer, each with the reason. An entry that is no longer needed fails the test.
const LONGER: [(&str, &str); 0] = [];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every Rust file of the project, with its path from the root.
fn sources() -> Vec<(String, String)> {
    let (root, mut open, mut found) = (root(), vec![root().join("crates"), root().join("bench")], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.strip_prefix(&root).unwrap().display().to_string(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 50, "the walk found only {} files", found.len());
    found
}

#[test]
fn files_say_what_they_are_and_stay_small() {
    let mut wrong = Vec::new();
    let mut longer: BTreeSet<&str> = LONGER.iter().map(|(path, _)| *path).collect();
    for (path, text) in sources() {
        if !text.starts_with("//!") {
            wrong.push(format!("{path}: does not begin with a `//!` line that says what it is"));
        }
        let lines = text.lines().count();
        if lines > FILE_LINES && !longer.remove(path.as_str()) {
            wrong.push(format!("{path}: {lines} lines, at most {FILE_LINES}: divide it"));
        }
        let ignore = concat!("#[", "ignore");
        if text.contains(ignore) {
            wrong.push(format!("{path}: an ignored test proves nothing"));
        }
    }
    wrong.extend(longer.iter().map(|path| format!("{path}: no longer needs its exception")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn functions_fit_a_screen() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let mut begun: Option<(usize, usize, String)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let code = line.trim_start();
            if begun.is_none()
                && (code.starts_with("fn ") || (code.contains(" fn ") && !code.starts_with("//")))
                && !code.ends_with('}')
                && !code.ends_with(';')
            {
                begun = Some((number, indent, code.chars().take(60).collect()));
            }
            if let Some((from, depth, name)) = &begun
                && code.starts_with('}')
                && indent == *depth
            {
                let lines = number - from + 1;
                if lines > FUNCTION_LINES {
                    wrong.push(format!("{path}:{}: {lines} lines, at most {FUNCTION_LINES}: {name}", from + 1));
                }
                begun = None;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The rows `| crate | may use |` under the heading of DESIGN.md.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let design = std::fs::read_to_string(root().join("DESIGN.md")).unwrap();
    let table = design.split("| crate | may use |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let names =
            |cell: &str| cell.split(',').map(|name| name.trim().trim_matches('`').to_owned()).filter(|name| !name.is_empty()).collect();
        (cells[0].trim_matches('`').to_owned(), names(cells[1]))
    })
    .collect()
}

#[test]
fn manifests_hold_to_the_arrows_of_the_design() {
    let arrows = arrows();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for folder in std::fs::read_dir(root().join("crates")).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let manifest: toml::Table = std::fs::read_to_string(folder.path().join("Cargo.toml")).unwrap().parse().unwrap();
        if manifest["package"]["name"].as_str() != Some(&name) {
            wrong.push(format!("crates/{name} holds a crate of another name"));
        }
        if manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) != Some(true) {
            wrong.push(format!("crates/{name} does not inherit the workspace's lints"));
        }
        let used: BTreeSet<String> =
            manifest["dependencies"].as_table().unwrap().keys().filter(|used| arrows.contains_key(*used)).cloned().collect();
        match arrows.get(&name) {
            None => wrong.push(format!("{name} is not in DESIGN.md's table of arrows")),
            Some(allowed) if *allowed != used => {
                wrong.push(format!("{name} uses {used:?}; the table of arrows in DESIGN.md says {allowed:?}"));
            }
            Some(_) => {}
        }
        seen.insert(name);
    }
    wrong.extend(arrows.keys().filter(|name| !seen.contains(*name)).map(|name| format!("DESIGN.md names {name}, which is gone")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_uses_nothing_that_can_do_io() {
    let manifest: toml::Table = std::fs::read_to_string(root().join("crates/occupancy/Cargo.toml")).unwrap().parse().unwrap();
    let used: Vec<&String> = manifest["dependencies"].as_table().unwrap().keys().collect();
    assert_eq!(used, ["chrono", "chrono-tz", "thiserror"]);
}
