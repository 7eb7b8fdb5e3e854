//! What nobody can mean, and what was not measured, is refused by name.

use capacity::CapacityError;
use capacity::load::{Load, Prices, Sizing, StoreKind};
use capacity::measured::{Measured, ids};

use crate::asked::{SIZES, load, measured, sizing, source};

fn refusal(load: &Load, sizing: &Sizing, measured: &Measured) -> String {
    capacity::plan(load, sizing, &SIZES, measured).unwrap_err().to_string()
}

#[test]
fn numbers_that_nobody_can_mean_are_named() {
    let (usual, on) = (load(100), sizing(StoreKind::Cql));
    let loads = [
        (Load { dpus: 0, ..usual }, "--dpus must be from 1 to 10000000000, not 0"),
        (Load { dpus: u64::MAX, ..usual }, "--dpus must be from 1 to 10000000000, not 18446744073709552000"),
        (Load { crossings_per_minute: 0.0, ..usual }, "--crossings-per-minute must be from 0.000001 to 6000, not 0"),
        (Load { crossings_per_minute: f64::NAN, ..usual }, "not NaN"),
        (Load { heartbeats_per_minute: -1.0, ..usual }, "--heartbeats-per-minute must be from 0 to 6000, not -1"),
        (Load { crossings_per_report: 0, ..usual }, "--crossings-per-report must be from 1"),
        (Load { peak_factor: 0.5, ..usual }, "--peak-factor must be from 1 to 1000, not 0.5"),
        (Load { retention_years: f64::INFINITY, ..usual }, "--retention-years must be from 0.01 to 1000, not inf"),
        (Load { queries_per_second: 1e300, ..usual }, "--queries-per-second must be"),
        (Load { watchers: u64::MAX, ..usual }, "--watchers must be"),
    ];
    for (load, says) in loads {
        let text = refusal(&load, &on, &measured());
        assert!(text.contains(says), "{text}");
    }
    let sizings = [
        (Sizing { replication: 0, ..on }, "--replication must be from 1 to 9, not 0"),
        (Sizing { head_room: 1.0, ..on }, "--head-room must be from 0 to 0.95, not 1"),
        (Sizing { node_cores: Some(0), ..on }, "--node-cores must be"),
        (Sizing { node_memory_gb: Some(f64::NAN), ..on }, "--node-memory-gb must be"),
        (Sizing { node_disk_gb: Some(-5.0), ..on }, "--node-disk-gb must be"),
        (Sizing { log_retention_hours: 0.0, ..on }, "--log-retention-hours must be"),
        (Sizing { prices: Prices { node: Some(-1.0), ..Prices::default() }, ..on }, "--node-price must be"),
    ];
    for (sizing, says) in sizings {
        let text = refusal(&usual, &sizing, &measured());
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn the_largest_that_can_be_asked_for_is_a_plan_of_numbers() {
    for store in [StoreKind::Cql, StoreKind::Embedded] {
        let most = Load {
            dpus: 10_000_000_000,
            crossings_per_minute: 6_000.0,
            heartbeats_per_minute: 6_000.0,
            crossings_per_report: 1,
            peak_factor: 1_000.0,
            retention_years: 1_000.0,
            queries_per_second: 1e9,
            watchers: 1_000_000_000,
        };
        let plan =
            capacity::plan(&most, &Sizing { head_room: 0.95, node_disk_gb: Some(1.0), ..sizing(store) }, &SIZES, &measured()).unwrap();
        assert!(!plan.carries());
        assert!(plan.needs.iter().all(|need| need.amount.is_finite()), "{plan:?}");
    }
}

#[test]
fn a_figure_that_is_missing_is_named_with_what_measures_it() {
    for id in ids() {
        let mut source = source();
        source.figures.remove(id);
        let measured = Measured(vec![source]);
        let watched = Load { watchers: 1, ..load(100) };
        let refusals = [StoreKind::Cql, StoreKind::Embedded].map(|store| capacity::plan(&watched, &sizing(store), &SIZES, &measured).err());
        let missing = |error: &CapacityError| matches!(error, CapacityError::Missing { id: named, .. } if *named == id);
        assert!(refusals.iter().flatten().any(missing), "{id}: {refusals:?}");
        let text = refusals.iter().flatten().next().unwrap().to_string();
        assert!(text.contains(&format!("no file of figures has \"{id}\" (")) && text.contains("--json FILE"), "{text}");
    }
    let nothing = refusal(&load(100), &sizing(StoreKind::Embedded), &Measured::default());
    assert_eq!(nothing, "no file of figures has \"posts\" (single posts, in posts/s): measure it with `headcount-bench --json FILE`");
}

#[test]
fn figures_that_cannot_be_are_refused() {
    let with = |id: &str, value: f64| {
        let mut source = source();
        source.figures.insert(id.to_owned(), value);
        Measured(vec![source])
    };
    for (id, value, says) in [
        ("backlog", 0.0, "the figure \"backlog\" is 0, which cannot have been measured"),
        ("steady", f64::NAN, "\"steady\" is NaN"),
        ("count_p50", -1.0, "\"count_p50\" is -1"),
        ("steady_idle", 99.0, "they leave no processor time to the store"),
        ("nodes", 3.0, "there was more than one node"),
    ] {
        let text = refusal(&load(100), &sizing(StoreKind::Cql), &with(id, value));
        assert!(text.contains(says), "{text}");
    }
    let mut other = source();
    other.cores = 4.0;
    other.figures.retain(|id, _| id == "backlog");
    let text = refusal(&load(100), &sizing(StoreKind::Cql), &Measured(vec![source(), other]));
    assert!(text.contains("different numbers of cores"), "{text}");
}

/// Heartbeats alone fill consumers and partitions, where every room is empty.
#[test]
fn slots_are_never_fewer_than_partitions() {
    let busy = Load { crossings_per_minute: 1e-3, heartbeats_per_minute: 600.0, ..load(20_000_000) };
    let plan = capacity::plan(&busy, &sizing(StoreKind::Cql), &SIZES, &measured()).unwrap();
    assert_eq!((plan.need("partitions"), plan.need("slots")), (Some(65_536.0), Some(65_536.0)));
}

#[test]
fn of_a_figure_in_several_files_the_last_counts() {
    let mut newer = source();
    newer.figures.retain(|id, _| id == "posts");
    newer.figures.insert("posts".into(), 98_000.0);
    let posts =
        |measured: &Measured| capacity::plan(&load(100), &sizing(StoreKind::Embedded), &SIZES, measured).unwrap().limit("posts").unwrap();
    let (before, after) = (posts(&measured()), posts(&Measured(vec![source(), newer])));
    assert!(after.abs_diff(2 * before) <= 2, "{before} {after}");
}
