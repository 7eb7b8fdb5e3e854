//! A proxy that loses frames of CQL: a request on its way there, or its answer on the way back.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// Version, flags, stream (two bytes), opcode, length (four bytes).
const HEADER_BYTES: usize = 9;

/// What is to be lost: the next so many requests that hold a text, or the answers to them.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    pub(crate) text: Mutex<String>,
    pub(crate) requests: AtomicU32,
    pub(crate) answers: AtomicU32,
}

/// Streams whose next answer is lost.
type Lost = Arc<Mutex<HashSet<[u8; 2]>>>;

/// Listens on a port of its own, for as long as the process lives.
pub(crate) fn to(node: SocketAddr) -> (SocketAddr, Arc<Losses>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, losses) = (listener.local_addr().unwrap(), Arc::new(Losses::default()));
    let shared = Arc::clone(&losses);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(node) else { continue };
            let (lost, losses) = (Lost::default(), Arc::clone(&shared));
            let (from, into, marked) = (client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(&lost));
            std::thread::spawn(move || pump(from, into, |frame| losses.passes(frame, &marked)));
            std::thread::spawn(move || pump(server, client, |frame| !lost.lock().unwrap().remove(&frame[2..4])));
        }
    });
    (address, losses)
}

impl Losses {
    /// From now on loses so many requests, and the answers to so many more.
    pub(crate) fn lose(&self, text: &str, requests: u32, answers: u32) {
        *self.text.lock().unwrap() = text.to_owned();
        self.requests.store(requests, Ordering::Relaxed);
        self.answers.store(answers, Ordering::Relaxed);
    }

    /// How many are still to be lost.
    pub(crate) fn left(&self) -> u32 {
        self.requests.load(Ordering::Relaxed) + self.answers.load(Ordering::Relaxed)
    }

    fn passes(&self, frame: &[u8], lost: &Lost) -> bool {
        let text = self.text.lock().unwrap().clone();
        if text.is_empty() || !frame.windows(text.len()).any(|part| part == text.as_bytes()) {
            return true;
        }
        let take = |left: &AtomicU32| left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if take(&self.requests) {
            return false;
        }
        if take(&self.answers) {
            lost.lock().unwrap().insert([frame[2], frame[3]]);
        }
        true
    }
}

/// Hands on frames, until one side goes.
fn pump(mut from: TcpStream, mut into: TcpStream, mut passes: impl FnMut(&[u8]) -> bool) {
    let mut frame = Vec::new();
    loop {
        frame.resize(HEADER_BYTES, 0);
        if from.read_exact(&mut frame).is_err() {
            break;
        }
        let length = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]);
        frame.resize(HEADER_BYTES + usize::try_from(length).unwrap(), 0);
        if from.read_exact(&mut frame[HEADER_BYTES..]).is_err() || (passes(&frame) && into.write_all(&frame).is_err()) {
            break;
        }
    }
    drop(into.shutdown(std::net::Shutdown::Both));
}
