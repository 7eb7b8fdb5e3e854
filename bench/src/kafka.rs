//! Topics, and what is produced to them.

use std::time::Duration;

use anyhow::Result;
use occupancy::crossing::{Direction, Key};
use occupancy::time::UnixMs;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use wire::Report;

use crate::fleet::Seen;

/// What topics are made with.
pub(crate) const PARTITIONS: i32 = 16;

/// Makes a topic for crossings.
pub(crate) async fn create_topic(brokers: &str, topic: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1)).set("message.timestamp.type", "LogAppendTime");
    for made in admin.create_topics([&new], &AdminOptions::new()).await? {
        made.map_err(|(topic, error)| anyhow::anyhow!("the topic {topic} cannot be made: {error}"))?;
    }
    Ok(())
}

/// A producer as firmware should have one.
pub(crate) fn producer(brokers: &str) -> Result<BaseProducer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("partitioner", "murmur2_random").set("acks", "all");
    Ok(config.set("enable.idempotence", "true").set("linger.ms", "5").create()?)
}

/// Produces a report; waits for room in the producer's queue.
pub(crate) fn send(producer: &BaseProducer, topic: &str, dpu: &str, crossings: impl IntoIterator<Item = Seen>) -> Result<()> {
    let key = |seen: Seen| {
        let direction = if seen.direction > 0 { Direction::Plus } else { Direction::Minus };
        anyhow::Ok(Ok(Key { at: UnixMs::new(seen.at_ms)?, boot: 1, seq: seen.seq as u64, direction }))
    };
    let crossings = crossings.into_iter().map(key).collect::<Result<_>>()?;
    let report = Report { dpu: dpu.parse()?, crossings, heartbeat: None, accept_clock: false };
    let payload = wire::report::encode(&report);
    let mut record = BaseRecord::to(topic).key(dpu).payload(&payload);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => record = back,
            Err((error, _)) => return Err(error.into()),
        }
        producer.poll(Duration::from_millis(10));
    }
}

/// Waits until Kafka has everything.
pub(crate) fn flush(producer: &BaseProducer) -> Result<()> {
    Ok(producer.flush(Duration::from_secs(60))?)
}
