//! Loads, machines and figures to plan with.

use std::collections::BTreeMap;

use capacity::load::{Load, Prices, Sizes, Sizing, StoreKind};
use capacity::measured::{Measured, Source};
use capacity::plan::Plan;
use proptest::prelude::*;

pub(crate) const SIZES: Sizes = Sizes { key: 8.0, report: 30.0, heartbeat: 25.0, change: 80.0, post: 230.0, heartbeat_post: 200.0 };

pub(crate) fn load(dpus: u64) -> Load {
    Load {
        dpus,
        crossings_per_minute: 1.0,
        heartbeats_per_minute: 1.0,
        crossings_per_report: 1,
        peak_factor: 10.0,
        retention_years: 5.0,
        queries_per_second: 0.0,
        watchers: 0,
    }
}

pub(crate) fn sizing(store: StoreKind) -> Sizing {
    Sizing {
        store,
        replication: 3,
        head_room: 0.5,
        prompt_at_peak: false,
        log_retention_hours: 168.0,
        node_cores: None,
        node_memory_gb: None,
        node_disk_gb: None,
        prices: Prices::default(),
    }
}

/// Figures like those of a machine with two cores, made up.
pub(crate) fn source() -> Source {
    let numbers = |all: &[(&str, f64)]| all.iter().map(|(id, value)| ((*id).to_owned(), *value)).collect::<BTreeMap<_, _>>();
    Source {
        name: "made up".into(),
        cores: 2.0,
        memory_gib: 24.0,
        kernel: "6".into(),
        version: "headcount 0".into(),
        date: "2026-01-01".into(),
        settings: numbers(&[
            ("reporting_dpus", 100_000.0),
            ("partitions", 16.0),
            ("slots", 4_096.0),
            ("walk", 2e6),
            ("large", 1e7),
            ("watchers", 2_000.0),
        ]),
        figures: numbers(&[
            ("steady", 1_700.0),
            ("steady_p99", 48.0),
            ("steady_idle", 16.0),
            ("steady_consumer", 27.0),
            ("steady_api", 8.6),
            ("backlog", 49_000.0),
            ("backlog_alone", 9_000.0),
            ("consumer_processor", 6.7),
            ("consumer_memory", 335.0),
            ("api_memory", 66.0),
            ("count_p50", 0.5),
            ("store_disk", 20.0),
            ("brokers", 1.0),
            ("nodes", 1.0),
            ("posts", 49_000.0),
            ("gathered", 310_000.0),
            ("counts", 20_000.0),
            ("disk", 6.6),
            ("idle_memory", 20.0),
            ("hung_memory", 411.0),
            ("watcher_memory", 22.8),
        ]),
    }
}

pub(crate) fn measured() -> Measured {
    Measured(vec![source()])
}

pub(crate) fn plan(load: &Load, sizing: &Sizing) -> Plan {
    capacity::plan(load, sizing, &SIZES, &measured()).unwrap()
}

pub(crate) fn loads() -> impl Strategy<Value = Load> {
    let dpus = (0.0..8.5_f64).prop_map(|digits| 10_f64.powf(digits) as u64);
    let rates = (0.001..100.0_f64, 0.0..10.0_f64, 1..1_000_u32, 1.0..50.0_f64);
    (dpus, rates, 0.1..30.0_f64, 0.0..50_000.0_f64, 0..100_000_u64).prop_map(
        |(
            dpus,
            (crossings_per_minute, heartbeats_per_minute, crossings_per_report, peak_factor),
            retention_years,
            queries_per_second,
            watchers,
        )| {
            Load {
                dpus,
                crossings_per_minute,
                heartbeats_per_minute,
                crossings_per_report,
                peak_factor,
                retention_years,
                queries_per_second,
                watchers,
            }
        },
    )
}

pub(crate) fn sizings() -> impl Strategy<Value = Sizing> {
    let store = prop_oneof![Just(StoreKind::Cql), Just(StoreKind::Embedded)];
    let node = (proptest::option::of(1..64_u32), proptest::option::of(4.0..512.0_f64), proptest::option::of(100.0..20_000.0_f64));
    (store, 1..6_u32, 0.0..0.9_f64, any::<bool>(), 1.0..1_000.0_f64, node).prop_map(
        |(store, replication, head_room, prompt_at_peak, log_retention_hours, (node_cores, node_memory_gb, node_disk_gb))| Sizing {
            store,
            replication,
            head_room,
            prompt_at_peak,
            log_retention_hours,
            node_cores,
            node_memory_gb,
            node_disk_gb,
            prices: Prices { node: Some(100.0), disk_gb: None, network_gb: Some(0.01) },
        },
    )
}
