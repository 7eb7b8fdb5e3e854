//! `status`: how a running server is doing.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

use crate::args::Status;
use crate::ask::Server;

/// Prints the server's status, a fact a line.
pub(crate) async fn status(args: Status) -> Result<ExitCode> {
    let server = Server::at(&args.server)?;
    let status = server.json(server.get("/v1/status")).await?;
    anyhow::ensure!(status.get("version").is_some(), "the answer is no status: is {} a Headcount server?", args.server);
    for line in lines("", &status) {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
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
    #[test]
    fn every_fact_has_a_line() {
        let status = serde_json::json!({"version": "0.1.0", "dpus": {"healthy": 3, "silent": 0}, "lag": null});
        let lines = super::lines("", &status);
        let words: Vec<Vec<&str>> = lines.iter().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words, [["dpus.healthy", "3"], ["dpus.silent", "0"], ["lag", "null"], ["version", "0.1.0"]]);
    }
}
