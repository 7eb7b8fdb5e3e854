//! `engines up`: Kafka and Cassandra to try things out with, until Ctrl-C.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use engines::{Cassandra, CassandraOptions, EngineError, Kafka, KafkaOptions, Node};

const USAGE: &str = "usage: engines up [--brokers 0|1|3] [--nodes 0|1|3]

Starts Kafka (1 broker unless told otherwise) and Cassandra (1 node) on free ports of this machine, says where they
are, and leaves them running until Ctrl-C. Nothing of them stays. The first time, Maven fetches their jars.";

/// How often the engines are looked after.
const LOOK: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((brokers, nodes)) = parse(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let Err(error) = up(brokers, nodes);
    eprintln!("engines: {error}");
    ExitCode::FAILURE
}

/// How many brokers and nodes are asked for.
fn parse(words: &[String]) -> Option<(usize, usize)> {
    let (mut brokers, mut nodes) = (1, 1);
    let (up, flags) = words.split_first()?;
    for flag in flags.chunks(2) {
        match flag {
            [name, value] if name == "--brokers" => brokers = value.parse().ok()?,
            [name, value] if name == "--nodes" => nodes = value.parse().ok()?,
            _ => return None,
        }
    }
    (up == "up").then_some((brokers, nodes))
}

/// Starts them and watches over them. A signal ends this process as it would any other: the engines go with it.
fn up(brokers: usize, nodes: usize) -> Result<std::convert::Infallible, EngineError> {
    let properties = KafkaOptions::default().properties;
    let kafka = (brokers > 0).then(|| Kafka::start(&KafkaOptions { brokers, properties })).transpose()?;
    if let Some(kafka) = &kafka {
        say("Kafka", kafka.brokers(), kafka.data());
    }
    let settings = CassandraOptions::default().settings;
    let cassandra = (nodes > 0).then(|| Cassandra::start(&CassandraOptions { nodes, settings })).transpose()?;
    if let Some(cassandra) = &cassandra {
        say("Cassandra", cassandra.nodes(), cassandra.data());
    }
    let mut lines = String::new();
    if let Some(kafka) = &kafka {
        lines += &format!("kafka = \"{}\"\n", kafka.bootstrap());
    }
    if let Some(cassandra) = &cassandra {
        lines += &format!("store = \"cql://{}/headcount\"\n", cassandra.contact_points().join(","));
    }
    println!("\nFor the configuration of headcount:\n\n{lines}\nRunning until Ctrl-C.");
    // Whoever reads this may be gone, which ends nothing.
    let _ = std::io::stdout().flush();
    loop {
        let mut all = kafka.iter().flat_map(|kafka| kafka.brokers()).chain(cassandra.iter().flat_map(|cassandra| cassandra.nodes()));
        all.try_for_each(Node::check)?;
        std::thread::sleep(LOOK);
    }
}

fn say(engine: &str, nodes: &[Node], data: &std::path::Path) {
    for node in nodes {
        println!("{engine} answers on {}, process {}", node.address(), node.pid().unwrap_or_default());
    }
    println!("{engine} keeps data and logs in {}", data.display());
}
