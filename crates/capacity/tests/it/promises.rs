//! More never takes less; what is needed carries what it is for; what is said to bind first does.

use capacity::load::{Load, Sizing, StoreKind};
use capacity::plan::Plan;
use proptest::prelude::*;

use crate::asked::{loads, plan, sizings, source};

/// What of a need follows from which limit.
const BOUGHT: [(&str, &str); 9] = [
    ("store_prompt", "store_nodes"),
    ("store_peak", "store_nodes"),
    ("disk", "store_nodes"),
    ("consumers_prompt", "consumers"),
    ("consumers_peak", "consumers"),
    ("consumer_memory", "consumers"),
    ("partitions", "partitions"),
    ("brokers", "brokers"),
    ("log_disk", "brokers"),
];

/// A hair, as numbers with a point have it.
fn covers(has: f64, asks: f64) -> bool {
    has >= asks * (1.0 - 1e-9)
}

/// That what a plan for a cluster buys is enough, reckoned anew from the figures.
fn is_enough(load: &Load, sizing: &Sizing, plan: &Plan) -> Result<(), TestCaseError> {
    let (figures, cores) = (source().figures, f64::from(sizing.node_cores.unwrap_or(2)));
    let need = |id: &str| plan.need(id).unwrap();
    let (used, copies, dpus) = (1.0 - sizing.head_room, f64::from(sizing.replication), load.dpus as f64);
    let mean = dpus * (load.crossings_per_minute + load.heartbeats_per_minute) / 60.0;
    let peak = dpus * (load.crossings_per_minute * load.peak_factor + load.heartbeats_per_minute) / 60.0;
    let prompt = if sizing.prompt_at_peak { peak } else { mean };
    // The consumer's cores.
    prop_assert!(covers(need("consumers") * used, prompt * 0.27 / figures["steady"]));
    prop_assert!(covers(need("consumers") * used, peak * figures["consumer_processor"] / 1e6));
    // The cores of the store: all that was busy, but for the consumer and the API process.
    let queries = load.queries_per_second * figures["count_p50"] / 1_000.0;
    let asked = queries * f64::from(sizing.replication / 2 + 1);
    let each = (2.0 * 0.84 - 0.27 - 0.086) / figures["steady"];
    prop_assert!(covers(need("store_nodes") * cores * used, prompt * each * copies + asked));
    let speed = if need("slots") > 4_096.0 { figures["backlog_alone"] } else { figures["backlog"] };
    let each = 2.0 / speed - figures["consumer_processor"] / 1e6;
    prop_assert!(covers(need("store_nodes") * cores * used, peak * each * copies + asked));
    prop_assert!(covers(need("api_processes") * used, queries));
    prop_assert!(covers(need("api_processes") * used * 2_000.0, load.watchers as f64));
    // Partitions and brokers: as much as one of those that were measured, which is no promise where no more can be made.
    let most = need("partitions") >= 65_536.0;
    prop_assert!(most || covers(need("partitions") * used * figures["backlog"] / 16.0, peak));
    prop_assert!(most || need("partitions") >= need("consumers"));
    prop_assert!((need("slots") / need("partitions")).fract() == 0.0, "a partition's DPUs share slots with no other");
    prop_assert!(covers(need("brokers") * used * figures["backlog"] * cores / 2.0, peak * copies));
    prop_assert!(need("store_nodes") >= copies && need("brokers") >= copies && need("consumers") >= 2.0);
    if let Some(disk_gb) = sizing.node_disk_gb {
        prop_assert!(covers(need("store_nodes") * disk_gb * 1e9 * used, need("disk_kept")));
        prop_assert!(covers(need("brokers") * disk_gb * 1e9, need("disk_log")));
    }
    Ok(())
}

