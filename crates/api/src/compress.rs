//! Answers compressed for whoever takes them so.

use std::convert::Infallible;
use std::future::ready;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::compression::CompressionLayer;

use crate::live::Endless;

/// What a client takes an answer as.
pub(crate) struct Takes(Vec<HeaderValue>);

impl Takes {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get_all(ACCEPT_ENCODING).iter().cloned().collect())
    }

    /// The answer as it is taken; without the room that compressing needs where it is taken as it is, or has no end.
    pub(crate) async fn compress(self, mut answer: Response) -> Response {
        if answer.extensions().get::<Endless>().is_some() {
            return answer;
        }
        if self.0.is_empty() {
            answer.headers_mut().append(VARY, ACCEPT_ENCODING.into());
            return answer;
        }
        let mut asked = Request::new(());
        asked.headers_mut().extend(self.0.into_iter().map(|taken| (ACCEPT_ENCODING, taken)));
        let whole = service_fn(move |_: Request<()>| ready(Ok::<_, Infallible>(std::mem::take(&mut answer))));
        let Ok(answer) = Box::pin(CompressionLayer::new().layer(whole).oneshot(asked)).await;
        answer.map(Body::new)
    }
}
