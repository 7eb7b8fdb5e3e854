//! The program as a child process.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The path of a file in the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The program, not yet started, with none of the environment's settings.
pub(crate) fn headcount(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headcount"));
    command.args(words).env("HEADCOUNT_LOG", "warn");
    command
}

/// Runs it to its end: (status, standard output, standard error).
pub(crate) fn run(words: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = headcount(words).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A running server over a folder, on ports of its own; killed when dropped.
pub(crate) struct Served {
    child: Option<Child>,
    pub(crate) url: String,
    /// Where its metrics are, once it has said so.
    pub(crate) metrics: String,
}

impl Served {
    /// Starts `serve` and waits until it says where it answers.
    pub(crate) fn over(folder: &Path, more: &[&str]) -> Self {
        Self::saying(folder, more, "http://").0
    }

    /// Starts `serve`; with what it said up to the first line that contains `last`.
    pub(crate) fn saying(folder: &Path, more: &[&str], last: &str) -> (Self, Vec<String>) {
        Self::of(&format!("fjall:{}", folder.display()), more, last)
    }

    /// The same over the store of a URL.
    pub(crate) fn of(store: &str, more: &[&str], last: &str) -> (Self, Vec<String>) {
        let words = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--store", store];
        let mut child = headcount(&words).args(more).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut served = Self { child: Some(child), url: String::new(), metrics: String::new() };
        let mut said: Vec<String> = Vec::new();
        while !said.last().is_some_and(|line| line.contains(last)) {
            said.push(lines.next().expect("serve goes on to say more"));
        }
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let mut words = said[0].split_whitespace();
        served.url = words.find(|word| word.starts_with("http://")).expect("serve says first where it answers").to_owned();
        let metrics = said.iter().find_map(|line| line.strip_prefix("metrics for Prometheus: ")?.strip_suffix("/metrics"));
        served.metrics = metrics.unwrap_or_default().to_owned();
        (served, said)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM; returns the exit status.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(self.child.as_ref().unwrap());
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let mut child = self.child.take().unwrap();
        std::thread::spawn(move || tell.send(child.wait().unwrap()));
        told.recv_timeout(Duration::from_secs(30)).expect("SIGTERM stops the server").code()
    }

    /// The JSON at a path.
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.http("GET", path, "");
        assert_eq!(answer.0, 200, "{path}: {}", answer.1);
        serde_json::from_str(&answer.1).unwrap()
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let (status, page) = http(&self.metrics, "GET", "/metrics", "").unwrap();
        assert_eq!(status, 200, "{page}");
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {page}"))
    }

    /// One request over a connection of its own: (status, body).
    pub(crate) fn http(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        http(&self.url, method, path, body).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits for what only an answer to a question tells: a probe, a page of metrics, an offset. What is pushed is awaited.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One HTTP/1.0 request over a connection of its own, so that a server killed meanwhile shows as an error.
pub(crate) fn http(url: &str, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
    request(url, method, path, "", body)
}

/// The same with more headers, each with its line end.
pub(crate) fn request(url: &str, method: &str, path: &str, headers: &str, body: &str) -> std::io::Result<(u16, String)> {
    use std::io::Write;
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = std::net::TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut head = format!("{method} {path} HTTP/1.0\r\nhost: {host}\r\ncontent-type: application/json\r\n");
    if !body.is_empty() || method != "GET" {
        head += &format!("content-length: {}\r\n", body.len());
    }
    if method == "PUT" {
        head += "if-none-match: *\r\n";
    }
    stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
    Ok((status, body.to_owned()))
}

/// A small seeded generator: splitmix64.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}
