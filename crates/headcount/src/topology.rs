//! `topology`: show or change spaces, doorways and installations of a running server.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use reqwest::StatusCode;
use reqwest::header::{ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use serde_json::Value;
use wire::document::{TopologyDocument, from_toml, to_toml};

use crate::args::{Apply, Topology};
use crate::ask::{Server, succeeded};
use crate::say::say;

/// Runs `topology`.
pub(crate) async fn topology(args: Topology) -> Result<ExitCode> {
    match args {
        Topology::Show { root, server } => {
            let server = Server::at(&server)?;
            let answer = succeeded(server.send(server.get(&format!("/v1/topology/{root}"))).await?).await?;
            let document: TopologyDocument = answer.json().await.context("the answer is no topology: is this a Headcount server?")?;
            anyhow::ensure!(!document.spaces.is_empty(), "the answer holds no spaces: is this a Headcount server?");
            say!("{}", to_toml(&document)?.trim_end());
        }
        Topology::Apply(args) => apply(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn apply(args: Apply) -> Result<()> {
    let shown = args.file.display();
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {shown}"))?;
    let document = from_toml(&text).with_context(|| format!("{shown} is no topology"))?;
    let server = Server::at(&args.server)?;
    let change = Put::prepare(&server, &document, args.allow_removal).await?;
    let effect = change.send(true).await?;
    if !args.dry_run {
        change.send(false).await?;
    }
    let lines = changes(&effect);
    let verb = if args.dry_run { "would change" } else { "changed" };
    say!("{verb}:{}", if lines.is_empty() { " nothing" } else { "" });
    lines.iter().for_each(|line| say!("  {line}"));
    Ok(())
}

/// Puts a document in place of what stands under its root.
pub(crate) async fn put(server: &Server, document: &TopologyDocument, allow_removal: bool) -> Result<()> {
    Put::prepare(server, document, allow_removal).await?.send(false).await.map(drop)
}

/// A change that holds only while nobody else makes one.
struct Put<'a> {
    server: &'a Server,
    path: String,
    document: &'a TopologyDocument,
    allow_removal: bool,
    precondition: (HeaderName, HeaderValue),
}

impl<'a> Put<'a> {
    /// Reads what stands there now.
    async fn prepare(server: &'a Server, document: &'a TopologyDocument, allow_removal: bool) -> Result<Self> {
        let Some(root) = document.spaces.iter().find(|space| space.parent.is_none()) else {
            bail!("the topology has no root: one space has no parent, the one everything else is in");
        };
        let path = format!("/v1/topology/{}", root.id);
        let now = server.send(server.get(&path)).await?;
        let precondition = if now.status() == StatusCode::NOT_FOUND {
            (IF_NONE_MATCH, HeaderValue::from_static("*"))
        } else {
            let now = succeeded(now).await?;
            (IF_MATCH, now.headers().get(ETAG).cloned().context("the server gave no ETag")?)
        };
        Ok(Self { server, path, document, allow_removal, precondition })
    }

    /// Makes it, or says what it would change.
    async fn send(&self, dry_run: bool) -> Result<Value> {
        let (name, value) = &self.precondition;
        let request = self.server.put(&self.path).query(&[("dry_run", dry_run), ("allow_removal", self.allow_removal)]);
        self.server.json(request.header(name, value).json(self.document)).await
    }
}

/// What an edit changes, a line each.
fn changes(effect: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for (kind, sign, verb) in ["spaces", "resets", "doorways", "installations"]
        .iter()
        .flat_map(|kind| [("added", '+'), ("changed", '~'), ("removed", '-')].map(|(verb, sign)| (kind, sign, verb)))
    {
        for one in effect.pointer(&format!("/{kind}/{verb}")).and_then(Value::as_array).into_iter().flatten() {
            lines.push(format!("{sign} {} {}", kind.trim_end_matches('s'), described(one)));
        }
    }
    let past: Vec<&str> = effect.get("past_changes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if !past.is_empty() {
        lines.push(format!("counts before now may come out otherwise in: {}", past.join(", ")));
    }
    lines
}

/// An id, or an installation in words.
fn described(one: &Value) -> String {
    let text = |key| one.get(key).and_then(Value::as_str);
    match (one.as_str(), text("dpu"), text("doorway"), text("enters"), text("from")) {
        (Some(id), ..) => id.to_owned(),
        (None, Some(dpu), Some(doorway), Some(enters), Some(from)) => {
            let to = text("to").map(|to| format!(" to {to}")).unwrap_or_default();
            format!("of DPU {dpu} over {doorway}, entering {enters}, from {from}{to}")
        }
        _ => one.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn changes_are_told_a_line_each() {
        let effect = serde_json::json!({
            "spaces": {"added": ["hall"], "changed": [], "removed": ["attic"]},
            "installations": {"added": [], "changed": [{"dpu": "283", "doorway": "front", "enters": "hall", "from": "2018-01-01T00:00:00.000Z"}]},
            "past_changes": ["campus", "hall"],
        });
        assert_eq!(
            super::changes(&effect),
            [
                "+ space hall",
                "- space attic",
                "~ installation of DPU 283 over front, entering hall, from 2018-01-01T00:00:00.000Z",
                "counts before now may come out otherwise in: campus, hall",
            ]
        );
    }
}
