//! A page's items as what is published. Pure.

use std::collections::{BTreeMap, BTreeSet};

use occupancy::crossing::{Heartbeat, Key};
use occupancy::id::DpuId;
use occupancy::time::UnixMs;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wire::Report;

use crate::config::Provider;
use crate::item::Said;
use crate::memory::Memory;

/// The most crossings of a report.
const CROSSINGS_PER_REPORT: usize = 5_000;
/// The most of an item that is kept when it is rejected, in bytes.
const ITEM_BYTES: usize = 64 * 1024;

/// What a page holds, ready to be published. Publishing it again changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Of each DPU, crossings and how long it is known to have been alive.
    pub reports: Vec<Report>,
    /// Items that belong into quarantine.
    pub rejected: Vec<Rejected>,
    /// How many items were read.
    pub items: usize,
    /// Until when the first interval that is not final has to be waited for; the cursor stays until then.
    pub(crate) not_yet: Option<UnixMs>,
    /// The names of all items that belong into quarantine, of those that went there before too.
    pub(crate) rejected_names: BTreeSet<u64>,
    /// Intervals too old to know whether they were lowered.
    pub(crate) forgotten: usize,
}

/// An item that was kept out, whole or in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub why: String,
    /// The item, cut where it is very large.
    pub item: String,
    provider: String,
    /// The same for the same item rejected for the same reason.
    name: u64,
}

impl Rejected {
    fn new(provider: &str, why: String, item: &Value) -> Self {
        let mut item = item.to_string();
        let digest = Sha256::new().chain_update(&why).chain_update(&item).finalize();
        item.truncate(item.floor_char_boundary(ITEM_BYTES));
        let name = digest.iter().take(8).fold(0, |name, byte| name << 8 | u64::from(*byte));
        Self { why, item, provider: provider.to_owned(), name }
    }

    /// What goes to the quarantine: as it names no DPU of its own, it can never pass for a report.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        json!({"rejected": {"provider": self.provider, "why": self.why, "item": self.item}}).to_string().into_bytes()
    }
}

/// Reads items as of `now`, and notes what intervals say; what was rejected before is not rejected again.
pub(crate) fn take(provider: &Provider, items: &[Value], memory: &mut Memory, now: UnixMs) -> Batch {
    let mut batch = Batch { items: items.len(), ..Batch::default() };
    let known: BTreeSet<u64> = memory.rejected.iter().copied().collect();
    let mut of_dpus: BTreeMap<DpuId, (Vec<Key>, Option<Heartbeat>)> = BTreeMap::new();
    for item in items {
        let why = match provider.item.read(item, now) {
            Ok(Said::Crossings(dpu, keys)) => {
                of_dpus.entry(dpu).or_default().0.extend(keys);
                None
            }
            Ok(Said::Interval(dpu, interval)) => {
                batch.forgotten += usize::from(memory.may_have_forgotten(&dpu, interval.start));
                let (publish, conflict) = memory.note(&dpu, &interval);
                if publish {
                    let (keys, heartbeat) = of_dpus.entry(dpu).or_default();
                    keys.extend(interval.crossings());
                    *heartbeat = (*heartbeat).max(Some(interval.heartbeat()));
                }
                conflict.map(|conflict| conflict.to_string())
            }
            Ok(Said::NotYet(at)) => {
                batch.not_yet = Some(batch.not_yet.map_or(at, |first| first.min(at)));
                None
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            let rejected = Rejected::new(&provider.name, why, item);
            if batch.rejected_names.insert(rejected.name) && !known.contains(&rejected.name) {
                batch.rejected.push(rejected);
            }
        }
    }
    memory.bound(&provider.limits);
    batch.reports = of_dpus.into_iter().flat_map(|(dpu, (keys, heartbeat))| reports(&dpu, keys, heartbeat)).collect();
    batch
}

/// A DPU's crossings in order, each once, in reports of a size; the heartbeat comes last.
fn reports(dpu: &DpuId, mut keys: Vec<Key>, heartbeat: Option<Heartbeat>) -> Vec<Report> {
    keys.sort_unstable();
    keys.dedup();
    let report =
        |keys: &[Key]| Report { dpu: dpu.clone(), crossings: keys.iter().copied().map(Ok).collect(), heartbeat: None, accept_clock: false };
    let mut reports: Vec<Report> = keys.chunks(CROSSINGS_PER_REPORT).map(report).collect();
    if reports.is_empty() {
        reports.push(report(&[]));
    }
    if let Some(last) = reports.last_mut() {
        last.heartbeat = heartbeat;
    }
    reports
}
