//! The limit of a count: one row of the bare database behind bare HTTP, with none of our code around it.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Result;
use fjall::Keyspace;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::bare::{self, Rows};
use crate::served::Program;

/// A server that reads the row named in the path, on threads of its own, as many as the program has.
pub(crate) struct BareServed {
    pub(crate) address: SocketAddr,
    runtime: Runtime,
    _rows: Rows,
}

impl BareServed {
    /// Fills a database with so many rows of each DPU and serves it.
    pub(crate) async fn over(program: &Program, dpus: usize, per_dpu: usize) -> Result<Self> {
        let rows = Rows::filled(program, dpus, per_dpu)?;
        let runtime = Builder::new_multi_thread().enable_all().build()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, table) = (listener.local_addr()?, rows.table.clone());
        let listener = listener.into_std()?;
        runtime.spawn(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                // Answers are whole: waiting to fill a packet only costs time.
                let _ = stream.set_nodelay(true);
                let table = table.clone();
                let service = service_fn(move |request| std::future::ready(Ok::<_, Infallible>(answer(&table, &request))));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, runtime, _rows: rows })
    }

    pub(crate) fn stop(self) {
        self.runtime.shutdown_background();
    }
}

/// The length of the row `/DPU/NUMBER`.
fn answer(table: &Keyspace, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let row = || {
        let (dpu, k) = request.uri().path().strip_prefix('/')?.split_once('/')?;
        table.get(bare::key(dpu.parse().ok()?, k.parse().ok()?)).ok()?
    };
    let row = row();
    let mut answer = Response::new(Full::new(Bytes::from(row.as_ref().map_or(0, |row| row.len()).to_string())));
    if row.is_none() {
        *answer.status_mut() = StatusCode::NOT_FOUND;
    }
    answer
}
