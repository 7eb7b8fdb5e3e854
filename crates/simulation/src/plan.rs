//! What one run is like: its size, and how often what goes wrong. Every seed leaves some faults out, so that the
//! others are seen without them.

use ingest::{LaneConfig, Policy};
use store::faults::Rng;

/// The size of a run and its faults; a fault's number is how often it happens, in percent unless it says otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) partitions: u32,
    pub(crate) processes: u64,
    pub(crate) dpus: u64,
    /// Reports of each DPU, in each epoch.
    pub(crate) reports: u64,
    /// Whether the log is created anew halfway.
    pub(crate) new_epoch: bool,
    /// How long faults happen, in ms.
    pub(crate) storm_ms: u64,
    pub(crate) policy: Policy,
    pub(crate) lane: LaneConfig,
    /// Of all lanes of a process, in commits at once.
    pub(crate) room_records: u32,
    pub(crate) wire: WireFaults,
    pub(crate) dpu: DpuFaults,
    pub(crate) process: ProcessFaults,
}

/// What goes wrong between a process and what it talks to.
#[derive(Debug, Clone, Default)]
pub(crate) struct WireFaults {
    /// Of the writes: never arrive.
    pub(crate) lost: u64,
    /// Of the writes: arrive long after their sender gave up; and of the answers: come late.
    pub(crate) slow: u64,
    /// Of the writes: arrive twice.
    pub(crate) twice: u64,
    /// Of the answers: never arrive.
    pub(crate) unheard: u64,
    /// Of the reads: are not answered.
    pub(crate) unread: u64,
    /// Of the reads for a merge: see each part at another time.
    pub(crate) torn: u64,
    /// Of the offset commits: never arrive.
    pub(crate) uncommitted: u64,
    /// Of the records: come after some that were delivered before.
    pub(crate) again: u64,
}

/// What DPUs do besides reporting in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct DpuFaults {
    /// Of the reports: in another partition than their home.
    pub(crate) foreign: u64,
    /// Of the reports: kept back for hours.
    pub(crate) late: u64,
    /// Of the reports: followed by whole hours sent again.
    pub(crate) hours_again: u64,
    /// Of the crossings: with a clock that cannot be right.
    pub(crate) bad_clock: u64,
    /// Of the reports: somebody vouches for their times.
    pub(crate) vouched: u64,
    /// Of the reports: joined by a record that cannot be read.
    pub(crate) unreadable: u64,
    /// Of the records: with an append time behind that of the one before.
    pub(crate) clock_back: u64,
}

/// What befalls processes.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProcessFaults {
    /// Of the steps of a commit: the process dies after it, in per mille.
    pub(crate) dies_at_step: u64,
    /// Weights of what happens now and then.
    pub(crate) dies: u64,
    pub(crate) stalls: u64,
    pub(crate) loses_partition: u64,
    pub(crate) restarts: u64,
}

impl Plan {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let lane = LaneConfig { queue_records: 1 + size(rng, 6), batch_records: 1 + size(rng, 6), batch_crossings: 1 + size(rng, 12) };
        let max_lateness_ms = rng.percent(15).then_some(4 * 60 * 60 * 1000);
        Self {
            partitions: 1 + small(rng, 4),
            processes: 1 + rng.below(3),
            dpus: 1 + rng.below(4),
            reports: 2 + rng.below(9),
            new_epoch: rng.percent(20),
            storm_ms: 300 + rng.below(1_200),
            policy: Policy { max_lateness_ms, ..Policy::default() },
            lane,
            wire: WireFaults {
                lost: some(rng, 20),
                slow: some(rng, 25),
                twice: some(rng, 20),
                unheard: some(rng, 20),
                unread: some(rng, 20),
                torn: some(rng, 100),
                uncommitted: some(rng, 50),
                again: some(rng, 20),
            },
            dpu: DpuFaults {
                foreign: some(rng, 60),
                late: some(rng, 40),
                hours_again: some(rng, 40),
                bad_clock: some(rng, 10),
                vouched: some(rng, 10),
                unreadable: some(rng, 10),
                clock_back: some(rng, 20),
            },
            process: ProcessFaults {
                dies_at_step: some(rng, 100),
                dies: some(rng, 10),
                stalls: some(rng, 10),
                loses_partition: some(rng, 10),
                restarts: some(rng, 10),
            },
            room_records: 1 + small(rng, 12),
        }
    }
}

/// A fault's frequency: none in every third run.
fn some(rng: &mut Rng, most: u64) -> u64 {
    let often = 1 + rng.below(most);
    if rng.percent(67) { often } else { 0 }
}

fn size(rng: &mut Rng, n: u64) -> usize {
    usize::try_from(rng.below(n)).unwrap_or(0)
}

fn small(rng: &mut Rng, n: u64) -> u32 {
    u32::try_from(rng.below(n)).unwrap_or(0)
}
