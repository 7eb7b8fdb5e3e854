//! Topics as they must be: created where they are missing, refused where they are wrong.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;
use tokio::runtime::Handle;

use crate::config::{KafkaConfig, Wanted};
use crate::error::KafkaError;
use crate::topic::{Asking, PATIENCE, partitions, reach};

/// How often a new topic is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// What a topic must be set to, and why.
struct Must {
    name: &'static str,
    value: &'static str,
    why: &'static str,
}

const CROSSINGS: [Must; 3] = [
    Must {
        name: "message.timestamp.type",
        value: "LogAppendTime",
        why: "rows are stamped by the broker's clock, not by those of producers",
    },
    Must { name: "cleanup.policy", value: "delete", why: "compaction would drop all but the last record of each DPU" },
    Must { name: "unclean.leader.election.enable", value: "false", why: "crossings that were acknowledged could vanish" },
];
const COUNTERS: [Must; 1] =
    [Must { name: "cleanup.policy", value: "compact", why: "the latest counters of every DPU, and nothing else, must stay" }];

/// One look at the topics. Its methods block.
pub(crate) struct Setup<'a> {
    kafka: &'a KafkaConfig,
    wanted: Wanted,
    client: &'a BaseConsumer<Asking>,
    admin: AdminClient<DefaultClientContext>,
    runtime: &'a Handle,
}

impl<'a> Setup<'a> {
    pub(crate) fn new(
        kafka: &'a KafkaConfig,
        wanted: Wanted,
        client: &'a BaseConsumer<Asking>,
        runtime: &'a Handle,
    ) -> Result<Self, KafkaError> {
        let admin = kafka.producer(0)?.create().map_err(KafkaError::doing("making a Kafka client"))?;
        Ok(Self { kafka, wanted, client, admin, runtime })
    }

    /// Both topics.
    pub(crate) fn settle(&self) -> Result<(), KafkaError> {
        // Both are looked at before either is created: whoever is refused has changed nothing.
        let topics = [(self.kafka.topic.as_str(), &CROSSINGS[..]), (&self.kafka.counters_topic, &COUNTERS[..])];
        let mut missing = Vec::new();
        for (topic, musts) in topics {
            match partitions(self.client, topic)? {
                Some(found) => {
                    self.check_partitions(topic, found)?;
                    self.check_settings(topic, musts)?;
                }
                None => missing.push((topic, musts)),
            }
        }
        missing.into_iter().try_for_each(|(topic, musts)| self.create(topic, musts))
    }

    fn check_partitions(&self, topic: &str, found: u32) -> Result<(), KafkaError> {
        match self.wanted.partitions {
            Some(wanted) if wanted != found => {
                let bootstrap_servers = self.kafka.bootstrap_servers.clone();
                Err(KafkaError::UnwantedPartitions { topic: topic.to_owned(), wanted, found, bootstrap_servers })
            }
            _ => Ok(()),
        }
    }

    fn check_settings(&self, topic: &str, musts: &[Must]) -> Result<(), KafkaError> {
        let failed = KafkaError::doing("asking for a topic's configuration");
        let described =
            self.runtime.block_on(self.admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options())).map_err(&failed)?;
        let resource = described.into_iter().next().unwrap_or(Err(RDKafkaErrorCode::Fail));
        let resource = resource.map_err(|code| failed(ClientError::AdminOp(code)))?;
        for Must { name, value: wanted, why } in musts {
            let found = resource.get(name).and_then(|entry| entry.value.clone()).unwrap_or_else(|| "nothing".to_owned());
            if found != *wanted {
                let (topic, bootstrap_servers) = (topic.to_owned(), self.kafka.bootstrap_servers.clone());
                return Err(KafkaError::TopicSetting { topic, name, found, wanted, why, bootstrap_servers });
            }
        }
        Ok(())
    }

    fn create(&self, topic: &str, musts: &[Must]) -> Result<(), KafkaError> {
        let metadata = self.client.fetch_metadata(None, PATIENCE).map_err(KafkaError::doing("asking for the brokers"))?;
        let brokers = u16::try_from(metadata.brokers().len()).unwrap_or(u16::MAX);
        let partitions_wanted = self.wanted.partitions.unwrap_or(Wanted::PARTITIONS);
        let replicas = self.wanted.replicas.unwrap_or(brokers.clamp(1, 3));
        // With three replicas one may be gone, and a record is never in one place alone.
        let min_replicas = if replicas >= 3 { "2" } else { "1" };
        let (count, copies) = (i32::try_from(partitions_wanted).unwrap_or(i32::MAX), i32::from(replicas));
        let mut new = NewTopic::new(topic, count, TopicReplication::Fixed(copies)).set("min.insync.replicas", min_replicas);
        for must in musts {
            new = new.set(must.name, must.value);
        }
        let created = self.runtime.block_on(self.admin.create_topics([&new], &options()));
        let created = created.map(|topics| topics.into_iter().next().unwrap_or(Err((topic.to_owned(), RDKafkaErrorCode::Fail))));
        let reason = match created {
            // Another process may have been first.
            Ok(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
                tracing::info!(topic, partitions_wanted, replicas, "created a topic");
                return self.await_created(topic, musts);
            }
            Ok(Err((_, code))) => code.to_string(),
            Err(error) => error.to_string(),
        };
        let settings = musts.iter().map(|must| (must.name, must.value)).chain([("min.insync.replicas", min_replicas)]);
        Err(KafkaError::NotCreated {
            topic: topic.to_owned(),
            reason,
            bootstrap_servers: self.kafka.bootstrap_servers.clone(),
            partitions: partitions_wanted,
            replicas,
            configs: settings.map(|(name, value)| format!(" --config {name}={value}")).collect(),
        })
    }

    /// Waits until the brokers know of it, then looks at it like at any other: it may be of another's making.
    fn await_created(&self, topic: &str, musts: &[Must]) -> Result<(), KafkaError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let looked = match partitions(self.client, topic) {
                Ok(Some(found)) => self.check_partitions(topic, found).and_then(|()| self.check_settings(topic, musts)),
                Ok(None) => Err(KafkaError::doing("waiting for a new topic")(ClientError::MetadataFetch(RDKafkaErrorCode::UnknownTopic))),
                Err(error) => Err(error),
            };
            match looked {
                // Brokers learn of it one after the other.
                Err(KafkaError::Client { .. }) if Instant::now() < deadline => std::thread::sleep(LOOK),
                looked => return looked,
            }
        }
    }
}

/// Creates the topics that are missing and checks those that are there, as a consumer does at its start; for whoever
/// produces before anything was consumed.
///
/// # Errors
/// Kafka does not answer, or a topic cannot be created or is not as it must be.
pub async fn prepare_topics(kafka: &KafkaConfig, wanted: Wanted) -> Result<(), KafkaError> {
    let (kafka, runtime) = (kafka.clone(), Handle::current());
    let prepared = tokio::task::spawn_blocking(move || {
        let (client, _) = reach(&kafka, "headcount")?;
        Setup::new(&kafka, wanted, &client, &runtime)?.settle()
    });
    prepared.await.unwrap_or_else(|error| Err(KafkaError::Thread(error.to_string())))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}
