//! `count`: how many people are in a space.

use std::process::ExitCode;

use anyhow::{Context, Result};
use occupancy::baseline::Kind;
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use query::Query;
use serde::Deserialize;

use crate::ask::Server;
use crate::say::say;
use crate::store_url::{Login, StoreUrl};
use crate::{clock, opened};

/// Flags of `count`.
#[derive(Debug, clap::Args)]
pub(crate) struct Count {
    /// The space
    pub space: SpaceId,
    /// At which instant (2018-02-26T16:06:02Z); without it, now
    #[arg(long, value_name = "TIME")]
    pub at: Option<UnixMs>,
    /// Print the server's answer as it is
    #[arg(long, conflicts_with = "store")]
    pub json: bool,
    /// The server to ask
    #[arg(long, env = "HEADCOUNT_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// Read this store instead; no server may have a fjall: store open
    #[arg(long, value_name = "URL")]
    pub store: Option<StoreUrl>,
    #[command(flatten)]
    pub login: Login,
}

/// Asks a server, or reads a store that no server has open.
pub(crate) async fn count(args: Count) -> Result<ExitCode> {
    let line = match &args.store {
        None => asked(&args).await?,
        Some(url) => {
            let store =
                opened::to_read(url, &args.login, "ask the server instead: leave --store out, or name the server with --server").await?;
            let count = Query::new(store, clock::system(), query::Settings::default()).count(&args.space, args.at).await?;
            let since = count.baseline.at.map(|at| at.to_string());
            let kind = match count.baseline.kind {
                Kind::Beginning => "beginning",
                Kind::Reset => "reset",
                Kind::Correction => "correction",
            };
            let numbers = [count.count(), count.raw, count.baseline.count, count.entered, count.exited];
            described(args.space.as_str(), &count.at.to_string(), numbers, kind, since.as_deref())
        }
    };
    say!("{line}");
    Ok(ExitCode::SUCCESS)
}

async fn asked(args: &Count) -> Result<String> {
    let server = Server::at(&args.server)?;
    let at = args.at.map(|at| ("at", at.to_string()));
    let answer = server.json(server.get(&format!("/v1/spaces/{}/count", args.space)).query(&at.as_slice())).await?;
    if args.json {
        return Ok(serde_json::to_string_pretty(&answer)?);
    }
    let answer: Answer = serde_json::from_value(answer).context("the answer is no count: is this a Headcount server?")?;
    let Answer { at, count, raw, baseline, entered, exited } = answer;
    Ok(described(args.space.as_str(), &at, [count, raw, baseline.count, entered, exited], &baseline.kind, baseline.at.as_deref()))
}

/// As much of the server's answer as is told.
#[derive(Deserialize)]
struct Answer {
    at: String,
    count: i64,
    raw: i64,
    baseline: From,
    entered: i64,
    exited: i64,
}

/// Where the count starts.
#[derive(Deserialize)]
struct From {
    kind: String,
    at: Option<String>,
    count: i64,
}

/// The count, and how it is known, on two lines.
fn described(space: &str, at: &str, [count, raw, from, entered, exited]: [i64; 5], kind: &str, since: Option<&str>) -> String {
    let since = since.map(|at| format!(" at {at}")).unwrap_or_default();
    format!("{count} in {space} at {at}\n{from} from the {kind}{since} + {entered} entered - {exited} exited = {raw}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_answer_says_how_it_is_known() {
        assert_eq!(
            super::described("hall", "2024-05-01T12:00:00.000Z", [0, -1, 0, 4, 5], "reset", Some("2024-05-01T04:00:00.000Z")),
            "0 in hall at 2024-05-01T12:00:00.000Z\n0 from the reset at 2024-05-01T04:00:00.000Z + 4 entered - 5 exited = -1"
        );
    }
}
