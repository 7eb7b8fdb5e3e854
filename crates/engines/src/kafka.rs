//! Apache Kafka: 1 or 3 brokers, each a controller too.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::error::EngineError;
use crate::folder::Folder;
use crate::jars::{jars, java};
use crate::node::Node;
use crate::port::Port;

/// What a cluster of Kafka is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaOptions {
    /// 1 or 3. With 3, topics have three replicas by default, two of which must have a record.
    pub brokers: usize,
    /// Further lines of `server.properties`, which win over the usual ones.
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { brokers: 1, properties: BTreeMap::new() }
    }
}

/// Kafka's scripts, and the classes they start.
const SCRIPTS: [(&str, &str); 3] = [
    ("kafka-configs.sh", "kafka.admin.ConfigCommand"),
    ("kafka-consumer-groups.sh", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
    ("kafka-topics.sh", "org.apache.kafka.tools.TopicCommand"),
];

/// A running cluster of Kafka; gone when dropped.
#[derive(Debug)]
pub struct Kafka {
    // Dropped in this order: the brokers, then their data, then their ports.
    brokers: Vec<Node>,
    /// The command line up to the class.
    java: Vec<OsString>,
    data: Folder,
    _ports: Vec<Port>,
}

impl Kafka {
    /// Starts a cluster and waits until every broker is ready.
    ///
    /// # Errors
    /// Java or the jars are missing, or a broker does not get ready.
    pub fn start(options: &KafkaOptions) -> Result<Self, EngineError> {
        if ![1, 3].contains(&options.brokers) {
            return Err(EngineError::Size { what: "brokers", asked: options.brokers });
        }
        let java = [java()?.into_os_string(), "-Xms128m".into(), "-Xmx384m".into()];
        let mut classes = jars("kafka")?.into_os_string();
        classes.push("/*");
        let logging = "-Dorg.apache.logging.log4j.level=INFO".into();
        let java: Vec<OsString> = java.into_iter().chain([logging, "-cp".into(), classes]).collect();
        // 21 letters and digits and an A are an id as Kafka makes them: 16 bytes in base64.
        let data = Folder::new("headcount-kafka-", 21)?;
        let name = data.path().to_string_lossy().into_owned();
        let cluster_id = format!("{}A", name.get(name.len().saturating_sub(21)..).unwrap_or_default());
        let ports = (0..2 * options.brokers).map(|_| Port::free(1)).collect::<Result<Vec<_>, _>>()?;
        let pairs: Vec<(u16, u16)> = ports.as_chunks().0.iter().map(|[client, controller]| (client.number, controller.number)).collect();
        let mut brokers = Vec::new();
        for (node_id, &(port, _)) in (1..).zip(&pairs) {
            let folder = data.make(&format!("broker-{node_id}"))?;
            let file = folder.join("server.properties");
            let text = properties(node_id, &pairs, &folder, options);
            std::fs::write(&file, text).map_err(EngineError::doing("writing", &file))?;
            let what = format!("formatting the data folder of {}", file.display());
            let file_name = file.display().to_string();
            run(&java, &["kafka.tools.StorageTool", "format", "-t", &cluster_id, "-c", &file_name], what)?;
            let command = java.iter().cloned().chain(["kafka.Kafka".into(), file.into_os_string()]).collect();
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            brokers.push(Node::new(format!("Kafka's broker {node_id}"), address, command, folder.join("log"), "Kafka Server started"));
        }
        let kafka = Self { brokers, java, data, _ports: ports };
        kafka.brokers.iter().try_for_each(Node::launch)?;
        kafka.brokers.iter().try_for_each(Node::await_ready)?;
        Ok(kafka)
    }

    /// One broker for all tests of this process, started when first asked for; leave it running.
    ///
    /// # Errors
    /// As for [`Kafka::start`].
    pub fn shared() -> Result<&'static Self, &'static EngineError> {
        static SHARED: OnceLock<Result<Kafka, EngineError>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&KafkaOptions::default())).as_ref()
    }

    /// `host:port` of every broker, separated by commas.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.brokers.iter().map(|broker| broker.address().to_string()).collect::<Vec<_>>().join(",")
    }

    /// The brokers, by node id.
    #[must_use]
    pub fn brokers(&self) -> &[Node] {
        &self.brokers
    }

    /// The version the brokers say they are; they tell it to no client.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        self.brokers.first()?.word_after("Kafka version: ")
    }

    /// Runs a line with one of the scripts Kafka comes with, such as `kafka-topics.sh --bootstrap-server ... --list`, and
    /// returns what it said. Words are divided by spaces.
    ///
    /// # Errors
    /// There is no such script here, or it failed.
    pub fn script(&self, line: &str) -> Result<String, EngineError> {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let script = words.first().copied().unwrap_or_default();
        let Some((_, class)) = SCRIPTS.iter().find(|(name, _)| *name == script) else {
            return Err(EngineError::NoScript { script: script.to_owned() });
        };
        if let Some(first) = words.first_mut() {
            *first = class;
        }
        run(&self.java, &words, line.to_owned())
    }

    /// The folder with its data and logs.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }
}

/// `server.properties` of a broker, given every broker's (client port, controller port).
fn properties(node_id: usize, ports: &[(u16, u16)], folder: &Path, options: &KafkaOptions) -> String {
    let (port, controller) = ports.get(node_id - 1).copied().unwrap_or_default();
    let voters: Vec<String> = (1..).zip(ports).map(|(id, (_, port))| format!("{id}@127.0.0.1:{port}")).collect();
    let (replicas, min_replicas) = if ports.len() == 1 { ("1", "1") } else { ("3", "2") };
    let mut lines: BTreeMap<String, String> = [
        ("process.roles", "broker,controller"),
        ("node.id", &node_id.to_string()),
        ("controller.quorum.voters", &voters.join(",")),
        ("controller.listener.names", "CONTROLLER"),
        ("inter.broker.listener.name", "PLAINTEXT"),
        ("listeners", &format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")),
        ("advertised.listeners", &format!("PLAINTEXT://127.0.0.1:{port}")),
        ("log.dirs", &folder.join("data").display().to_string()),
        ("default.replication.factor", replicas),
        ("min.insync.replicas", min_replicas),
        ("offsets.topic.replication.factor", replicas),
        // 50 partitions of it take seconds to make.
        ("offsets.topic.num.partitions", "4"),
        ("transaction.state.log.replication.factor", replicas),
        ("transaction.state.log.min.isr", min_replicas),
        ("transaction.state.log.num.partitions", "4"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("auto.create.topics.enable", "false"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    lines.extend(options.properties.clone());
    lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

/// Runs a class to its end: what it said.
fn run(java: &[OsString], words: &[&str], what: String) -> Result<String, EngineError> {
    let Some((program, arguments)) = java.split_first() else { return Ok(String::new()) };
    // Too short a life for the optimising compiler to pay.
    let output = Command::new(program).arg("-XX:TieredStopAtLevel=1").args(arguments).args(words).output();
    let output = output.map_err(EngineError::doing("starting", Path::new(program)))?;
    let said = EngineError::unless_done(output, || what)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}
