//! The log: partitions of records with offsets and append times; created anew, it begins another epoch.

use ingest::{Arrival, OffsetAck, Watermark};
use occupancy::id::DpuId;
use occupancy::ledger::Position;
use occupancy::time::UnixMs;
use store::Source;

/// A record, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) position: Position,
    pub(crate) appended_at: UnixMs,
    pub(crate) payload: Vec<u8>,
    /// The partition and offset of the record it was sent home from.
    pub(crate) copy_of: Option<(i32, i64)>,
}

impl Entry {
    /// The topic of an epoch has its own name: quarantined input is known by topic, partition and offset alone.
    pub(crate) fn topic(&self) -> String {
        format!("crossings-{}", self.position.epoch)
    }

    pub(crate) fn source(&self) -> Source {
        let Position { partition, offset, .. } = self.position;
        Source { topic: self.topic(), partition, offset, index: 0 }
    }

    pub(crate) fn arrival<'a>(&self, topic: &'a str) -> Arrival<'a> {
        let Position { partition, offset, .. } = self.position;
        Arrival { appended_at: self.appended_at, position: Some(self.position), topic, partition, offset }
    }

    pub(crate) fn begin(&self, watermark: &std::sync::Arc<Watermark>) -> OffsetAck {
        watermark.begin(self.position.offset)
    }
}

/// All epochs of the log; the last one is written and read.
#[derive(Debug, Default)]
pub(crate) struct Log {
    epochs: Vec<Vec<Vec<Entry>>>,
}

impl Log {
    /// Begins an epoch with so many partitions.
    pub(crate) fn create(&mut self, partitions: u32) {
        self.epochs.push((0..partitions.max(1)).map(|_| Vec::new()).collect());
    }

    pub(crate) fn epoch(&self) -> u32 {
        u32::try_from(self.epochs.len()).unwrap_or(u32::MAX)
    }

    fn current(&self) -> &[Vec<Entry>] {
        self.epochs.last().map_or(&[], Vec::as_slice)
    }

    pub(crate) fn partitions(&self) -> i32 {
        i32::try_from(self.current().len()).unwrap_or(i32::MAX)
    }

    /// The only partition in which a DPU is folded.
    pub(crate) fn home(&self, dpu: &DpuId) -> i32 {
        home(dpu, self.current())
    }

    /// Appends a record; its offset.
    pub(crate) fn append(&mut self, partition: i32, appended_at: UnixMs, payload: Vec<u8>, copy_of: Option<(i32, i64)>) -> i64 {
        let epoch = self.epoch();
        let Some(entries) = index(partition).and_then(|index| self.epochs.last_mut()?.get_mut(index)) else { return -1 };
        let offset = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        entries.push(Entry { position: Position { epoch, partition, offset }, appended_at, payload, copy_of });
        offset
    }

    pub(crate) fn entries(&self, partition: i32) -> &[Entry] {
        index(partition).and_then(|index| self.current().get(index)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn entry(&self, partition: i32, offset: i64) -> Option<&Entry> {
        self.entries(partition).get(usize::try_from(offset).ok()?)
    }

    /// The offset after the last record.
    pub(crate) fn end(&self, partition: i32) -> i64 {
        i64::try_from(self.entries(partition).len()).unwrap_or(i64::MAX)
    }

    /// Every record of every epoch, in log order within a partition.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.epochs.iter().flatten().flatten()
    }

    /// Whether a record stands in the home partition a DPU had in that epoch.
    pub(crate) fn is_home(&self, dpu: &DpuId, position: Position) -> bool {
        let epoch = usize::try_from(position.epoch).ok().and_then(|epoch| self.epochs.get(epoch.checked_sub(1)?));
        epoch.is_some_and(|partitions| home(dpu, partitions) == position.partition)
    }
}

fn home(dpu: &DpuId, partitions: &[Vec<Entry>]) -> i32 {
    let count = u32::try_from(partitions.len()).unwrap_or(u32::MAX).max(1);
    i32::try_from(dpu.murmur2() % count).unwrap_or(i32::MAX)
}

fn index(partition: i32) -> Option<usize> {
    usize::try_from(partition).ok()
}
