//! One request for one page, within limits.

use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use occupancy::time::UnixMs;
use reqwest::header::{HeaderMap, LINK, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Proxy, Response, StatusCode};

use crate::config::{ConfigError, Provider};
use crate::headers;
use crate::page::Page;

/// Why there is no page. All of it is tried again: a page is never skipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The provider is busy or broken.
    #[error("the provider says {status}")]
    Busy {
        /// The status.
        status: u16,
        /// How long it asks to be left alone, in ms.
        retry_after_ms: Option<u64>,
    },
    /// The provider refuses the request: repeating it helps only once somebody changes something.
    #[error("the provider refuses the request with {0}: look at url and [headers]")]
    Refused(u16),
    /// It sends elsewhere.
    #[error("the provider redirects ({0}), which is not followed: put the address it means into url")]
    Redirected(u16),
    /// No answer, or not all of it.
    #[error("no whole answer: {0}")]
    Unreachable(String),
    /// More than is taken.
    #[error("the answer is larger than max_answer_bytes ({0}): ask for smaller pages, or raise it")]
    TooLarge(usize),
    /// Not JSON.
    #[error("the answer is no JSON: {0}")]
    NotJson(String),
    /// JSON, but no page.
    #[error("the answer is no page: {0}")]
    Shape(String),
    /// The cursor makes no URL.
    #[error(transparent)]
    Cursor(#[from] ConfigError),
}

impl Trouble {
    /// Whether somebody has to change something first.
    #[must_use]
    pub fn lasts(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Redirected(_) | Self::Cursor(_))
    }

    /// How long the provider asks to be left alone, in ms.
    pub(crate) fn retry_after_ms(&self) -> Option<u64> {
        if let Self::Busy { retry_after_ms, .. } = self { *retry_after_ms } else { None }
    }
}

/// Fetches pages of one provider.
pub(crate) struct Fetcher {
    client: Client,
}

impl Fetcher {
    /// Reads the secrets the headers name; files are relative to `folder`.
    pub(crate) fn new(provider: &Provider, folder: &Path) -> Result<Self, ConfigError> {
        let limits = &provider.limits;
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .user_agent(concat!("headcount/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers::resolve(&provider.headers, folder)?)
            .connect_timeout(Duration::from_millis(limits.connect_timeout_ms))
            .timeout(Duration::from_millis(limits.timeout_ms));
        let wrong = |setting: &str, why: String| ConfigError::Setting { setting: setting.to_owned(), why };
        if let Some(proxy) = &provider.proxy {
            builder = builder.proxy(Proxy::all(proxy).map_err(|error| wrong("proxy", error.to_string()))?);
        }
        if let Some(file) = &provider.ca_file {
            let path = folder.join(file);
            let pem = std::fs::read(&path).map_err(|error| wrong("ca_file", format!("cannot read {}: {error}", path.display())))?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| wrong("ca_file", error.to_string()))?;
            builder = builder.tls_certs_only(authorities);
        }
        let client = builder.build().map_err(|error| wrong("ca_file, proxy", format!("no client can be made: {error}")))?;
        Ok(Self { client })
    }

    /// Fetches the page of a cursor.
    pub(crate) async fn page(&self, provider: &Provider, cursor: Option<&str>, now: UnixMs) -> Result<Page, Trouble> {
        let url = provider.page_url(cursor)?;
        let mut answer = self.client.get(url.clone()).send().await.map_err(unreachable)?;
        if let Some(trouble) = refused(&answer, now, provider.limits.retry_after_longest_s) {
            return Err(trouble);
        }
        let links = answer.headers().get_all(LINK).iter().filter_map(|link| link.to_str().ok().map(str::to_owned)).collect::<Vec<_>>();
        let most = provider.limits.max_answer_bytes;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > most {
                return Err(Trouble::TooLarge(most));
            }
            body.extend_from_slice(&chunk);
        }
        provider.paging.read(&body, &links, &url)
    }
}

fn unreachable(error: reqwest::Error) -> Trouble {
    // The URL may hold what is nobody's business; causes say what happened.
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    Trouble::Unreachable(text)
}

/// What is wrong by the status.
fn refused(answer: &Response, now: UnixMs, longest_s: u64) -> Option<Trouble> {
    let status = answer.status();
    let again = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    match status.as_u16() {
        200 => None,
        300..400 => Some(Trouble::Redirected(status.as_u16())),
        400..500 if !again.contains(&status) => Some(Trouble::Refused(status.as_u16())),
        status => {
            let longest_ms = longest_s.saturating_mul(1_000);
            Some(Trouble::Busy { status, retry_after_ms: retry_after_ms(answer.headers(), now).map(|ms| ms.min(longest_ms)) })
        }
    }
}

/// `Retry-After`, in seconds or as a date.
fn retry_after_ms(headers: &HeaderMap, now: UnixMs) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let date = UnixMs::of(&DateTime::parse_from_rfc2822(text).ok()?);
    u64::try_from(date.since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_provider_says_when_to_come_again() {
        let now: UnixMs = "2015-10-21T07:27:30Z".parse().unwrap();
        let of = |text: &str| retry_after_ms(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]), now);
        assert_eq!(of("120"), Some(120_000));
        assert_eq!(of("Wed, 21 Oct 2015 07:28:00 GMT"), Some(30_000));
        assert_eq!((of("Wed, 21 Oct 2015 07:27:00 GMT"), of("soon")), (None, None));
    }
}
