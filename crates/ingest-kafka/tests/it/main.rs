//! The consumer group, the gateway and the producer on an in-process Kafka cluster.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod group;
#[cfg(test)]
mod intake;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod refusal;
