//! The limit of what is seen soon: when a bare consumer of the same topic hears of the same crossings, at the same time.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{LOOK, PATIENCE, Path};
use crate::figure::Latencies;
use crate::kafka::PARTITIONS;

/// How long it waits for a record before it looks whether it is still wanted.
const IDLE: Duration = Duration::from_millis(50);

/// A consumer that does nothing but listen.
pub(super) struct Heard {
    /// Who waits, and how long those took that came.
    state: Arc<Mutex<State>>,
    done: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

#[derive(Default)]
struct State {
    /// Since when somebody waits, by the record's key; those of a key come in order.
    awaited: HashMap<String, VecDeque<Instant>>,
    each: Latencies,
}

impl Heard {
    /// Listens to what is produced from now on.
    pub(super) fn start(path: &Path<'_>) -> Result<Self> {
        let consumer: BaseConsumer = super::consumer(&path.engines.brokers, &format!("{}.heard", path.topic)).create()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            // Not `Offset::End`, which is where it ends once it is asked for: what is produced meanwhile would be missed.
            let (_, end) = consumer.fetch_watermarks(&path.topic, partition, PATIENCE)?;
            list.add_partition_offset(&path.topic, partition, Offset::Offset(end))?;
        }
        consumer.assign(&list)?;
        let (state, done) = (Arc::new(Mutex::new(State::default())), Arc::new(AtomicBool::new(false)));
        let (told, stop) = (state.clone(), done.clone());
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let Some(message) = consumer.poll(IDLE).transpose()? else { continue };
                let key = String::from_utf8_lossy(message.key().unwrap_or_default());
                let State { awaited, each } = &mut *told.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(since) = awaited.get_mut(&*key).and_then(VecDeque::pop_front) {
                    each.push(since.elapsed());
                }
            }
            Ok(())
        });
        Ok(Self { state, done, thread })
    }

    /// Waits for the next record with a key, as of an instant.
    pub(super) fn listen(&self, key: String, since: Instant) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).awaited.entry(key).or_default().push_back(since);
    }

    /// How long each of so many took since the last time this was asked, once all were heard of.
    pub(super) async fn each(&self, crossings: usize) -> Result<Latencies> {
        let begun = Instant::now();
        loop {
            let heard = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.each.len() == crossings {
                    return Ok(std::mem::take(&mut state.each));
                }
                state.each.len()
            };
            if begun.elapsed() > PATIENCE {
                bail!("a bare consumer heard of {heard} of {crossings} crossings in {PATIENCE:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) fn stop(self) -> Result<()> {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("it panicked")).and_then(|done| done).context("the bare consumer failed")
    }
}
