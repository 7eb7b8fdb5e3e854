//! `status`: how a running server is doing, and how far the consumers are behind.

use std::process::ExitCode;

use anyhow::Result;
use ingest_kafka::PartitionLag;
use serde_json::Value;

use crate::args::Names;
use crate::ask::Server;
use crate::consume;
use crate::say::say;

/// Flags of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// The server
    #[arg(long, env = "HEADCOUNT_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// Ask this Kafka cluster instead how far the consumer group is in each partition; no server and no consumer need run
    #[arg(long, value_name = "HOST:PORT,...")]
    pub kafka: Option<String>,
    #[command(flatten)]
    pub names: Names,
}

/// Prints the server's status, a fact a line, or how far the consumers are.
pub(crate) async fn status(args: Status) -> Result<ExitCode> {
    if let Some(brokers) = &args.kafka {
        let partitions = ingest_kafka::lag(&consume::kafka(brokers, &args.names), &args.names.group).await?;
        say!("group {}, topic {}", args.names.group, args.names.topic);
        table(&partitions).iter().for_each(|line| say!("{line}"));
        return Ok(ExitCode::SUCCESS);
    }
    let server = Server::at(&args.server)?;
    let status = server.json(server.get("/v1/status")).await?;
    anyhow::ensure!(status.get("version").is_some(), "the answer is no status: is {} a Headcount server?", args.server);
    for line in lines("", &status) {
        say!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each partition, and the sum.
fn table(partitions: &[PartitionLag]) -> Vec<String> {
    let line = |cells: [String; 4]| cells.map(|cell| format!("{cell:>12}")).join("");
    let row = |one: &PartitionLag| {
        let committed = one.committed.map_or_else(|| "none".to_owned(), |offset| offset.to_string());
        line([one.partition.to_string(), committed, one.end.to_string(), one.records().to_string()])
    };
    let lag: u64 = partitions.iter().map(PartitionLag::records).sum();
    let head = line(["partition", "committed", "end", "lag"].map(str::to_owned));
    let sum = line(["all", "", "", &lag.to_string()].map(str::to_owned));
    [head].into_iter().chain(partitions.iter().map(row)).chain([sum]).collect()
}

/// Each number and text with the path to it.
fn lines(path: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(parts) => {
            let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            parts.iter().flat_map(|(key, value)| lines(&inner(key), value)).collect()
        }
        Value::String(text) => vec![format!("{path:<28} {text}")],
        other => vec![format!("{path:<28} {other}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_stand_in_a_table() {
        let lag = |partition, committed| PartitionLag { partition, committed, first: 10, end: 1_000_000 };
        let words: Vec<String> = table(&[lag(0, Some(999_990)), lag(1, None)])
            .iter()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(words, ["partition committed end lag", "0 999990 1000000 10", "1 none 1000000 999990", "all 1000000"]);
    }

    #[test]
    fn every_fact_has_a_line() {
        let status = serde_json::json!({"version": "0.1.0", "dpus": {"healthy": 3, "silent": 0}, "lag": null});
        let lines = lines("", &status);
        let words: Vec<Vec<&str>> = lines.iter().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words, [["dpus.healthy", "3"], ["dpus.silent", "0"], ["lag", "null"], ["version", "0.1.0"]]);
    }
}
