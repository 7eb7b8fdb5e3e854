//! Where a group starts, and whether the log is the one the store's positions mean.

use std::collections::BTreeMap;
use std::time::Duration;

use store::{Settings, Store};
use tokio::runtime::Handle;

use crate::error::KafkaError;
use crate::topic::{Topic, known_cluster};

/// How often a first start is tried, when several consumers make it at once.
const ATTEMPTS: u32 = 20;
/// The pause between attempts.
const PAUSE: Duration = Duration::from_millis(250);
/// DPUs read at once.
const PAGE: usize = 1000;

/// Checks the log against what the store remembers, and makes the group's first start if there was none.
/// Returns the epoch. Blocks.
pub(crate) fn establish(topic: &Topic<'_>, names: Names<'_>, store: &dyn Store, runtime: &Handle) -> Result<u32, KafkaError> {
    let mut attempt = 1;
    loop {
        let known = runtime.block_on(store.settings())?;
        let settings = agreed(topic, names, &known)?;
        if known == settings {
            check_offsets(topic, names)?;
            check_positions(topic, settings.epoch, store, runtime)?;
            return Ok(settings.epoch);
        }
        // The offsets first: once the first start is remembered, a missing offset is an error.
        match if known.first_start_done { Ok(()) } else { first_offsets(topic) } {
            Ok(()) => {
                // False where another consumer was first: look again.
                runtime.block_on(store.put_settings(&known, &settings))?;
            }
            // Another consumer is in the group already, so it made the first start: look again.
            Err(error) if attempt >= ATTEMPTS => return Err(error),
            Err(error) => {
                tracing::info!(%error, attempt, "the group's first offsets were not committed");
                std::thread::sleep(PAUSE);
            }
        }
        attempt += 1;
    }
}

/// What errors name.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) topic: &'a str,
    pub(crate) group: &'a str,
}

/// The settings as they should be, where what the store knows does not contradict them.
fn agreed(topic: &Topic<'_>, names: Names<'_>, known: &Settings) -> Result<Settings, KafkaError> {
    if let Some(from) = &known.copying_from {
        return Err(KafkaError::UnfinishedCopy(from.clone()));
    }
    known_cluster(known, &topic.cluster_id)?;
    if let Some(stored) = known.partitions.filter(|stored| *stored != topic.partitions) {
        return Err(KafkaError::OtherPartitions { topic: names.topic.to_owned(), stored, found: topic.partitions });
    }
    let mut settings = known.clone();
    settings.cluster_id = Some(topic.cluster_id.clone());
    settings.partitions = Some(topic.partitions);
    settings.epoch = known.epoch.max(1);
    settings.first_start_done = true;
    Ok(settings)
}

/// Gives the group an offset in every partition where it has none: the first record there is.
fn first_offsets(topic: &Topic<'_>) -> Result<(), KafkaError> {
    let mut offsets = Vec::new();
    for (partition, committed) in topic.committed()? {
        if committed.is_none() {
            offsets.push((partition, topic.ends(partition)?.0));
        }
    }
    if offsets.is_empty() { Ok(()) } else { topic.commit(&offsets) }
}

/// Every partition has an offset, within the log.
fn check_offsets(topic: &Topic<'_>, names: Names<'_>) -> Result<(), KafkaError> {
    for (partition, committed) in topic.committed()? {
        let Some(seen) = committed else {
            return Err(KafkaError::NoOffset { group: names.group.to_owned(), partition: Some(partition) });
        };
        let (_, high) = topic.ends(partition)?;
        if seen > high {
            return Err(KafkaError::LogShorter { partition, high, seen });
        }
    }
    Ok(())
}

/// No ledger has seen a record beyond the end of the log.
fn check_positions(topic: &Topic<'_>, epoch: u32, store: &dyn Store, runtime: &Handle) -> Result<(), KafkaError> {
    let mut furthest: BTreeMap<i32, i64> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = runtime.block_on(store.dpus(after.as_ref(), PAGE))?;
        for position in page.iter().filter_map(|(_, counters)| counters.position).filter(|position| position.epoch == epoch) {
            let seen = furthest.entry(position.partition).or_insert(position.offset);
            *seen = position.offset.max(*seen);
        }
        match page.into_iter().next_back() {
            Some((dpu, _)) => after = Some(dpu),
            None => break,
        }
    }
    for (partition, seen) in furthest {
        // A partition that is gone was noticed by their number.
        let (_, high) = topic.ends(partition)?;
        if seen >= high {
            return Err(KafkaError::LogShorter { partition, high, seen });
        }
    }
    Ok(())
}
