//! What a record asks for: to be folded here, or to be sent home.

use std::sync::Arc;

use ingest::{Admission, Arrival, Item, OffsetAck, admit};
use occupancy::id::DpuId;
use occupancy::ledger::Position;
use occupancy::time::UnixMs;
use rdkafka::message::{BorrowedMessage, Message};
use store::Source;
use wire::Bad;

use crate::producer::OnDelivery;
use crate::rebalance::{Group, fail};

/// What is to be done with one record.
pub(crate) enum Work {
    /// Its DPU lives here, or it cannot be read: for the lane of this partition.
    Fold(Item<OffsetAck>),
    /// Its DPU lives in another partition.
    SendHome {
        dpu: DpuId,
        home: i32,
        payload: Vec<u8>,
        /// Acknowledges the record here once it is acknowledged there.
        on_delivery: OnDelivery,
    },
}

/// The log as far as a record's place in it matters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log {
    pub(crate) epoch: u32,
    pub(crate) partitions: u32,
}

impl Log {
    /// The only partition in which a DPU is folded.
    pub(crate) fn home(self, dpu: &DpuId) -> i32 {
        i32::try_from(dpu.murmur2() % self.partitions.max(1)).unwrap_or(i32::MAX)
    }

    /// What a topic is called in quarantine: offsets come again in a later epoch, and no topic's name holds an `@`.
    fn named(self, topic: &str) -> String {
        if self.epoch > 1 { format!("{topic}@{}", self.epoch) } else { topic.to_owned() }
    }
}

impl Group {
    /// Reads a record.
    pub(crate) fn read(&self, message: &BorrowedMessage<'_>, ack: OffsetAck) -> Work {
        let payload = message.payload().unwrap_or_default();
        let report = wire::report::decode(payload).map_err(|error| Bad::new(error.to_string(), payload.to_vec()));
        let partition = message.partition();
        if let Ok(report) = &report {
            let home = self.log.home(&report.dpu);
            if home != partition {
                return Work::SendHome { dpu: report.dpu.clone(), home, payload: payload.to_vec(), on_delivery: self.on_delivery(ack) };
            }
        }
        let offset = message.offset();
        // The broker's clock, or where the topic is trusted the producer's. A record without a time is far in the past.
        let appended_at = UnixMs::MIN.plus_ms(message.timestamp().to_millis().unwrap_or(0).saturating_sub(UnixMs::MIN.ms()));
        let position = Some(Position { epoch: self.log.epoch, partition, offset });
        let source = Source { topic: self.log.named(message.topic()), partition, offset, index: 0 };
        let admission = admit(report, &Arrival { appended_at, position, source }, &self.config.policy);
        self.metrics.lanes.admitted(&admission);
        let Admission { record, quarantine, ignored_heartbeat: _ } = admission;
        Work::Fold(Item { records: record.into_iter().collect(), quarantine, ack })
    }

    /// A record sent home is done with here once it is acknowledged there.
    fn on_delivery(&self, ack: OffsetAck) -> OnDelivery {
        let status = Arc::clone(&self.status);
        Box::new(move |delivered| match delivered {
            Ok(()) => ack.done(),
            Err(error) => fail(&status, error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_epoch_quarantines_never_takes_the_place_of_older_rows() {
        let named = |epoch| Log { epoch, partitions: 1 }.named("doors");
        assert_eq!([named(1), named(2), named(10)], ["doors", "doors@2", "doors@10"]);
    }
}
