//! The limits of answers: bare HTTP, with none of our code around it.

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

/// A server on threads of its own, as many as the program has.
pub(crate) struct BareServed {
    pub(crate) address: SocketAddr,
    runtime: Runtime,
    _rows: Option<Rows>,
}

impl BareServed {
    /// Fills a database with so many rows of each DPU, and reads the row that is named in the path.
    pub(crate) async fn over(program: &Program, dpus: usize, per_dpu: usize) -> Result<Self> {
        let rows = Rows::filled(program, dpus, per_dpu)?;
        let table = rows.table.clone();
        let served = Self::answering(move |request| row(&table, request)).await?;
        Ok(Self { _rows: Some(rows), ..served })
    }

    /// Says the same to every request, until it is killed: for a process of its own, as the program has.
    pub(crate) fn alone(what: &str) -> Result<()> {
        let what = Bytes::copy_from_slice(what.as_bytes());
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let served = Self::answering(move |_| Response::new(Full::new(what.clone()))).await?;
            // As the program says where it answers.
            println!("all is at http://{}/metrics", served.address);
            std::future::pending().await
        })
    }

    async fn answering(answer: impl Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static) -> Result<Self> {
        let runtime = Builder::new_multi_thread().enable_all().build()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, listener) = (listener.local_addr()?, listener.into_std()?);
        runtime.spawn(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                // Answers are whole: waiting to fill a packet only costs time.
                let _ = stream.set_nodelay(true);
                let answer = answer.clone();
                let service = service_fn(move |request| std::future::ready(Ok::<_, Infallible>(answer(&request))));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, runtime, _rows: None })
    }

    pub(crate) fn stop(self) {
        self.runtime.shutdown_background();
    }
}

/// The length of the row `/DPU/NUMBER`.
fn row(table: &Keyspace, request: &Request<Incoming>) -> Response<Full<Bytes>> {
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
