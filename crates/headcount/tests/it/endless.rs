//! Answers without end, beside others on the same connection and until it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::program::Served;
use crate::watched::{ago, served};

const PATIENCE: Duration = Duration::from_secs(60);

/// A connection whose client says what it wants.
struct Raw(BufReader<TcpStream>);

impl Raw {
    fn to(served: &Served) -> Self {
        let stream = TcpStream::connect(served.url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// The head of the next answer.
    fn head(&mut self) -> String {
        let mut head = self.line().to_lowercase();
        while !head.ends_with("\r\n\r\n") {
            let line = self.line();
            assert!(!line.is_empty(), "{head}");
            head += &line.to_lowercase();
        }
        head
    }

    /// The next answer, which has a length.
    fn answer(&mut self) -> (String, String) {
        let head = self.head();
        let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or_else(|| panic!("no length in {head}"))];
        self.0.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// The data of the next count.
    fn count(&mut self) -> serde_json::Value {
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the answer ended");
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }

    /// Whatever comes until the server closes the connection.
    fn rest(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }
}

fn enter(served: &Served, seq: u64) {
    let body = json!({"dpu_id": "283", "boot": 7, "crossings": [{"at": ago(0), "direction": 1, "seq": seq}]});
    assert_eq!(served.http("POST", "/v1/crossings", &body.to_string()).0, 200);
}

fn are_watching(served: &Served, clients: u64) {
    let begun = Instant::now();
    while served.metric("headcount_watchers") != clients {
        assert!(begun.elapsed() < PATIENCE, "{} watch, not {clients}", served.metric("headcount_watchers"));
    }
}

const LIVE: &str = "GET /v1/live?space=hall HTTP/1.1\r\nhost: here\r\n\r\n";
const STATUS: &str = "GET /v1/spaces HTTP/1.1\r\nhost: here\r\n\r\n";

#[test]
fn it_comes_after_all_that_was_asked_before_and_ends_with_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let served = served(folder.path());
    let mut client = Raw::to(&served);
    client.say(&[STATUS, STATUS, LIVE, STATUS].concat());
    for _ in 0..2 {
        let (head, body) = client.answer();
        assert!(head.starts_with("http/1.1 200 ok") && body.contains("\"hall\""), "{head}{body}");
    }
    let head = client.head();
    // Whatever the client speaks: before 1.1 a body ends with its connection.
    assert!(head.starts_with("http/1.0 200 ok") && head.contains("content-type: text/event-stream\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding") && !head.contains("content-length"), "{head}");
    assert_eq!(client.count()["entered"], 0);
    client.say(STATUS);
    for seq in 1..=3 {
        enter(&served, seq);
        while client.count()["entered"] != seq {}
    }
    assert_eq!(served.stop(), Some(0));
    let rest = client.rest();
    assert!(!rest.to_lowercase().contains("http"), "no other answer comes: {rest}");
}

#[test]
fn its_head_alone_leaves_the_connection_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let served = served(folder.path());
    let mut client = Raw::to(&served);
    client.say(&LIVE.replace("GET", "HEAD"));
    let head = client.head();
    assert!(head.starts_with("http/1.1 200 ok") && head.contains("content-type: text/event-stream\r\n"), "{head}");
    client.say(STATUS);
    assert!(client.answer().1.contains("\"hall\""));
    are_watching(&served, 0);
    assert_eq!(served.stop(), Some(0));
}

#[test]
fn it_comes_whole_to_one_who_sends_more_than_a_request_and_is_missed_by_none_who_left() {
    let folder = tempfile::tempdir().unwrap();
    let served = served(folder.path());
    let mut asks = Raw::to(&served);
    asks.say("GET /v1/live?space=hall HTTP/1.1\r\nhost: here\r\ncontent-length: 5\r\n\r\nhe");
    // Of some of which the rest comes later.
    assert!(asks.head().starts_with("http/1.1 200 ok"));
    assert_eq!(asks.count()["entered"], 0);
    let (mut stays, mut closes) = (Raw::to(&served), Raw::to(&served));
    for client in [&mut stays, &mut closes] {
        client.say(LIVE);
        client.head();
        assert_eq!(client.count()["entered"], 0);
    }
    are_watching(&served, 3);
    drop(closes);
    // Long before anything is written that would fail.
    are_watching(&served, 2);
    drop(asks);
    are_watching(&served, 1);
    enter(&served, 1);
    while stays.count()["entered"] != 1 {}
    assert_eq!(served.stop(), Some(0));
    stays.rest();
}
