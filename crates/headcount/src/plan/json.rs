//! A plan as tools read it.

use capacity::load::{Load, Sizing, StoreKind};
use capacity::measured::{Figure, Source};
use capacity::plan::{Cost, Flow, Limit, Need, Plan, Reach};
use serde_json::{Map, Value, json};

/// All of it; what is told by name stands under its id.
pub(super) fn of(plan: &Plan) -> Value {
    let sums: Vec<f64> = plan.costs.iter().filter_map(Cost::sum).collect();
    json!({
        "load": load(&plan.load),
        "sizing": sizing(plan),
        "flows": named(&plan.flows, |Flow { id, unit, mean, peak, .. }| (id, json!({ "unit": unit, "mean": mean, "peak": peak }))),
        "needs": named(&plan.needs, |Need { id, amount, unit, because, .. }| {
            (id, json!({ "amount": amount, "unit": unit, "because": because }))
        }),
        "carries": plan.carries(),
        "binds_first": plan.first().map(|limit| limit.id),
        "limits": plan.limits.iter().map(limit).collect::<Vec<_>>(),
        "costs": named(&plan.costs, |cost| {
            (&cost.id, json!({ "amount": cost.amount, "price": cost.price, "sum": cost.sum(), "flag": cost.flag }))
        }),
        "cost_of_what_has_a_price": if sums.is_empty() { None } else { Some(sums.iter().sum::<f64>()) },
        "reaches": named(&plan.reaches, |reach @ Reach { id, planned, measured, .. }| {
            (id, json!({ "planned": planned, "measured": measured, "times": reach.times(), "far": reach.is_far() }))
        }),
        "measured": plan.basis.sources.iter().map(source).collect::<Vec<_>>(),
        "figures": named(&plan.basis.figures, |Figure { id, what, value, from }| (id, json!({ "what": what, "value": value, "from": from }))),
        "assumed": plan.assumed,
    })
}

fn named<T>(all: &[T], one: impl Fn(&T) -> (&&'static str, Value)) -> Map<String, Value> {
    all.iter().map(one).map(|(id, value)| ((*id).to_owned(), value)).collect()
}

fn limit(Limit { id, dpus, raised_by, then, .. }: &Limit) -> Value {
    json!({ "id": id, "dpus": dpus, "raised_by": raised_by, "then": then })
}

fn source(Source { name, cores, memory_gib, kernel, version, date, .. }: &Source) -> Value {
    json!({ "file": name, "cores": cores, "memory_gib": memory_gib, "kernel": kernel, "version": version, "date": date })
}

fn load(load: &Load) -> Value {
    json!({
        "dpus": load.dpus,
        "crossings_per_minute": load.crossings_per_minute,
        "heartbeats_per_minute": load.heartbeats_per_minute,
        "crossings_per_report": load.crossings_per_report,
        "peak_factor": load.peak_factor,
        "retention_years": load.retention_years,
        "queries_per_second": load.queries_per_second,
        "watchers": load.watchers,
    })
}

fn sizing(plan: &Plan) -> Value {
    let Sizing { store, replication, head_room, prompt_at_peak, log_retention_hours, node_disk_gb, .. } = plan.sizing;
    json!({
        "store_kind": match store { StoreKind::Cql => "cql", StoreKind::Embedded => "embedded" },
        "replication": replication,
        "head_room": head_room,
        "prompt_at_peak": prompt_at_peak,
        "log_retention_hours": log_retention_hours,
        "node_cores": plan.node.cores,
        "node_memory_gb": plan.node.memory_gb,
        "node_disk_gb": node_disk_gb,
    })
}
