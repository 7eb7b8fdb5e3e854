//! A process: a member of the consumer group that reads its partitions, hands their records to lanes and commits
//! offsets. Lanes, admission and watermarks are the real ones; the loop around them does what the consumer of
//! `ingest-kafka` does with its client library.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ingest::{Admission, Drained, Item, Lane, Metrics, OffsetAck, Rejected, Shared, Watermark, admit};
use store::faults::Rng;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use wire::Bad;

use crate::Bug;
use crate::feed::{Publisher, Written};
use crate::gate::Gate;
use crate::log::Entry;
use crate::remote::{Remote, Rights};
use crate::world::World;

/// How long a revoke waits for its lanes, in ms.
const PATIENCE_MS: u64 = 60;
/// How often offsets are committed, in ms.
const COMMIT_INTERVAL_MS: u64 = 20;

/// A member of the group.
pub(crate) struct Process {
    world: Arc<World>,
    number: u64,
    member: u64,
    gate: Arc<Gate>,
    rights: Arc<Rights>,
    /// Told to stop.
    stop: Arc<AtomicBool>,
    lanes: Shared,
    rng: Rng,
    owned: BTreeMap<i32, Owned>,
    /// Lanes left as they were by [`Bug::SkippedDrain`].
    left: BTreeMap<i32, Lane<OffsetAck>>,
    sending: JoinSet<()>,
    /// When the last offset commit under way arrives: they keep their order.
    arrives_ms: u64,
}

struct Owned {
    lane: Lane<OffsetAck>,
    watermark: Arc<Watermark>,
    /// What was read and not handed on yet; nothing more is read while there is no room for it.
    held: VecDeque<Item<OffsetAck>>,
    next: i64,
}

/// Why partitions are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Asked,
    /// They may have another owner already.
    Lost,
    Leaving,
}

impl Process {
    pub(crate) fn new(world: Arc<World>, number: u64, gate: Arc<Gate>, stop: Arc<AtomicBool>, metrics: Metrics) -> Self {
        let rights = Arc::new(Rights::default());
        let written = Arc::new(Written::default());
        let feed = Publisher { world: Arc::clone(&world), process: number, gate: Arc::clone(&gate), written: Arc::clone(&written) };
        let remote = Remote { world: Arc::clone(&world), process: number, gate: Arc::clone(&gate), rights: Arc::clone(&rights), written };
        let lanes = Shared::new(Arc::new(remote), Some(Arc::new(feed)), metrics, world.plan.room_records);
        let member = world.group().join(world.now_ms());
        Self {
            member,
            rng: world.fork(),
            world,
            number,
            gate,
            rights,
            stop,
            lanes,
            owned: BTreeMap::new(),
            left: BTreeMap::new(),
            sending: JoinSet::new(),
            arrives_ms: 0,
        }
    }

