//! One connection: requests and answers, one after the other, until it ends or an answer comes that has no end.
//!
//! Of such an answer the HTTP library writes the head alone. Then it is let go with its buffers for further requests, 16 KiB,
//! as thousands may listen to one, and what the answer says is written as it comes. It ends with its connection, as answers
//! of HTTP/1.0 do: so nothing of HTTP is left to be written.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::{Endless, Peer};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::Response;
use futures_util::StreamExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tower::ServiceExt;

/// How long a connection may take over the head of a request, and sit idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the body of an answer without end waits until its head is written.
type Endlessly = Arc<Mutex<Option<Body>>>;

/// Answers until the connection ends; once stopped, no more than the request under way.
pub(super) async fn answer(stream: TcpStream, peer: IpAddr, router: Router, stopped: watch::Receiver<bool>) {
    // Apart from the task, which outlives it where an answer has no end.
    let Some((mut stream, body)) = Box::pin(converse(stream, peer, router, stopped)).await else { return };
    let (from, to) = stream.split();
    tokio::select! {
        biased;
        // An error is the client's: it went away.
        _ = tell(to, body) => {}
        () = gone(from) => {}
    }
}

/// Answers requests, until the connection ends or nothing is left to be written but a body without end.
async fn converse(stream: TcpStream, peer: IpAddr, router: Router, mut stopped: watch::Receiver<bool>) -> Option<(TcpStream, Body)> {
    let endless = Endlessly::default();
    let service = service_fn(|request| Box::pin(respond(router.clone(), peer, request, Arc::clone(&endless))));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut connection = http.serve_connection(TokioIo::new(stream), service);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => {
                // An error is the client's: it went away, or did not speak HTTP.
                ended.ok()?;
                break;
            }
            // A dropped sender means stop as well.
            _ = stopped.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
    let body = endless.lock().unwrap_or_else(PoisonError::into_inner).take();
    // Told to stop, the library may be done before all is written.
    if let Some(body) = body.filter(|_| !stopping) {
        return Some((connection.into_parts().io.into_inner(), body));
    }
    let _ = connection.await;
    None
}

/// Answers one request; of an answer without end, with its head.
async fn respond(router: Router, peer: IpAddr, mut request: Request<Incoming>, endless: Endlessly) -> Result<Response, Infallible> {
    request.extensions_mut().insert(Peer(peer));
    // Nor is all written for sure where some of the request is still to come.
    let whole = request.method() == Method::GET && request.body().is_end_stream();
    let mut response = router.oneshot(request.map(Body::new)).await?;
    if whole && response.extensions().get::<Endless>().is_some() {
        *response.version_mut() = Version::HTTP_10;
        // Of unknown length, as what follows is.
        let none = Body::from_stream(futures_util::stream::empty::<Result<&str, Infallible>>());
        let body = std::mem::replace(response.body_mut(), none);
        *endless.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }
    Ok(response)
}

/// Writes a body as it comes.
async fn tell(mut to: WriteHalf<'_>, body: Body) -> std::io::Result<()> {
    let mut pieces = body.into_data_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        to.write_all(&piece).await?;
    }
    to.shutdown().await
}

/// Until the client has gone; what it still says is not heard.
async fn gone(mut from: ReadHalf<'_>) {
    let mut said = [0; 64];
    while from.read(&mut said).await.is_ok_and(|length| length > 0) {}
}
