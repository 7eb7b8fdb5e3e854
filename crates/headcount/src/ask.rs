//! Asking a running server, with errors a person can act on.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;

/// A running server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    url: String,
    client: Client,
}

impl Server {
    /// The server at `url`, like `http://127.0.0.1:8080`.
    pub(crate) fn at(url: &str) -> Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        if !url.starts_with("http://") {
            bail!("{url:?} is no server: give it as http://HOST:PORT");
        }
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(60))
            .build()?;
        Ok(Self { url, client })
    }

    /// A GET request; `path` begins with `/`.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    /// A PUT request.
    pub(crate) fn put(&self, path: &str) -> RequestBuilder {
        self.client.put(format!("{}{path}", self.url))
    }

    /// A POST request.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    /// Sends it, whatever the answer's status.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        request.send().await.map_err(|error| {
            let text = if error.is_connect() {
                format!("no server answers at {}: start one with `headcount serve`, or name another with --server", self.url)
            } else {
                format!("{} did not answer as a Headcount server does", self.url)
            };
            anyhow::Error::new(error).context(text)
        })
    }

    /// The JSON of a successful answer.
    pub(crate) async fn json(&self, request: RequestBuilder) -> Result<Value> {
        let answer = succeeded(self.send(request).await?).await?;
        answer.json().await.context("the server's answer is no JSON: is this a Headcount server?")
    }
}

/// The answer, if it says success; else what the server says is wrong.
pub(crate) async fn succeeded(answer: Response) -> Result<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    bail!("the server says: {}", explained(status, answer).await)
}

/// The detail of a problem, or as much as there is.
async fn explained(status: StatusCode, answer: Response) -> String {
    let problem: Value = answer.json().await.unwrap_or_default();
    let part = |key| problem.get(key).and_then(Value::as_str);
    part("detail").or(part("title")).map_or_else(|| format!("{status}; is this a Headcount server?"), str::to_owned)
}
