//! What a record asks for: to be folded here, or to be sent home.

use std::sync::Arc;

use ingest::{Admission, Arrival, Item, OffsetAck, admit};
use occupancy::id::DpuId;
use occupancy::ledger::Position;
use occupancy::time::UnixMs;
use rdkafka::message::{BorrowedMessage, Message};
use wire::Bad;
use wire::report::Decoder;

use crate::producer::{Deliveries, OnDelivery};
use crate::rebalance::{Group, Owned, fail};

/// What is to be done with records.
pub(crate) enum Work {
    /// Their DPUs live here, or they cannot be read: for the lane of this partition.
    Fold(Item<OffsetAck>),
    /// Its DPU lives in another partition.
    SendHome(Foreign),
}

/// A record away from home.
pub(crate) struct Foreign {
    pub(crate) dpu: DpuId,
    pub(crate) home: i32,
    pub(crate) payload: Vec<u8>,
    /// Acknowledges the record here once it is acknowledged there.
    pub(crate) delivery: Arc<Deliveries>,
}

/// What a record says, and where it belongs.
enum Read {
    Here(Admission),
    Elsewhere { dpu: DpuId, home: i32 },
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
    pub(crate) fn named(self, topic: &str) -> String {
        if self.epoch > 1 { format!("{topic}@{}", self.epoch) } else { topic.to_owned() }
    }
}

impl Group {
    /// Takes a record in: it is held until it is handed on.
    pub(crate) fn take(&self, decoder: &mut Decoder, message: &BorrowedMessage<'_>, owned: &mut Owned) {
        let (payload, offset) = (message.payload().unwrap_or_default(), message.offset());
        match self.read(decoder, message, payload) {
            Read::Here(admission) => {
                self.metrics.lanes.admitted(&admission);
                owned.hold(offset, admission);
            }
            Read::Elsewhere { dpu, home } => {
                let delivery = Deliveries::of(1, self.on_delivery(owned.watermark.begin(offset)));
                owned.held.push_back(Work::SendHome(Foreign { dpu, home, payload: payload.to_vec(), delivery }));
            }
        }
    }

    fn read(&self, decoder: &mut Decoder, message: &BorrowedMessage<'_>, payload: &[u8]) -> Read {
        let report = decoder.decode(payload).map_err(|error| Bad::new(error.to_string(), payload.to_vec()));
        let (partition, offset) = (message.partition(), message.offset());
        if let Ok(report) = &report {
            let home = self.log.home(&report.dpu);
            if home != partition {
                return Read::Elsewhere { dpu: report.dpu.clone(), home };
            }
        }
        // The broker's clock, or where the topic is trusted the producer's. A record without a time is far in the past.
        let appended_at = UnixMs::MIN.plus_ms(message.timestamp().to_millis().unwrap_or(0).saturating_sub(UnixMs::MIN.ms()));
        let position = Some(Position { epoch: self.log.epoch, partition, offset });
        let arrival = Arrival { appended_at, position, topic: &self.quarantine_topic, partition, offset };
        Read::Here(admit(report, &arrival, &self.config.policy))
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

impl Owned {
    /// Keeps what is admitted of a record, with the one before where they go together.
    fn hold(&mut self, offset: i64, admission: Admission) {
        let joined = match self.held.back_mut() {
            Some(Work::Fold(last)) => last.join(offset, admission),
            _ => Err(admission),
        };
        if let Err(alone) = joined {
            self.held.push_back(Work::Fold(Item::of(alone, self.watermark.begin(offset))));
        }
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
