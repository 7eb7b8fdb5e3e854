//! Where the partitions of a topic end, asked again and again beside whoever reads them.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaErrorCode;

use crate::config::KafkaConfig;
use crate::error::KafkaError;
use crate::topic::{Asking, PATIENCE, partitions, reach};

/// How often it is asked.
const LOOK: Duration = Duration::from_millis(500);

/// Where each partition ended at an instant, or later.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) as_of: Instant,
    /// By partition: after the last record.
    pub(crate) offsets: Vec<i64>,
}

/// Asks on connections of its own: on a reader's, an answer waits until there is something to read. Its methods block.
pub(crate) struct Marks {
    client: BaseConsumer<Asking>,
    topic: String,
}

impl Marks {
    pub(crate) fn new(kafka: &KafkaConfig, group: &str, topic: &str) -> Result<Self, KafkaError> {
        let (client, _) = reach(kafka, group)?;
        Ok(Self { client, topic: topic.to_owned() })
    }

    /// Where the partitions end now; none where there is no such topic.
    pub(crate) fn ends(&self) -> Result<Ends, KafkaError> {
        let as_of = Instant::now();
        let failed = KafkaError::doing("asking where the partitions end");
        let mut asked = TopicPartitionList::new();
        for partition in 0..partitions(&self.client, &self.topic)?.unwrap_or(0) {
            let partition = i32::try_from(partition).unwrap_or(i32::MAX);
            // The time after all records.
            asked.add_partition_offset(&self.topic, partition, Offset::End).map_err(&failed)?;
        }
        if asked.count() == 0 {
            return Ok(Ends { as_of, offsets: Vec::new() });
        }
        let found = self.client.offsets_for_times(asked, PATIENCE).map_err(&failed)?;
        let mut offsets = Vec::with_capacity(found.count());
        for element in found.elements() {
            element.error().map_err(&failed)?;
            let Offset::Offset(offset) = element.offset() else { return Err(failed(ClientError::OffsetFetch(RDKafkaErrorCode::NoOffset))) };
            offsets.push(offset);
        }
        Ok(Ends { as_of, offsets })
    }

    /// Goes on asking, on a thread of its own, until what it returns is dropped.
    pub(crate) fn watch(self) -> Result<Watch, KafkaError> {
        // One look at a time: the next is taken once somebody has seen the last.
        let (tell, looks) = sync_channel(0);
        let (wanted, dropped) = sync_channel(0);
        let thread = std::thread::Builder::new().name("kafka-marks".to_owned()).spawn(move || self.look(&tell, &dropped));
        thread.map_err(|error| KafkaError::Thread(error.to_string()))?;
        Ok(Watch { looks, _wanted: wanted })
    }

    fn look(&self, tell: &SyncSender<Ends>, dropped: &Receiver<()>) {
        while dropped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            match self.ends() {
                Ok(ends) => {
                    if tell.send(ends).is_err() {
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, "it is not known where the changelog ends"),
            }
        }
    }
}

/// What is found, look by look.
pub(crate) struct Watch {
    looks: Receiver<Ends>,
    _wanted: SyncSender<()>,
}

impl Watch {
    /// The latest look, if there was one since the last.
    pub(crate) fn seen(&self) -> Option<Ends> {
        self.looks.try_recv().ok()
    }
}