    /// Until told to stop.
    pub(crate) async fn run(mut self) {
        let interval = Duration::from_millis(COMMIT_INTERVAL_MS);
        let mut next_commit = Instant::now() + interval;
        loop {
            self.gate.pass().await;
            let orders = self.world.group().poll(self.member, self.world.now_ms());
            match orders {
                None => {
                    self.give_up_all(Why::Lost).await;
                    self.gate.pass().await;
                    self.member = self.world.group().join(self.world.now_ms());
                    self.note("joins again");
                }
                Some(orders) => {
                    self.give_up(&orders.revoked, Why::Asked).await;
                    orders.assigned.into_iter().for_each(|(partition, offset)| self.take_over(partition, offset));
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                self.give_up_all(Why::Leaving).await;
                self.world.group().leave(self.member);
                return self.note("left");
            }
            self.read();
            if Instant::now() >= next_commit {
                next_commit = Instant::now() + interval;
                self.commit_offsets();
            }
            sleep(Duration::from_millis(1 + self.rng.below(8))).await;
        }
    }

    fn note(&self, what: &str) {
        self.world.note(format_args!("process {} (member {}) {what}", self.number, self.member));
    }

    fn take_over(&mut self, partition: i32, offset: i64) {
        self.note(&format!("takes over {partition} from {offset}"));
        self.rights.set(partition, true);
        let lane = self.left.remove(&partition);
        let spawn = || Lane::spawn(&Handle::current(), self.world.plan.lane, self.lanes.clone());
        let owned = Owned { lane: lane.unwrap_or_else(spawn), watermark: Arc::default(), held: VecDeque::new(), next: offset };
        self.owned.insert(partition, owned);
    }

    async fn give_up_all(&mut self, why: Why) {
        let all: Vec<i32> = self.owned.keys().copied().collect();
        self.give_up(&all, why).await;
    }

    /// When this returns, nothing here writes to the partitions' ledgers any more.
    async fn give_up(&mut self, partitions: &[i32], why: Why) {
        let given: Vec<(i32, Owned)> =
            partitions.iter().filter_map(|partition| Some((*partition, self.owned.remove(partition)?))).collect();
        let patience_ms = match why {
            Why::Lost => 0,
            Why::Asked => PATIENCE_MS,
            Why::Leaving if self.world.healed() => 60_000,
            Why::Leaving => PATIENCE_MS,
        };
        if self.world.bug != Some(Bug::SkippedDrain) {
            given.iter().for_each(|(_, owned)| owned.lane.close());
            let deadline = Instant::now() + Duration::from_millis(patience_ms);
            for (partition, owned) in &given {
                let drained = owned.lane.drain(deadline.saturating_duration_since(Instant::now())).await;
                self.note(&format!("gives {partition} up, {why:?}: {drained:?}"));
                if let Drained::Failed(error) = drained {
                    self.world.wrong(format!("a lane failed: {error}"));
                }
            }
        }
        for (partition, owned) in given {
            self.rights.set(partition, false);
            if let Some(offset) = self.reached(&owned).filter(|_| why != Why::Lost) {
                self.gate.pass().await;
                let delay_ms = self.commit_delay_ms(6);
                sleep(Duration::from_millis(delay_ms)).await;
                if !self.world.fault(self.world.plan.wire.uncommitted) {
                    self.world.commit_offset(self.member, partition, offset).await;
                }
            }
            self.gate.pass().await;
            self.world.group().release(self.member, partition);
            if self.world.bug == Some(Bug::SkippedDrain) {
                self.left.insert(partition, owned.lane);
            }
        }
    }

    /// The offset to commit.
    fn reached(&self, owned: &Owned) -> Option<i64> {
        if self.world.bug == Some(Bug::OffsetOfWhatWasRead) { Some(owned.next) } else { owned.watermark.reached() }
    }

    /// Sends what is not committed to be committed. It may get lost; the next time comes soon.
    fn commit_offsets(&mut self) {
        let mut news = Vec::new();
        for (partition, owned) in &self.owned {
            let Some(offset) = self.reached(owned).filter(|offset| *offset != self.world.group().committed(*partition)) else { continue };
            if self.world.fault(self.world.plan.wire.uncommitted) {
                continue;
            }
            news.push((*partition, offset));
        }
        for (partition, offset) in news {
            let (world, member) = (Arc::clone(&self.world), self.member);
            let arrival = async move { world.commit_offset(member, partition, offset).await };
            let delay_ms = self.commit_delay_ms(25);
            self.world.later(delay_ms, arrival);
        }
    }

    /// How long an offset commit is under way: none overtakes another.
    fn commit_delay_ms(&mut self, most_ms: u64) -> u64 {
        let now_ms = self.world.now_ms();
        self.arrives_ms = (self.arrives_ms + 1).max(now_ms + self.rng.below(most_ms));
        self.arrives_ms - now_ms
    }

    /// Reads a few records of each partition that has nothing held.
    fn read(&mut self) {
        while self.sending.try_join_next().is_some() {}
        let Self { world, owned, rng, .. } = self;
        let mut foreign = Vec::new();
        for (partition, owned) in owned.iter_mut() {
            if !owned.advance() {
                continue;
            }
            for _ in 0..1 + rng.below(6) {
                if world.fault(world.plan.wire.again) {
                    owned.next = (owned.next - rng.below(4).cast_signed()).max(0);
                }
                let Some(entry) = world.log().entry(*partition, owned.next).cloned() else { break };
                owned.next += 1;
                match work(world, &entry) {
                    Work::Fold(admission) => owned.hold(entry.position.offset, admission, world.bug),
                    Work::SendHome { home } => foreign.push((entry.begin(&owned.watermark), entry, home)),
                }
                // What is not handed on at once may be joined by what comes next.
                if rng.percent(50) && !owned.advance() {
                    break;
                }
            }
        }
        for (ack, entry, home) in foreign {
            self.send_home(entry, home, ack);
        }
    }

    /// Appends a record to its home partition until that is acknowledged, and only then is done with it here.
    fn send_home(&mut self, entry: Entry, home: i32, ack: OffsetAck) {
        let (world, gate) = (Arc::clone(&self.world), Arc::clone(&self.gate));
        let mut rng = Rng::new(self.rng.draw());
        self.sending.spawn(async move {
            let mut ack = Some(ack);
            loop {
                if world.bug == Some(Bug::DoneBeforeHome) {
                    ack.take().into_iter().for_each(OffsetAck::done);
                }
                gate.pass().await;
                sleep(Duration::from_millis(rng.below(10))).await;
                let arrives = !world.fault(world.plan.wire.lost);
                if arrives {
                    world.append(home, entry.payload.clone(), Some((entry.position.partition, entry.position.offset)));
                }
                sleep(Duration::from_millis(rng.below(10))).await;
                gate.pass().await;
                if arrives && !world.fault(world.plan.wire.unheard) {
                    return ack.into_iter().for_each(OffsetAck::done);
                }
            }
        });
    }
}

impl Owned {
    /// Keeps a record to be handed on, with the one before where they go together.
    fn hold(&mut self, offset: i64, admission: Admission, bug: Option<Bug>) {
        let joined = match self.held.back_mut() {
            Some(last) => last.join(offset, admission),
            None => Err(admission),
        };
        match (joined, self.held.back_mut()) {
            (Err(alone), _) => self.held.push_back(Item::of(alone, self.watermark.begin(offset))),
            (Ok(()), Some(piece)) if bug == Some(Bug::PieceByLast) => {
                std::mem::replace(&mut piece.ack, self.watermark.begin(offset)).done();
            }
            (Ok(()), _) => {}
        }
    }

    /// Hands on what is held, in order, as far as there is room; whether nothing is held any more.
    fn advance(&mut self) -> bool {
        while let Some(item) = self.held.pop_front() {
            if let Err(Rejected::Full(item) | Rejected::Closed(item)) = self.lane.try_submit(item) {
                self.held.push_front(item);
                return false;
            }
        }
        true
    }
}

/// What a record asks for.
enum Work {
    Fold(Admission),
    SendHome { home: i32 },
}

fn work(world: &World, entry: &Entry) -> Work {
    let report = wire::report::decode(&entry.payload).map_err(|error| Bad { detail: error.to_string(), payload: entry.payload.clone() });
    if let Ok(report) = &report {
        let home = world.log().home(&report.dpu);
        if home != entry.position.partition {
            return Work::SendHome { home };
        }
    }
    Work::Fold(admit(report, &entry.arrival(&entry.topic()), &world.plan.policy))
}
