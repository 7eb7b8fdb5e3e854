//! A client that costs little: HTTP/1.1 over kept connections, one request at a time on each.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::figure::Latencies;

/// A connection to the server.
pub(crate) struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

/// A POST of reports, ready to be sent.
pub(crate) struct Post {
    bytes: Vec<u8>,
    crossings: usize,
}

impl Post {
    pub(crate) fn new(body: &str, crossings: usize) -> Self {
        Self { bytes: request("POST", "/v1/crossings", "", body), crossings }
    }

    /// How many bytes go over the wire.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// A request; `headers` each end with CR LF.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body.as_bytes()].concat()
}

impl Connection {
    pub(crate) async fn to(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::with_capacity(4096) })
    }

    /// Sends a request and waits for the whole answer: its status and body.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<(u16, &str)> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        let head = loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                bail!("the server closed the connection");
            }
            if let Some(end) = self.answer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let (status, length) = read_head(self.answer.get(..head).unwrap_or_default())?;
        while self.answer.len() < head + length {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                bail!("the server closed the connection amid an answer");
            }
        }
        Ok((status, std::str::from_utf8(self.answer.get(head..).unwrap_or_default())?))
    }

    /// Sends a request whose answer must be a success; returns its body.
    pub(crate) async fn succeed(&mut self, request: &[u8]) -> Result<&str> {
        match self.send(request).await? {
            (200..=299, body) => Ok(body),
            (status, body) => bail!("the server answered {status}: {body}"),
        }
    }

    /// Posts reports, all of which must be new.
    pub(crate) async fn post(&mut self, post: &Post) -> Result<()> {
        let body = self.succeed(&post.bytes).await?;
        if body.starts_with(&format!(r#"{{"accepted":{},"duplicate":0,"#, post.crossings)) {
            return Ok(());
        }
        bail!("{} new crossings were answered with {body}", post.crossings)
    }
}

/// The count that an answer tells, as it is before anything is cut at 0.
pub(crate) fn raw_of(answer: &str) -> Result<i64> {
    let raw = answer.split_once(r#""raw":"#).and_then(|(_, rest)| rest.split_once(',')?.0.parse().ok());
    raw.with_context(|| format!("no raw count in {answer}"))
}

/// The status and the length of the body.
fn read_head(head: &[u8]) -> Result<(u16, usize)> {
    let mut lines = std::str::from_utf8(head)?.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).context("the answer has no status")?;
    let length = lines.filter_map(|line| line.split_once(": ")).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = if status == 204 { Some(0) } else { length.and_then(|(_, length)| length.parse().ok()) };
    Ok((status, length.context("the answer has no length")?))
}

/// What posting took, in all and each.
pub(crate) struct Posted {
    pub(crate) took: Duration,
    pub(crate) each: Latencies,
}

/// Posts each queue over a connection of its own, in order, all queues at once.
pub(crate) async fn post_all(address: SocketAddr, queues: Vec<Vec<Post>>) -> Result<Posted> {
    let mut connections = Vec::with_capacity(queues.len());
    for _ in &queues {
        connections.push(Connection::to(address).await?);
    }
    let start = Instant::now();
    let mut posting: JoinSet<Result<Latencies>> = JoinSet::new();
    for (mut connection, queue) in connections.into_iter().zip(queues) {
        posting.spawn(async move {
            let mut each = Latencies::default();
            for post in &queue {
                let start = Instant::now();
                connection.post(post).await?;
                each.push(start.elapsed());
            }
            Ok(each)
        });
    }
    let mut each = Latencies::default();
    while let Some(done) = posting.join_next().await {
        each.extend(done??);
    }
    Ok(Posted { took: start.elapsed(), each })
}
