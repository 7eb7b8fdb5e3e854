//! `watch`: counts as they change, a line each.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use occupancy::id::SpaceId;
use reqwest::StatusCode;
use serde_json::Value;

use crate::ask::{Server, succeeded};
use crate::run::told_to_stop;
use crate::say::{say, unprinted};

/// How long nothing may come, not even a sign of life, before the connection is given up.
const SILENCE: Duration = Duration::from_secs(40);
/// The pause before it is tried anew.
const PAUSE: Duration = Duration::from_secs(1);
/// Longer than anybody watches.
const FOREVER: Duration = Duration::from_secs(315_360_000);
/// The longest event, in bytes.
const EVENT_MOST: usize = 1 << 20;

/// Flags of `watch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// The spaces, up to 100
    #[arg(required = true)]
    pub spaces: Vec<SpaceId>,
    /// Print each event as JSON, a line each
    #[arg(long)]
    pub json: bool,
    /// The server
    #[arg(long, env = "HEADCOUNT_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
}

/// Prints until it is told to stop; a connection that ends is made anew.
pub(crate) async fn watch(args: Watch) -> Result<ExitCode> {
    let server = Server::at(&args.server)?;
    let stop = told_to_stop()?;
    tokio::select! {
        () = stop => Ok(ExitCode::SUCCESS),
        ended = follow(&server, &args) => ended.map(|()| ExitCode::SUCCESS),
    }
}

/// Prints until nobody reads any more.
async fn follow(server: &Server, args: &Watch) -> Result<()> {
    let spaces: Vec<(&str, &str)> = args.spaces.iter().map(|space| ("space", space.as_str())).collect();
    let mut last = None;
    loop {
        let mut request = server.get("/v1/live").query(&spaces).timeout(FOREVER);
        if let Some(id) = &last {
            request = request.header("last-event-id", id);
        }
        let heard = match server.send(request).await {
            Ok(answer) if last.is_some() && is_passing(answer.status()) => Err(anyhow::anyhow!("the server answers {}", answer.status())),
            Ok(answer) => hear(succeeded(answer).await?, args.json, &mut last).await,
            // Whoever never got an answer has given a wrong address.
            Err(error) if last.is_none() => return Err(error),
            Err(error) => Err(error),
        };
        let Err(error) = heard else { return Ok(()) };
        tracing::warn!("the connection ended ({error}); it is made anew");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether another answer may come soon.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Prints what comes until the connection ends, which is an error, or nobody reads any more.
async fn hear(mut answer: reqwest::Response, json: bool, last: &mut Option<String>) -> Result<()> {
    let mut text = Vec::new();
    loop {
        let chunk = tokio::time::timeout(SILENCE, answer.chunk()).await.context("nothing came for too long")??;
        let Some(chunk) = chunk else { bail!("the server closed it") };
        text.extend_from_slice(&chunk);
        while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = text.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event);
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            if let Some(id) = field("id: ") {
                *last = Some(id.to_owned());
            }
            if let (Some(name), Some(data)) = (field("event: "), field("data: ")) {
                let data = serde_json::from_str(data).context("an event is no JSON")?;
                let line = if json { serde_json::json!({"event": name, "data": data}).to_string() } else { line(name, &data) };
                say!("{line}");
                if unprinted().is_some() {
                    return Ok(());
                }
            }
        }
        anyhow::ensure!(text.len() <= EVENT_MOST, "an event is larger than {EVENT_MOST} bytes");
    }
}

fn line(event: &str, data: &Value) -> String {
    let text = |key| data.get(key).and_then(Value::as_str).unwrap_or("?");
    let space = text("space");
    match event {
        "count" => {
            let number = |key| data.get(key).and_then(Value::as_i64).unwrap_or_default();
            let silent = data.get("silent").and_then(Value::as_array).map_or(0, Vec::len);
            let silent = if silent == 0 { String::new() } else { format!(", {silent} DPUs silent") };
            format!("{}  {:>6} in {space}, {} entered, {} exited{silent}", text("at"), number("count"), number("entered"), number("exited"))
        }
        "revised" => format!("the past of {space} changed from {} on", data.get("from").and_then(Value::as_str).unwrap_or("its beginning")),
        "stalled" => format!("{space} cannot be counted just now: {}", text("detail")),
        "removed" => format!("{space} is no longer there"),
        other => format!("{other}: {data}"),
    }
}

#[cfg(test)]
mod tests {
    use super::line;
    use serde_json::json;

    #[test]
    fn an_event_is_told_in_a_line() {
        let count = json!({"space": "hall", "at": "T1", "count": 12, "entered": 20, "exited": 8, "silent": ["283"]});
        assert_eq!(line("count", &count), "T1      12 in hall, 20 entered, 8 exited, 1 DPUs silent");
        assert_eq!(line("revised", &json!({"space": "hall", "from": null})), "the past of hall changed from its beginning on");
        assert_eq!(line("revised", &json!({"space": "hall", "from": "T0"})), "the past of hall changed from T0 on");
        assert_eq!(line("stalled", &json!({"space": "hall", "detail": "no"})), "hall cannot be counted just now: no");
        assert_eq!(line("removed", &json!({"space": "hall"})), "hall is no longer there");
    }
}
