//! `engines up` and `engines run`: Kafka and Cassandra to try things out with, until Ctrl-C or while a command runs.

use std::process::{Command, ExitCode};
use std::time::Duration;

use engines::{Cassandra, CassandraOptions, EngineError, Kafka, KafkaOptions, Node};

const USAGE: &str = "usage: engines up [--brokers 0|1|3] [--nodes 0|1|3]
       engines run [--brokers 0|1|3] [--nodes 0|1|3] -- COMMAND

Starts Kafka (1 broker unless told otherwise) and Cassandra (1 node) on free ports of this machine. `up` says where
they are and leaves them running until Ctrl-C. `run` runs a command that finds them in HEADCOUNT_KAFKA and
HEADCOUNT_STORE, and Kafka's version in HEADCOUNT_KAFKA_VERSION, and ends with it. Nothing of them stays. The first time,
Maven fetches their jars.";

/// How often the engines are looked after.
const LOOK: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(Task { brokers, nodes, command }) = parse(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let done = Engines::start(brokers, nodes).and_then(|engines| match command {
        None => engines.watch().map(|never| match never {}),
        Some(command) => engines.run(&command),
    });
    done.unwrap_or_else(|error| {
        eprintln!("engines: {error}");
        ExitCode::FAILURE
    })
}

/// What is asked for.
struct Task {
    brokers: usize,
    nodes: usize,
    /// What to run meanwhile.
    command: Option<Vec<String>>,
}

fn parse(words: &[String]) -> Option<Task> {
    let (task, words) = words.split_first()?;
    let mut words = words.iter();
    let (mut brokers, mut nodes, mut command) = (1, 1, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--brokers" => brokers = words.next()?.parse().ok()?,
            "--nodes" => nodes = words.next()?.parse().ok()?,
            "--" => command = Some(words.by_ref().cloned().collect::<Vec<_>>()),
            _ => return None,
        }
    }
    let fits = match task.as_str() {
        "up" => command.is_none(),
        "run" => command.as_ref().is_some_and(|command| !command.is_empty()),
        _ => false,
    };
    fits.then_some(Task { brokers, nodes, command })
}

/// What runs. A signal ends this process as it would any other: the engines go with it.
struct Engines {
    kafka: Option<Kafka>,
    cassandra: Option<Cassandra>,
}

impl Engines {
    fn start(brokers: usize, nodes: usize) -> Result<Self, EngineError> {
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
        Ok(Self { kafka, cassandra })
    }

    /// How headcount reaches them: settings and their values.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let kafka = self.kafka.iter().map(|kafka| ("kafka", kafka.bootstrap()));
        let store = self.cassandra.iter().map(|cassandra| ("store", format!("cql://{}/headcount", cassandra.contact_points().join(","))));
        kafka.chain(store).collect()
    }

    /// Watches over them without end.
    fn watch(&self) -> Result<std::convert::Infallible, EngineError> {
        let lines: String = self.settings().iter().map(|(name, value)| format!("{name} = \"{value}\"\n")).collect();
        println!("\nFor the configuration of headcount:\n\n{lines}\nRunning until Ctrl-C.");
        loop {
            self.check()?;
            std::thread::sleep(LOOK);
        }
    }

    /// Runs a command to its end, and passes its status on.
    fn run(&self, command: &[String]) -> Result<ExitCode, EngineError> {
        let Some((program, arguments)) = command.split_first() else { return Ok(ExitCode::FAILURE) };
        let variables = self.settings().into_iter().map(|(name, value)| (format!("HEADCOUNT_{}", name.to_uppercase()), value));
        let version = self.kafka.as_ref().and_then(Kafka::version).map(|version| ("HEADCOUNT_KAFKA_VERSION", version));
        let status = Command::new(program).args(arguments).envs(variables).envs(version).status();
        let status = status.map_err(|source| EngineError::Io { doing: "running", path: program.into(), source })?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
    }

    fn check(&self) -> Result<(), EngineError> {
        let brokers = self.kafka.iter().flat_map(|kafka| kafka.brokers());
        brokers.chain(self.cassandra.iter().flat_map(|cassandra| cassandra.nodes())).try_for_each(Node::check)
    }
}

fn say(engine: &str, nodes: &[Node], data: &std::path::Path) {
    for node in nodes {
        println!("{engine} answers on {}, process {}", node.address(), node.pid().unwrap_or_default());
    }
    println!("{engine} keeps data and logs in {}", data.display());
}
