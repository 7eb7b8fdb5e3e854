//! An in-process Kafka for the demo: the real protocol on a loopback port, nothing kept when it ends.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use rdkafka::mocking::MockCluster;

/// A running in-process cluster; it ends when dropped.
pub(crate) struct Mock {
    /// Where it listens.
    pub(crate) brokers: String,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Mock {
    /// Starts one broker with one topic. The cluster cannot leave its thread, so it gets one of its own.
    pub(crate) fn start(topic: &str, partitions: i32) -> Result<Self> {
        let topic = topic.to_owned();
        let (started, told) = sync_channel(1);
        let (stop, stopped) = sync_channel::<()>(1);
        let thread = std::thread::Builder::new().name("mock-kafka".to_owned()).spawn(move || {
            let cluster = MockCluster::new(1).and_then(|cluster| cluster.create_topic(&topic, partitions, 1).map(|()| cluster));
            let answer = cluster.as_ref().map(MockCluster::bootstrap_servers).map_err(ToString::to_string);
            let _ = started.send(answer);
            let _ = stopped.recv();
            drop(cluster);
        })?;
        let brokers = told
            .recv()
            .context("the in-process Kafka did not start")?
            .map_err(|error| anyhow!("the in-process Kafka did not start: {error}"))?;
        Ok(Self { brokers, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