proptest! {
    #[test]
    fn more_dpus_never_need_less(load in loads(), sizing in sizings(), more in 1.0..20.0_f64) {
        let (few, many) = (plan(&load, &sizing), plan(&Load { dpus: (load.dpus as f64 * more) as u64 + 1, ..load }, &sizing));
        for (one, other) in few.needs.iter().zip(&many.needs) {
            prop_assert_eq!(one.id, other.id);
            prop_assert!(covers(other.amount, one.amount), "{}: {} then {}", one.id, one.amount, other.amount);
        }
        for (one, other) in few.flows.iter().zip(&many.flows) {
            prop_assert!(other.mean >= one.mean && other.peak >= one.peak && one.peak >= one.mean, "{one:?} {other:?}");
        }
        for (one, other) in few.costs.iter().zip(&many.costs) {
            prop_assert!(covers(other.amount, one.amount), "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_is_needed_carries_the_load_with_the_head_room(load in loads(), sizing in sizings()) {
        let plan = plan(&load, &sizing);
        if sizing.store == StoreKind::Cql {
            is_enough(&load, &sizing, &plan)?;
            // Only what cannot be had by the number is ever in the way.
            for limit in plan.in_the_way() {
                let no_more = limit.id == "partitions" && plan.need("partitions") == Some(65_536.0);
                let unbought = no_more || ["follow", "api_memory"].contains(&limit.id);
                // A machine too small for a consumer as it was measured is so however many there are.
                prop_assert!(unbought || limit.id == "consumer_memory" && limit.dpus == 0, "{limit:?} of {load:?} {sizing:?}");
            }
        }
    }

    #[test]
    fn each_limit_is_where_more_is_needed_and_the_first_is_the_least(load in loads(), sizing in sizings()) {
        let now = plan(&load, &sizing);
        let first = now.first().unwrap();
        prop_assert!(now.limits.iter().all(|limit| limit.dpus >= first.dpus));
        prop_assert_eq!(now.carries(), first.dpus >= load.dpus);
        let at = |dpus: f64| plan(&Load { dpus: dpus as u64, ..load }, &sizing);
        for limit in now.limits.iter().filter(|limit| limit.dpus >= load.dpus && (1_000..9_000_000_000).contains(&limit.dpus)) {
            let (before, after) = (at(limit.dpus as f64 * 0.999), at(limit.dpus as f64 * 1.001 + 1.0));
            let bought = BOUGHT.iter().find(|(id, _)| *id == limit.id && sizing.store == StoreKind::Cql);
            let Some((_, bought)) = bought else { continue };
            // Of the store each plan has as many slots as it needs, and with them another speed.
            if after.need("slots") == now.need("slots") || *bought != "store_nodes" {
                let no_more = *bought == "partitions" && now.need(bought) == Some(65_536.0);
                prop_assert!(no_more || after.need(bought) > now.need(bought), "{limit:?} {:?}", after.need(bought));
            }
            if limit == first && before.load.dpus >= load.dpus && before.need("slots") == now.need("slots") {
                for (_, id) in BOUGHT {
                    prop_assert_eq!(before.need(id), now.need(id), "{} before {:?}", id, limit);
                }
            }
        }
    }

    #[test]
    fn one_machine_is_used_up_just_where_its_limits_are(load in loads(), sizing in sizings()) {
        let sizing = Sizing { store: StoreKind::Embedded, ..sizing };
        let of = |limit: u64| plan(&Load { dpus: limit.clamp(1, 9_000_000_000), ..load }, &sizing);
        let full = |limit: u64, has: f64, may: f64| (1_000..9_000_000_000).contains(&limit).then(|| (has / may - 1.0).abs());
        let (now, share) = (plan(&load, &sizing), 1.0 - sizing.head_room);
        let busy = now.limit("posts").min(now.limit("crossings")).unwrap();
        prop_assert!(full(busy, of(busy).need("processor").unwrap(), 100.0 * share).is_none_or(|off| off < 1e-2), "{busy} {now:?}");
        let held = now.limit("memory").unwrap();
        let memory = sizing.node_memory_gb.unwrap_or(24.0 * f64::from(1 << 30) / 1e9) * 1e9 * share;
        prop_assert!(full(held, of(held).need("memory").unwrap(), memory).is_none_or(|off| off < 1e-2), "{held} {now:?}");
        if let (Some(stored), Some(disk_gb)) = (now.limit("disk"), sizing.node_disk_gb) {
            prop_assert!(full(stored, of(stored).need("disk_store").unwrap(), disk_gb * 1e9).is_none_or(|off| off < 1e-2), "{stored} {now:?}");
        }
    }

    #[test]
    fn any_plan_can_be_read(load in loads(), sizing in sizings()) {
        let plan = plan(&load, &sizing);
        let text = capacity::text::table(&plan);
        for number in plan.needs.iter().map(|need| need.amount).chain(plan.costs.iter().map(|cost| cost.amount)) {
            prop_assert!(number.is_finite() && number >= 0.0, "{plan:?}");
        }
        prop_assert!(!text.contains("NaN") && !text.contains("inf "), "{text}");
        prop_assert!(text.contains("binds first: ") && text.contains("no price: --disk-price"), "{text}");
        prop_assert_eq!(text.contains("NOT CARRIED"), !plan.carries());
        prop_assert_eq!(text.contains("NOT MEASURED"), plan.reaches.iter().any(|reach| reach.times() > 10.0));
    }
}
