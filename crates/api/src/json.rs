//! Answers as JSON.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::problem::{Kind, Problem};

/// More than most answers take: one that fits is written where it stays.
const USUAL_BYTES: usize = 1024;

/// An answer that is written as JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut body = Vec::with_capacity(USUAL_BYTES);
        match serde_json::to_writer(&mut body, &self.0) {
            Ok(()) => ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], Body::from(body)).into_response(),
            Err(error) => Problem::new(Kind::Internal, error.to_string()).into_response(),
        }
    }
}
