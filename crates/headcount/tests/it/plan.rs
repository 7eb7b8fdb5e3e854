//! `plan` by itself, with figures of one's own, and as the docs show it.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::program::{repository, run};

/// What it prints, and that it went well.
fn planned(words: &[&str]) -> String {
    let (status, out, err) = run(&[&["plan"], words].concat());
    assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
    out
}

fn refused(words: &[&str]) -> String {
    let (status, out, err) = run(&[&["plan"], words].concat());
    assert!(status.is_some_and(|status| status != 0) && out.is_empty(), "{status:?} {out}");
    err
}

fn as_json(words: &[&str]) -> Value {
    serde_json::from_str(&planned(&[words, &["--json"]].concat())).unwrap()
}

/// What the docs show is what is printed: `UPDATE_GOLDEN=1` writes it there, once new figures are shipped.
#[test]
fn the_docs_show_what_is_printed() {
    let path = repository("bench/PLANNING.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (mut written, mut rest, mut examples) = (String::new(), text.as_str(), 0);
    while let Some((before, after)) = rest.split_once("```\n$ headcount plan ") {
        let (words, after) = after.split_once('\n').unwrap();
        let (_, after) = after.split_once("```\n").unwrap();
        let printed = planned(&words.split(' ').collect::<Vec<_>>());
        written += &format!("{before}```\n$ headcount plan {words}\n{printed}```\n");
        (rest, examples) = (after, examples + 1);
    }
    written += rest;
    assert!(examples >= 2, "{examples} examples");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    assert!(text == written, "bench/PLANNING.md shows something else; UPDATE_GOLDEN=1 writes it:\n{written}");
}

#[test]
fn a_thousand_times_as_many_says_how_far_that_is_from_what_was_measured() {
    let (few, many) = (as_json(&["--dpus", "100000"]), as_json(&["--dpus", "100000000"]));
    assert_eq!((&few["carries"], &many["carries"]), (&json!(true), &json!(false)));
    assert_eq!((&few["reaches"]["dpus"]["times"], &many["reaches"]["dpus"]["times"]), (&json!(1.0), &json!(1_000.0)));
    assert_eq!((&few["reaches"]["dpus"]["far"], &many["reaches"]["dpus"]["far"]), (&json!(false), &json!(true)));
    let text = planned(&["--dpus", "100000000"]);
    assert!(text.contains("NOT CARRIED in full") && text.contains("NOT MEASURED anywhere near"), "{text}");
    let limits: Vec<u64> = many["limits"].as_array().unwrap().iter().map(|limit| limit["dpus"].as_u64().unwrap()).collect();
    assert!(limits.is_sorted() && limits[0] < 100_000_000, "{limits:?}");
    assert_eq!(many["binds_first"], many["limits"][0]["id"]);
}

#[test]
fn no_price_is_made_up() {
    let none = as_json(&["--dpus", "1000"]);
    assert_eq!((&none["costs"]["nodes"]["sum"], &none["cost_of_what_has_a_price"]), (&Value::Null, &Value::Null));
    assert_eq!(none["costs"]["disk"]["flag"], "--disk-price");
    let some = as_json(&["--dpus", "1000", "--node-price", "10.5", "--network-price", "0"]);
    let nodes = some["costs"]["nodes"]["amount"].as_f64().unwrap();
    assert_eq!(some["cost_of_what_has_a_price"], json!(nodes * 10.5));
    let text = planned(&["--dpus", "1000", "--node-price", "10.5"]);
    assert!(text.contains("no price: --disk-price") && text.contains("together, of what has a price"), "{text}");
}

#[test]
fn one_machine_does_it_or_says_what_does_not_fit() {
    let machine = |words: &[&str]| as_json(&[&["--store-kind", "embedded"], words].concat());
    let fits = machine(&["--dpus", "10000", "--queries-per-second", "100", "--watchers", "100"]);
    assert_eq!(fits["carries"], true);
    assert!(fits["needs"]["memory"]["amount"].as_f64().unwrap() < 200e6, "{fits}");
    let full = machine(&["--dpus", "10000", "--node-disk-gb", "10"]);
    assert_eq!((&full["carries"], &full["binds_first"]), (&json!(false), &json!("disk")));
    let busy = machine(&["--dpus", "10000000"]);
    assert_eq!((&busy["carries"], &busy["binds_first"]), (&json!(false), &json!("posts")));
    assert_eq!(machine(&["--dpus", "10", "--queries-per-second", "1000000"])["limits"][0]["dpus"], 0);
}

/// A file of figures of one's own.
fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn figures_of_ones_own_replace_those_that_are_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = std::fs::read_to_string(repository("bench/figures/engines.json")).unwrap();
    let mut faster: Value = serde_json::from_str(&shipped).unwrap();
    faster["machine"]["date"] = json!("2030-01-01");
    for figure in faster["figures"].as_array_mut().unwrap() {
        if ["steady", "backlog", "backlog_alone"].contains(&figure["id"].as_str().unwrap_or_default()) {
            figure["value"] = json!(figure["value"].as_f64().unwrap() * 2.0);
        }
        if figure["id"] == "consumer_processor" {
            figure["value"] = json!(figure["value"].as_f64().unwrap() / 2.0);
        }
    }
    let faster = file(&folder, "faster.json", &faster.to_string());
    let (before, after) = (as_json(&["--dpus", "1000000"]), as_json(&["--dpus", "1000000", "--figures", &faster]));
    for need in ["store_nodes", "consumers", "brokers"] {
        let amount = |plan: &Value| plan["needs"][need]["amount"].as_f64().unwrap();
        assert!((amount(&after) - (amount(&before) / 2.0).ceil()).abs() <= 1.0, "{need}: {} {}", amount(&before), amount(&after));
    }
    assert_eq!((&after["measured"][0]["date"], &after["measured"].as_array().unwrap().len()), (&json!("2030-01-01"), &1));
    assert_eq!(after["figures"]["steady"]["value"], json!(3_400.0));
    let err = refused(&["--dpus", "10", "--watchers", "1", "--figures", &faster]);
    assert!(err.contains("no file of figures has \"watcher_memory\"") && err.contains("`headcount-bench --json FILE`"), "{err}");
    let other = repository("bench/figures/embedded.json");
    planned(&["--dpus", "10", "--watchers", "1", "--figures", &faster, "--figures", other.to_str().unwrap()]);
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let no_json = file(&folder, "no.json", "{");
    let other_json = file(&folder, "other.json", r#"{"spaces": []}"#);
    let machine = r#"{"cores": 0, "memory_gib": 1, "kernel": "", "version": ""}"#;
    let no_cores = file(&folder, "cores.json", &format!(r#"{{"machine": {machine}, "settings": {{}}, "figures": []}}"#));
    let empty = file(&folder, "empty.json", &format!(r#"{{"machine": {}, "settings": {{}}, "figures": []}}"#, machine.replace('0', "2")));
    for (words, says) in [
        (&["--dpus", "0"][..], "--dpus must be from 1 to 10000000000, not 0"),
        (&["--dpus", "99999999999"], "--dpus must be from 1 to 10000000000"),
        (&["--dpus", "99999999999999999999999"], "invalid value '99999999999999999999999' for '--dpus"),
        (&["--dpus", "-5"], "invalid value '-5' for '--dpus"),
        (&["--dpus", "10", "--retention-years", "-1"], "--retention-years must be from"),
        (&["--dpus", "10", "--crossings-per-minute", "nan"], "--crossings-per-minute must be from 0.000001 to 6000, not NaN"),
        (&["--dpus", "10", "--head-room", "1"], "--head-room must be from 0 to 0.95, not 1"),
        (&["--dpus", "10", "--store-kind", "paper"], "invalid value 'paper'"),
        (&["--dpus", "10", "--figures", "/nowhere.json"], "cannot read the figures in /nowhere.json"),
        (
            &["--dpus", "10", "--figures", &no_json],
            "no.json holds no figures as `headcount-bench --json FILE` writes them, without `--growth`",
        ),
        (&["--dpus", "10", "--figures", &other_json], "missing field `machine`"),
        (&["--dpus", "10", "--figures", &no_cores], "no machine has 0 cores"),
        (&["--dpus", "10", "--figures", &empty], "no file of figures has \"steady\""),
        (&[], "--dpus <NUMBER>"),
    ] {
        let err = refused(words);
        assert!(err.contains(says), "{words:?}: {err}");
    }
}
