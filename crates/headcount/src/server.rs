//! Listening on addresses, and stopping in order.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long requests under way may take once the server stops.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// A router that answers on an address until it is told to stop.
pub(crate) struct Answering {
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<std::io::Result<()>>,
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
        let (stop, mut stopped) = watch::channel(false);
        let told = async move {
            // A dropped sender means stop as well.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        #[expect(clippy::disallowed_methods, reason = "the handle is kept and awaited in `stop`")]
        let task = tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(told).await });
        Ok(Self { address, stop, task })
    }

    /// Takes no more requests, and waits for those under way.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(LAST_REQUESTS, self.task).await.is_err() {
            tracing::warn!("requests were still under way after {} s; their senders will send again", LAST_REQUESTS.as_secs());
        }
    }
}
