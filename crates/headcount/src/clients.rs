//! What clients of the API may do.

use std::num::NonZeroU32;

use api::Manners;
use axum::http::HeaderValue;

use crate::live::WATCHERS_MOST;

/// Flags of `serve` about its clients.
#[derive(Debug, clap::Args)]
pub(crate) struct Clients {
    /// How many clients may watch counts live at once; each needs a connection of its own
    #[arg(long, env = "HEADCOUNT_LIVE_CLIENTS", value_name = "NUMBER", default_value_t = WATCHERS_MOST)]
    pub live_clients: u32,
    /// How many requests a second one address may make, and at once; more are answered 429. Without it, any number
    #[arg(long, env = "HEADCOUNT_REQUESTS_PER_SECOND", value_name = "NUMBER")]
    pub requests_per_second: Option<NonZeroU32>,
    /// How many proxies of your own stand before this server: so many addresses from the right in X-Forwarded-For the
    /// client's stands
    #[arg(long, env = "HEADCOUNT_PROXIES", value_name = "NUMBER", default_value_t = 0)]
    pub proxies: u8,
    /// Pages of this origin (https://dashboard.example.org, or * for any) may use the API from a browser; may be repeated
    #[arg(long, env = "HEADCOUNT_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    pub cors_origin: Vec<HeaderValue>,
}

impl Clients {
    pub(crate) fn manners(&self) -> Manners {
        Manners { cors_origins: self.cors_origin.clone(), requests_per_second: self.requests_per_second, proxies: self.proxies }
    }
}

/// A browser names an origin exactly so: no path, and no slash at its end.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let whole = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']));
    let value = HeaderValue::from_str(text).ok().filter(|_| text == "*" || (whole && text.is_ascii()));
    value.ok_or_else(|| "expected http:// or https:// and a host, perhaps a port, and nothing after it; or *".to_owned())
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for good in ["*", "https://a.example", "http://127.0.0.1:3000"] {
            assert_eq!(origin(good).unwrap(), good);
        }
        for bad in ["", "a.example", "https://", "https://a.example/", "https://a.example/page", "ftp://a.example", "null", "https://ü"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
