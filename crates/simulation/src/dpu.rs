//! A DPU: it reports what it sees until that is acknowledged, late at times, and sends whole hours again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::id::DpuId;
use occupancy::time::UnixMs;
use store::faults::Rng;
use tokio::time::sleep;
use wire::Report;

use crate::world::World;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A DPU, and all it ever saw.
#[derive(Debug)]
pub(crate) struct Dpu {
    pub(crate) id: DpuId,
    rng: Rng,
    numbered: bool,
    boot: u64,
    seq: u64,
    /// Crossings seen with a clock that is right.
    pub(crate) seen: BTreeSet<Key>,
    /// Reports that are not acknowledged.
    backlog: Vec<Report>,
}

impl Dpu {
    pub(crate) fn new(id: DpuId, mut rng: Rng) -> Self {
        let numbered = rng.percent(60);
        Self { id, rng, numbered, boot: 1, seq: 0, seen: BTreeSet::new(), backlog: Vec::new() }
    }

    /// Makes a few reports, and comes back when all of them are acknowledged.
    pub(crate) async fn run(mut self, world: Arc<World>) -> Self {
        for _ in 0..world.plan.reports {
            let pause_ms = if world.healed() { 1 } else { 1 + self.rng.below(world.plan.storm_ms / (world.plan.reports + 1)) };
            sleep(Duration::from_millis(pause_ms)).await;
            let report = self.report(&world);
            self.backlog.push(report);
            if world.fault(world.plan.dpu.hours_again) {
                self.send_hours_again(&world);
            }
            if world.fault(world.plan.dpu.unreadable) {
                let partition = self.any_partition(&world);
                world.append(partition, b"no report".to_vec(), None);
            }
            if !world.fault(world.plan.dpu.late) {
                self.send(&world).await;
            }
        }
        while !self.backlog.is_empty() {
            sleep(Duration::from_millis(1 + self.rng.below(20))).await;
            self.send(&world).await;
        }
        self
    }

    fn any_partition(&mut self, world: &World) -> i32 {
        let partitions = world.log().partitions();
        i32::try_from(self.rng.below(partitions.unsigned_abs().into())).unwrap_or(0)
    }

    /// What it saw since the last report.
    fn report(&mut self, world: &World) -> Report {
        let now = world.clock();
        if self.rng.percent(10) {
            (self.boot, self.seq) = (self.boot + 1, 0);
        }
        let mut crossings = Vec::new();
        for _ in 0..self.rng.below(5) {
            let at = now.plus_ms(-self.rng.below(50 * MINUTE_MS.cast_unsigned()).cast_signed());
            let direction = if self.rng.percent(50) { Direction::Plus } else { Direction::Minus };
            self.seq += 1;
            let (boot, seq) = if self.numbered { (self.boot, self.seq) } else { (0, 0) };
            let right = !world.fault(world.plan.dpu.bad_clock);
            let at = if right { at } else { self.bad_time(now) };
            let key = Key { at, boot, seq, direction };
            if right {
                self.seen.insert(key);
            }
            crossings.push(Ok(key));
        }
        let beats = crossings.is_empty() || self.rng.percent(30);
        let heartbeat = beats.then(|| {
            let at = if world.fault(world.plan.dpu.bad_clock) { self.bad_time(now) } else { now };
            let (boot, last_seq) = if self.numbered { (self.boot, self.seq) } else { (0, 0) };
            Heartbeat { at, boot, last_seq }
        });
        Report { dpu: self.id.clone(), crossings, heartbeat, accept_clock: world.fault(world.plan.dpu.vouched) }
    }

    /// Ahead, around the limit; or never set.
    fn bad_time(&mut self, now: UnixMs) -> UnixMs {
        if self.rng.percent(50) {
            now.plus_ms(self.rng.below(12 * MINUTE_MS.cast_unsigned()).cast_signed())
        } else {
            UnixMs::CLOCK_SET.plus_ms(1 - self.rng.below(3).cast_signed())
        }
    }

    /// The last hours once more, in reports cut anew.
    fn send_hours_again(&mut self, world: &World) {
        let from = world.clock().plus_ms(-HOUR_MS * (1 + self.rng.below(24).cast_signed()));
        let hours: Vec<Key> = self.seen.range(Key::first_at(from)..).copied().collect();
        let size = 1 + usize::try_from(self.rng.below(24)).unwrap_or(0);
        for keys in hours.chunks(size) {
            let crossings = keys.iter().copied().map(Ok).collect();
            self.backlog.push(Report { dpu: self.id.clone(), crossings, heartbeat: None, accept_clock: false });
        }
    }

    /// Sends every report that is not acknowledged; the log may take one and not say so.
    async fn send(&mut self, world: &Arc<World>) {
        for report in std::mem::take(&mut self.backlog) {
            sleep(Duration::from_millis(self.rng.below(4))).await;
            let encode = if self.rng.percent(50) { wire::report::encode } else { wire::report::encode_json };
            if !world.fault(world.plan.wire.lost) {
                let home = world.log().home(&report.dpu);
                let foreign = world.fault(world.plan.dpu.foreign);
                let partition = if foreign { self.any_partition(world) } else { home };
                world.append(partition, encode(&report), None);
                if !world.fault(world.plan.wire.unheard) {
                    continue;
                }
            }
            self.backlog.push(report);
        }
    }
}
