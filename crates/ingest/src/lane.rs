//! A lane: the one owner of its DPUs' ledgers. It commits as soon as the previous commit is done, so batches grow with
//! load by themselves. A batch that is full sooner is regrouped meanwhile; it is folded only upon what is durable.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntGauge;
use store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use crate::access::{Access, Shared};
use crate::batch::{self, Batch};
use crate::item::{Ack, Item};
use crate::known::Known;

/// The longest queue, in records.
const MOST_RECORDS: usize = 1 << 24;

/// Limits of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneConfig {
    /// How many records may wait.
    pub queue_records: usize,
    /// How many records go into one commit at most; an item with more is committed alone.
    pub batch_records: usize,
    /// How many crossings go into one commit at most; an item with more is committed alone.
    pub batch_crossings: usize,
}

impl Default for LaneConfig {
    fn default() -> Self {
        // A request holds up to 10,000 records: two of the largest make a commit, and some more wait.
        Self { queue_records: 65_536, batch_records: 20_000, batch_crossings: 20_000 }
    }
}

/// A running lane. Dropping it abandons what is queued.
#[derive(Debug)]
pub struct Lane<A> {
    queue: mpsc::Sender<Queued<A>>,
    room: Arc<Room>,
    close: watch::Sender<bool>,
    state: watch::Receiver<State>,
    trouble: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
}

/// An item that was not queued.
#[derive(Debug)]
pub enum Rejected<A> {
    /// The queue is full: try again later.
    Full(Item<A>),
    /// The lane was drained or has failed.
    Closed(Item<A>),
}

/// How a lane ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drained {
    /// All that was queued is durable and acknowledged.
    Finished,
    /// Patience ran out: acks were dropped.
    Abandoned,
    /// The store is corrupt: acks were dropped.
    Failed(StoreError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Running,
    Finished,
    Failed(StoreError),
}

#[derive(Debug)]
struct Queued<A> {
    weighed: Weighed<A>,
    place: Place,
}

/// An item, weighed once.
#[derive(Debug)]
struct Weighed<A> {
    item: Item<A>,
    weight: usize,
    crossings: usize,
}

impl<A> From<Item<A>> for Weighed<A> {
    fn from(item: Item<A>) -> Self {
        let (weight, crossings) = item.weigh();
        Self { item, weight, crossings }
    }
}

/// How much of a queue is taken, in records, for the lane and for the gauge of all lanes.
#[derive(Debug)]
struct Room {
    records: usize,
    free: Arc<Semaphore>,
    queued_records: IntGauge,
}

/// An item's place in a queue, free again however it leaves.
#[derive(Debug)]
struct Place {
    permit: OwnedSemaphorePermit,
    queued_records: IntGauge,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queued_records.sub(self.permit.num_permits() as i64);
    }
}

impl Room {
    fn new(records: usize, queued_records: IntGauge) -> Self {
        let records = records.clamp(1, MOST_RECORDS);
        Self { records, free: Arc::new(Semaphore::new(records)), queued_records }
    }

    /// What an item takes; for more than there will ever be, all of it.
    fn wanted<A>(&self, item: &Weighed<A>) -> u32 {
        u32::try_from(item.weight.min(self.records)).unwrap_or(u32::MAX)
    }

    fn place(&self, permit: OwnedSemaphorePermit) -> Place {
        self.queued_records.add(permit.num_permits() as i64);
        Place { permit, queued_records: self.queued_records.clone() }
    }

    fn taken(&self) -> usize {
        self.records - self.free.available_permits()
    }
}

impl<A: Ack> Lane<A> {
    /// Starts a lane on `runtime`.
    #[must_use]
    pub fn spawn(runtime: &tokio::runtime::Handle, config: LaneConfig, shared: Shared) -> Self {
        let room = Arc::new(Room::new(config.queue_records, shared.metrics.queued_items.clone()));
        // Each item holds a place: there is always room for it in the channel.
        let (queue, items) = mpsc::channel(room.records);
        let (close, closed) = watch::channel(false);
        let (report, state) = watch::channel(State::Running);
        let (trouble, troubles) = watch::channel(None);
        let access = Access { shared, trouble: Arc::new(trouble) };
        let worker = Worker { items, room: Arc::clone(&room), closed, waiting: VecDeque::new(), known: Known::default(), config, access };
        let task = runtime.spawn(async move {
            let end = match worker.run().await {
                Ok(()) => State::Finished,
                Err(error) => {
                    tracing::error!(%error, "a lane stopped");
                    State::Failed(error)
                }
            };
            report.send_replace(end);
        });
        Self { queue, room, close, state, trouble: troubles, task }
    }

    /// Queues an item, if there is room.
    ///
    /// # Errors
    /// The item comes back, with the reason.
    pub fn try_submit(&self, item: Item<A>) -> Result<(), Rejected<A>> {
        let weighed = Weighed::from(item);
        match Arc::clone(&self.room.free).try_acquire_many_owned(self.room.wanted(&weighed)) {
            Ok(permit) => self.send(weighed, permit).map_err(Rejected::Closed),
            Err(_) if self.queue.is_closed() => Err(Rejected::Closed(weighed.item)),
            Err(_) => Err(Rejected::Full(weighed.item)),
        }
    }

    /// Queues an item, waiting for room.
    ///
    /// # Errors
    /// The item comes back when the lane was drained or has failed.
    pub async fn submit(&self, item: Item<A>) -> Result<(), Item<A>> {
        let weighed = Weighed::from(item);
        match Arc::clone(&self.room.free).acquire_many_owned(self.room.wanted(&weighed)).await {
            Ok(permit) => self.send(weighed, permit),
            // Never, as it is never closed: what an ended lane held is free.
            Err(_closed) => Err(weighed.item),
        }
    }

