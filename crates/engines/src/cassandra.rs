//! Apache Cassandra: 1 node, or 3 on 127.0.0.1 to 127.0.0.3.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::OnceLock;

use crate::error::EngineError;
use crate::folder::Folder;
use crate::jars::{jars, java};
use crate::node::Node;
use crate::port::Port;

/// What a cluster of Cassandra is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CassandraOptions {
    /// 1 or 3.
    pub nodes: usize,
    /// Further lines of `cassandra.yaml` as key and value, which win over the usual ones.
    pub settings: BTreeMap<String, String>,
}

impl Default for CassandraOptions {
    fn default() -> Self {
        Self { nodes: 1, settings: BTreeMap::new() }
    }
}

/// A running cluster of Cassandra; gone when dropped.
#[derive(Debug)]
pub struct Cassandra {
    // Dropped in this order: the nodes, then their data, then their ports.
    nodes: Vec<Node>,
    data: Folder,
    _ports: [Port; 2],
}

impl Cassandra {
    /// Starts a cluster and waits until every node is ready and knows the others.
    ///
    /// # Errors
    /// Java or the jars are missing, or a node does not get ready.
    pub fn start(options: &CassandraOptions) -> Result<Self, EngineError> {
        let count = match options.nodes {
            1 => 1,
            3 => 3,
            asked => return Err(EngineError::Size { what: "nodes", asked }),
        };
        let (java, libraries) = (java()?, jars("cassandra")?);
        let data = Folder::new("headcount-cassandra-", 12)?;
        let ports = [Port::free(count)?, Port::free(count)?];
        let mut nodes = Vec::new();
        for last in 1..=count {
            let address = Ipv4Addr::new(127, 0, 0, last);
            let folder = data.make(&format!("node-{last}"))?;
            let file = folder.join("cassandra.yaml");
            let text = yaml(address, count, &ports, &folder, options);
            for (file, text) in [(&file, text.as_str()), (&folder.join("logback.xml"), LOGBACK)] {
                std::fs::write(file, text).map_err(EngineError::doing("writing", file))?;
            }
            let command = command_line(&java, &libraries, &folder, &file);
            let client = SocketAddr::new(IpAddr::V4(address), ports[0].number);
            nodes.push(Node::new(format!("Cassandra's node {address}"), client, command, folder.join("log"), "Startup complete"));
        }
        let storage = ports[1].number;
        let cassandra = Self { nodes, data, _ports: ports };
        // The first makes the system's tables, then the others join it.
        let (first, others) = cassandra.nodes.split_at(1);
        for group in [first, others] {
            group.iter().try_for_each(Node::launch)?;
            group.iter().try_for_each(Node::await_ready)?;
        }
        for node in &cassandra.nodes {
            for other in cassandra.nodes.iter().filter(|other| other.address() != node.address()) {
                node.await_line(&format!("/{}:{} is now UP", other.address().ip(), storage))?;
            }
        }
        Ok(cassandra)
    }

    /// One node for all tests of this process, started when first asked for; leave it running.
    ///
    /// # Errors
    /// As for [`Cassandra::start`].
    pub fn shared() -> Result<&'static Self, &'static EngineError> {
        static SHARED: OnceLock<Result<Cassandra, EngineError>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&CassandraOptions::default())).as_ref()
    }

    /// `host:port` of every node.
    #[must_use]
    pub fn contact_points(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address().to_string()).collect()
    }

    /// The nodes, by address.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The folder with its data and logs.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }
}

/// `cassandra.yaml` of a node.
fn yaml(address: Ipv4Addr, count: u8, [native, storage]: &[Port; 2], folder: &Path, options: &CassandraOptions) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    // Spread evenly over 2^64.
    let token = i128::from(i64::MIN) + 1 + i128::from(address.octets()[3] - 1) * (1_i128 << 64) / i128::from(count);
    // All of them: only a seed starts where no other answers at once, be it that the others are gone.
    let seeds: Vec<String> = (1..=count).map(|last| format!("127.0.0.{last}:{}", storage.number)).collect();
    let provider = "class_name: org.apache.cassandra.locator.SimpleSeedProvider";
    let seeds = format!("[{{{provider}, parameters: [{{seeds: \"{}\"}}]}}]", seeds.join(","));
    let mut lines: BTreeMap<String, String> = [
        ("cluster_name", "headcount"),
        ("num_tokens", "1"),
        ("initial_token", &format!("\"{token}\"")),
        ("partitioner", "org.apache.cassandra.dht.Murmur3Partitioner"),
        ("data_file_directories", &format!("[{}]", path("data"))),
        ("commitlog_directory", &path("commitlog")),
        ("saved_caches_directory", &path("saved_caches")),
        ("hints_directory", &path("hints")),
        ("cdc_raw_directory", &path("cdc_raw")),
        // A write is answered once it is on the disk, so that kill -9 loses none.
        ("commitlog_sync", "batch"),
        ("endpoint_snitch", "SimpleSnitch"),
        ("seed_provider", &seeds),
        ("listen_address", &address.to_string()),
        ("rpc_address", &address.to_string()),
        ("storage_port", &storage.number.to_string()),
        ("native_transport_port", &native.number.to_string()),
        ("start_native_transport", "true"),
        ("authenticator", "AllowAllAuthenticator"),
        ("authorizer", "AllowAllAuthorizer"),
        ("auto_bootstrap", "false"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    lines.extend(options.settings.clone());
    lines.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

const LOGBACK: &str = r#"<configuration>
  <appender name="log" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%d{HH:mm:ss.SSS} %-5level %msg%n</pattern></encoder></appender>
  <root level="INFO"><appender-ref ref="log"/></root>
</configuration>
"#;

/// What Cassandra reaches into, as its own start script lets it.
const EXPORTS: [&str; 10] = [
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport",
    "java.rmi/sun.rmi.transport.tcp",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
];
const OPENS: [&str; 16] = [
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
];

fn command_line(java: &Path, libraries: &Path, folder: &Path, yaml: &Path) -> Vec<OsString> {
    let (libraries, folder) = (libraries.display(), folder.display());
    let open = |kind: &'static str| move |package: &&str| OsString::from(format!("--add-{kind}={package}=ALL-UNNAMED"));
    let mut line = vec![java.into(), "-Xms512m".into(), "-Xmx1g".into()];
    line.extend(EXPORTS.iter().map(open("exports")));
    line.extend(OPENS.iter().map(open("opens")));
    line.extend(
        [
            format!("-javaagent:{libraries}/jamm-0.4.0.jar"),
            "-Djdk.attach.allowAttachSelf=true".to_owned(),
            format!("-Dcassandra.config=file://{}", yaml.display()),
            format!("-Dcassandra.storagedir={folder}"),
            "-Dcassandra-foreground=yes".to_owned(),
            // What waits for a cluster of strangers to settle need not wait here.
            "-Dcassandra.ring_delay_ms=1".to_owned(),
            "-Dcassandra.skip_wait_for_gossip_to_settle=0".to_owned(),
            "-Dcassandra.superuser_setup_delay_ms=0".to_owned(),
            "-cp".to_owned(),
            format!("{folder}:{libraries}/*"),
            "org.apache.cassandra.service.CassandraDaemon".to_owned(),
        ]
        .map(OsString::from),
    );
    line
}
