//! The consumer group, the gateway and the producer, on an in-process cluster and on real Kafka.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod follower;
#[cfg(test)]
mod given_up;
#[cfg(test)]
mod group;
#[cfg(test)]
mod intake;
#[cfg(test)]
mod lag;
#[cfg(test)]
mod membership;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod refusal;
#[cfg(test)]
mod secured;
#[cfg(test)]
mod topics;