    /// Queues an item that has a place.
    fn send(&self, weighed: Weighed<A>, permit: OwnedSemaphorePermit) -> Result<(), Item<A>> {
        let queued = Queued { weighed, place: self.room.place(permit) };
        self.queue.try_send(queued).map_err(|refused| refused.into_inner().weighed.item)
    }

    /// How many records wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.room.taken()
    }

    /// Why the lane stopped by itself, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<StoreError> {
        match &*self.state.borrow() {
            State::Failed(error) => Some(error.clone()),
            State::Running | State::Finished => None,
        }
    }

    /// Why the store or the feed is being asked again and again just now, if it is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// Completes when the store takes nothing more before a new start; never while it does.
    pub fn halted(&self) -> impl Future<Output = StoreError> + Send + 'static {
        let mut state = self.state.clone();
        async move {
            let halted = state.wait_for(|state| matches!(state, State::Failed(StoreError::Halted(_)))).await;
            let error = halted.ok().and_then(|state| if let State::Failed(error) = &*state { Some(error.clone()) } else { None });
            match error {
                Some(error) => error,
                None => std::future::pending().await,
            }
        }
    }

    /// Takes no more items; what is queued is still committed.
    pub fn close(&self) {
        self.close.send_replace(true);
    }

    /// Takes no more items, and finishes what is queued; abandons what is left when patience runs out.
    /// When this returns the lane has ended.
    pub async fn drain(&self, patience: Duration) -> Drained {
        self.close();
        let mut state = self.state.clone();
        let ended = tokio::time::timeout(patience, state.wait_for(|state| *state != State::Running)).await.is_ok();
        if !ended {
            self.task.abort();
            // The state's sender goes with the task: this waits until the task is gone.
            let _ = state.wait_for(|state| *state != State::Running).await;
        }
        match &*state.borrow() {
            State::Running => Drained::Abandoned,
            State::Finished => Drained::Finished,
            State::Failed(error) => Drained::Failed(error.clone()),
        }
    }
}

impl<A> Drop for Lane<A> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Worker<A> {
    items: mpsc::Receiver<Queued<A>>,
    room: Arc<Room>,
    closed: watch::Receiver<bool>,
    /// Received, not yet in a batch.
    waiting: VecDeque<Queued<A>>,
    known: Known,
    config: LaneConfig,
    access: Access,
}

/// A batch that is not under way yet; until it is, its items keep their places in the queue.
struct Gathered<A> {
    batch: Batch<A>,
    crossings: usize,
    places: Vec<Place>,
}

impl<A: Ack> Worker<A> {
    async fn run(mut self) -> Result<(), StoreError> {
        let access = self.access.clone();
        let mut ahead = None;
        while ahead.is_some() || self.receive().await {
            let _room = access.shared.room(self.room.taken().min(self.batch_records())).await;
            let Gathered { batch, crossings, places } = ahead.take().unwrap_or_else(|| {
                self.pull();
                self.gather()
            });
            drop(places);
            access.shared.metrics.batch_crossings.observe(crossings as f64);
            let folded = batch.fold(&mut self.known, &access).await?;
            // In this order: the write begins, then the next batch is gathered, if it is full; else it may still grow.
            let next = async { (self.pull() >= self.batch_records()).then(|| self.gather()) };
            let (written, next) = tokio::join!(biased; batch::write(&folded.commit, &access), next);
            written?;
            folded.done(&mut self.known, &access).await;
            ahead = next;
        }
        Ok(())
    }

    /// Waits until there is something to do; false when there will be nothing more.
    async fn receive(&mut self) -> bool {
        if self.waiting.is_empty() {
            let closing = async { self.closed.wait_for(|closed| *closed).await.is_ok() };
            // In this order, so that the simulation runs the same way each time.
            let first = tokio::select! {
                biased;
                true = closing => {
                    self.items.close();
                    self.items.recv().await
                }
                first = self.items.recv() => first,
            };
            self.waiting.extend(first);
        }
        // Those who are about to queue something go first: under load a commit then holds more, and costs no more.
        tokio::task::yield_now().await;
        !self.waiting.is_empty()
    }

    /// Takes what has been queued by now, as much as a batch holds; how many records wait then.
    fn pull(&mut self) -> usize {
        if *self.closed.borrow() {
            // However fast items come: what is queued is still received, nothing joins it.
            self.items.close();
        }
        let mut records: usize = self.waiting.iter().map(|queued| queued.weighed.weight).sum();
        while records < self.batch_records()
            && let Ok(queued) = self.items.try_recv()
        {
            records += queued.weighed.weight;
            self.waiting.push_back(queued);
        }
        records
    }

    /// The next batch of what waits.
    fn gather(&mut self) -> Gathered<A> {
        let (items, records, crossings) = self.batch();
        let mut places = Vec::with_capacity(items);
        let items = self.waiting.drain(..items).map(|Queued { weighed, place }| {
            places.push(place);
            weighed.item
        });
        let batch = Batch::new(items, records, &mut self.known);
        Gathered { batch, crossings, places }
    }

    fn batch_records(&self) -> usize {
        self.config.batch_records.max(1)
    }

    /// How many of the waiting items make the next batch, at least one, and their records and crossings.
    fn batch(&self) -> (usize, usize, usize) {
        let (mut items, mut records, mut crossings) = (0, 0, 0);
        for &Queued { weighed: Weighed { weight, crossings: more, .. }, .. } in &self.waiting {
            if items > 0 && (records + weight > self.batch_records() || crossings + more > self.config.batch_crossings) {
                break;
            }
            (items, records, crossings) = (items + 1, records + weight, crossings + more);
        }
        (items, records, crossings)
    }
}
