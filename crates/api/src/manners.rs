//! How every request is met: it gets an id, one address may not ask too often, and pages of other origins may read where
//! that is allowed.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tower_http::cors::{AllowOrigin, CorsLayer};
use uuid::Uuid;

use crate::problem::{Kind, Problem};

/// The header that carries a request's id, both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken over from the sender, in bytes.
const REQUEST_ID_MOST: usize = 128;
/// How many addresses are remembered before those that have kept quiet are forgotten.
const ADDRESSES: usize = 65_536;
/// How long a browser may remember what pages of an origin may do.
const CORS_MAX_AGE: Duration = Duration::from_secs(3600);

/// How requests are met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manners {
    /// Pages of these origins may use the API from a browser; `*` for any.
    pub cors_origins: Vec<HeaderValue>,
    /// How many requests a second one address may make, and at once; `None` for any number.
    pub requests_per_second: Option<NonZeroU32>,
    /// How many proxies of our own stand before this server: so many addresses from the right in `X-Forwarded-For` the
    /// client's stands. With 0 the header is not believed.
    pub proxies: u8,
}

/// Who is connected; whoever accepts a connection adds it to its requests. A request without is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// A request, as the log names it.
pub(crate) struct Asked {
    id: String,
    method: Method,
    uri: Uri,
}

tokio::task_local! {
    /// The request that is being answered: told where something is logged, as a span would have to be written for each.
    static ASKED: Asked;
}

/// The request that is being answered: its id, method and path.
pub(crate) fn asked() -> String {
    ASKED.try_with(|Asked { id, method, uri }| format!("{id} {method} {}", uri.path())).unwrap_or_default()
}

impl Asked {
    /// A request with an id, the sender's own where it has one.
    pub(crate) fn of(request: &Request) -> Self {
        let told = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok());
        let told = told.filter(|id| (1..=REQUEST_ID_MOST).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
        let id = told.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
        Self { id, method: request.method().clone(), uri: request.uri().clone() }
    }

    /// The id, as its answer carries it in [`REQUEST_ID`].
    pub(crate) fn id(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.id).ok()
    }

    /// Answers it; the log then names it.
    pub(crate) fn scope<A: Future>(self, answer: A) -> impl Future<Output = A::Output> {
        ASKED.scope(self, answer)
    }
}

/// What pages of other origins may do.
pub(crate) fn cors(origins: &[HeaderValue]) -> CorsLayer {
    let any = origins.iter().any(|origin| origin == "*");
    let allowed = if any { AllowOrigin::any() } else { AllowOrigin::list(origins.iter().cloned()) };
    let [key, last_event] = ["idempotency-key", "last-event-id"].map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([header::ACCEPT, header::CONTENT_TYPE, header::IF_MATCH, header::IF_NONE_MATCH, key, last_event, REQUEST_ID])
        .expose_headers([header::ETAG, header::LINK, header::RETRY_AFTER, REQUEST_ID])
        .max_age(CORS_MAX_AGE)
}

/// Who asks how often; cheap to clone.
#[derive(Clone)]
pub(crate) struct Limit {
    per_second: NonZeroU32,
    proxies: u8,
    limiter: Arc<DefaultKeyedRateLimiter<IpAddr>>,
}

impl Limit {
    pub(crate) fn new(per_second: NonZeroU32, proxies: u8) -> Self {
        Self { per_second, proxies, limiter: Arc::new(RateLimiter::keyed(Quota::per_second(per_second))) }
    }

    /// Refuses what one address asks beyond its limit.
    pub(crate) fn refuses(&self, request: &Request) -> Option<Problem> {
        let Peer(peer) = *request.extensions().get::<Peer>()?;
        if self.limiter.len() > ADDRESSES {
            self.limiter.retain_recent();
        }
        let address = client(peer, request.headers(), self.proxies);
        let wait = self.limiter.check_key(&network(address)).err()?;
        let wait_s = wait.wait_time_from(DefaultClock::default().now()).as_secs() + 1;
        Some(too_often(address, self.per_second, wait_s))
    }
}

/// What is said to one who asks too often.
pub(crate) fn too_often(address: IpAddr, per_second: NonZeroU32, wait_s: u64) -> Problem {
    let detail = format!("{address} may make {per_second} requests a second (--requests-per-second): try again in {wait_s} s");
    Problem::retry(Kind::TooManyRequests, detail, wait_s)
}

/// The client's address: the peer's, or that which our outermost proxy saw.
fn client(peer: IpAddr, headers: &HeaderMap, proxies: u8) -> IpAddr {
    let told: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(',')).collect();
    let place = told.len().checked_sub(usize::from(proxies));
    let seen = place.and_then(|place| told.get(place)?.trim().parse().ok());
    seen.unwrap_or(peer)
}

/// Whoever has one IPv6 address has its whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_whom_our_outermost_proxy_saw() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut all = HeaderMap::new();
        for told in ["6.6.6.6, 1.2.3.4", "10.0.0.2"] {
            all.append("x-forwarded-for", HeaderValue::from_static(told));
        }
        let peer = address("10.0.0.9");
        for (proxies, client_is) in [(0, "10.0.0.9"), (1, "10.0.0.2"), (2, "1.2.3.4"), (3, "6.6.6.6"), (4, "10.0.0.9")] {
            assert_eq!(client(peer, &all, proxies), address(client_is), "{proxies} proxies");
        }
        assert_eq!(client(peer, &HeaderMap::new(), 1), peer);
        assert_eq!(network(address("2001:db8::1:2:3:4")), address("2001:db8::"));
        assert_eq!(network(address("::ffff:1.2.3.4")), address("1.2.3.4"));
    }
}
