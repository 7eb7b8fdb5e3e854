//! Listening on addresses, and stopping in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

mod connection;

/// How long requests under way may take once the server stops.
const LAST_REQUESTS: Duration = Duration::from_secs(10);
/// Connections at once, those that watch counts live among them; more wait to be accepted.
const CONNECTIONS: usize = 16_384;
/// The pause after a connection could not be accepted: most often this process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A router that answers on an address until it is told to stop.
pub(crate) struct Answering {
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Lets this process have as many files and connections open as the system allows it: the usual limit dates from a time
/// when more than 1,024 were too many for a program, which the store's files and a few dashboards exceed.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "at most {:?} files and connections can be open at once", limit.current);
    }
}

/// Listens; `flag` is what to choose another address with.
pub(crate) async fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("{address} is in use: stop what listens there, or choose another address with {flag}")
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}; choose another address with {flag}")),
    }
}

impl Answering {
    /// Answers what comes to the listener.
    pub(crate) fn on(listener: TcpListener, router: Router) -> Result<Self> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "listens beyond this machine: there are no keys yet, so anybody who reaches it can read and write");
        }
        let (stop, stopped) = watch::channel(false);
        #[expect(clippy::disallowed_methods, reason = "the handle is kept and awaited in `stop`")]
        let task = tokio::spawn(answer(listener, router, stopped));
        Ok(Self { address, stop, task })
    }

    /// Takes no more requests, and waits for those under way.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// Answers connections until told to stop, then lets the requests under way end.
async fn answer(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let (room, mut connections) = (Arc::new(Semaphore::new(CONNECTIONS)), JoinSet::new());
    loop {
        let (stream, peer, place) = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            // A dropped sender means stop as well.
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let answered = connection::answer(stream, peer.ip(), router.clone(), stopped.clone());
        connections.spawn(async move {
            answered.await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let last = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_REQUESTS, last).await.is_err() {
        tracing::warn!("requests were still under way after {} s; their senders will send again", LAST_REQUESTS.as_secs());
    }
}

/// The next connection, once there is room for it.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // Nobody closes the semaphore.
    let place = Arc::clone(room).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are whole: waiting to fill a packet only costs time.
                let _ = stream.set_nodelay(true);
                return (stream, peer, place);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
