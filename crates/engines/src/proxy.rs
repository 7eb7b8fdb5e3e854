//! A proxy before a node of Cassandra that loses frames of CQL: requests on their way there, or answers on the way back.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::EngineError;

/// Version, flags, stream (two bytes), opcode, length (four bytes).
type Header = [u8; 9];
/// What an answer has in common with its request.
type Stream = [u8; 2];

/// A proxy on a port of its own, for as long as this process lives.
#[derive(Debug, Clone)]
pub struct Proxy {
    address: SocketAddr,
    losses: Arc<Losses>,
}

/// What is to be lost.
#[derive(Debug, Default)]
struct Losses {
    /// Only requests that hold it are counted below.
    text: Mutex<String>,
    requests: AtomicU32,
    answers: AtomicU32,
    /// Whether no answer comes back at all, and how many did not.
    mute: AtomicBool,
    unanswered: AtomicU64,
}

impl Proxy {
    /// Listens for a node.
    ///
    /// # Errors
    /// No port is free.
    pub fn to(node: SocketAddr) -> Result<Self, EngineError> {
        let here = Path::new("127.0.0.1");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(EngineError::doing("listening on", here))?;
        let address = listener.local_addr().map_err(EngineError::doing("listening on", here))?;
        let losses = Arc::new(Losses::default());
        let proxy = Self { address, losses: Arc::clone(&losses) };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A node that is gone takes its clients with it.
                let Ok(server) = TcpStream::connect(node) else { continue };
                let _ = connect(client, server, &losses);
            }
        });
        Ok(proxy)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on loses so many requests that hold a text, and the answers to so many more of them.
    pub fn lose(&self, text: &str, requests: u32, answers: u32) {
        text.clone_into(&mut lock(&self.losses.text));
        self.losses.requests.store(requests, Ordering::Relaxed);
        self.losses.answers.store(answers, Ordering::Relaxed);
    }

    /// How many of these are still to be lost.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.losses.requests.load(Ordering::Relaxed) + self.losses.answers.load(Ordering::Relaxed)
    }

    /// Lets every request through and loses every answer, or no longer.
    pub fn mute(&self, mute: bool) {
        self.losses.mute.store(mute, Ordering::Relaxed);
    }

    /// How many answers were lost because it was mute.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.losses.unanswered.load(Ordering::Relaxed)
    }
}

impl Losses {
    /// Whether a request gets there; notes the stream whose answer is to be lost.
    fn request_passes(&self, stream: Stream, body: &[u8], marked: &Mutex<HashSet<Stream>>) -> bool {
        let text = lock(&self.text).clone();
        if text.is_empty() || !body.windows(text.len()).any(|part| part == text.as_bytes()) {
            return true;
        }
        let take = |left: &AtomicU32| left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if take(&self.requests) {
            return false;
        }
        if take(&self.answers) {
            lock(marked).insert(stream);
        }
        true
    }

    /// Whether an answer comes back.
    fn answer_passes(&self, stream: Stream, marked: &Mutex<HashSet<Stream>>) -> bool {
        let mute = self.mute.load(Ordering::Relaxed);
        self.unanswered.fetch_add(mute.into(), Ordering::Relaxed);
        !lock(marked).remove(&stream) && !mute
    }
}

/// Hands frames on in both directions.
fn connect(client: TcpStream, server: TcpStream, losses: &Arc<Losses>) -> std::io::Result<()> {
    let marked = Arc::new(Mutex::new(HashSet::new()));
    let (from, into) = (client.try_clone()?, server.try_clone()?);
    let (there, back) = ((Arc::clone(losses), Arc::clone(&marked)), (Arc::clone(losses), marked));
    std::thread::spawn(move || pump(from, into, |stream, body| there.0.request_passes(stream, body, &there.1)));
    std::thread::spawn(move || pump(server, client, |stream, _| back.0.answer_passes(stream, &back.1)));
    Ok(())
}

/// Hands frames on, until one side goes.
fn pump(mut from: TcpStream, mut into: TcpStream, passes: impl Fn(Stream, &[u8]) -> bool) {
    let _ = hand_on(&mut from, &mut into, passes);
    for side in [from, into] {
        let _ = side.shutdown(Shutdown::Both);
    }
}

fn hand_on(from: &mut TcpStream, into: &mut TcpStream, passes: impl Fn(Stream, &[u8]) -> bool) -> std::io::Result<()> {
    let mut frame = Vec::new();
    loop {
        let mut header = Header::default();
        from.read_exact(&mut header)?;
        let [_, _, high, low, _, length @ ..] = header;
        frame.clear();
        frame.extend_from_slice(&header);
        let length = u32::from_be_bytes(length);
        Read::by_ref(from).take(length.into()).read_to_end(&mut frame)?;
        if passes([high, low], &frame) {
            into.write_all(&frame)?;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
