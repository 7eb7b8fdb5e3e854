//! `cql://host1[:port],host2/keyspace`: which cluster, and which keyspace of it.

use std::fmt;
use std::str::FromStr;

/// The port of CQL where the URL names none.
const PORT: u16 = 9042;
/// The longest name of a keyspace, in characters.
const KEYSPACE_MAX_LEN: usize = 48;

/// Which keyspace of which cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CqlUrl {
    /// Nodes to ask first, each as `host:port`; the others are found through them.
    pub nodes: Vec<String>,
    /// The keyspace.
    pub keyspace: String,
}

/// Why a text is not such a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not of that form.
    #[error("{0:?} is not cql://HOST[:PORT],HOST/KEYSPACE")]
    Form(String),
    /// A host that is none.
    #[error("{0:?} is no host: name nodes as HOST or HOST:PORT, separated by commas")]
    Host(String),
    /// A port that is none.
    #[error("{0:?} is no port: a port is a number from 1 to 65535")]
    Port(String),
    /// A user or password.
    #[error("a URL holds no user and password, as it shows in logs and process lists: give them as options")]
    User,
    /// A keyspace that cannot be one.
    #[error("{0:?} is no keyspace: 1 to {KEYSPACE_MAX_LEN} of a-z 0-9 _, the first a letter")]
    Keyspace(String),
}

impl FromStr for CqlUrl {
    type Err = UrlError;
    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.contains('@') {
            return Err(UrlError::User);
        }
        let rest = text.strip_prefix("cql://").ok_or_else(|| UrlError::Form(text.to_owned()))?;
        let (nodes, keyspace) = rest.split_once('/').ok_or_else(|| UrlError::Form(text.to_owned()))?;
        let nodes = nodes.split(',').map(node).collect::<Result<_, _>>()?;
        let plain = |found: char| found.is_ascii_lowercase() || found.is_ascii_digit() || found == '_';
        let named = keyspace.starts_with(|first: char| first.is_ascii_lowercase()) && keyspace.chars().all(plain);
        if !named || keyspace.len() > KEYSPACE_MAX_LEN {
            return Err(UrlError::Keyspace(keyspace.to_owned()));
        }
        Ok(Self { nodes, keyspace: keyspace.to_owned() })
    }
}

/// A node with its port; an IPv6 address stands in brackets.
fn node(text: &str) -> Result<String, UrlError> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(host, rest)| (host, rest.strip_prefix(':'), rest));
    let (host, port) = match bracketed {
        Some((_, None, rest)) if !rest.is_empty() => return Err(UrlError::Host(text.to_owned())),
        Some((host, port, _)) => (format!("[{host}]"), port),
        None => match text.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        },
    };
    let inner = host.trim_matches(['[', ']']);
    let fits = |found: char| found.is_ascii_alphanumeric() || matches!(found, '.' | '-' | '_') || (bracketed.is_some() && found == ':');
    if inner.is_empty() || !inner.chars().all(fits) {
        return Err(UrlError::Host(text.to_owned()));
    }
    let port = match port {
        None => PORT,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| UrlError::Port(port.to_owned()))?,
    };
    Ok(format!("{host}:{port}"))
}

impl fmt::Display for CqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cql://{}/{}", self.nodes.join(","), self.keyspace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_nodes_and_a_keyspace() {
        let url: CqlUrl = "cql://db1,db2:9043,[::1]:7,[fe80::2]/door_counts".parse().unwrap();
        assert_eq!(url.nodes, ["db1:9042", "db2:9043", "[::1]:7", "[fe80::2]:9042"]);
        assert_eq!(url.keyspace, "door_counts");
        assert_eq!(url.to_string().parse(), Ok(url));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let form = |text: &str| UrlError::Form(text.to_owned());
        let host = |text: &str| UrlError::Host(text.to_owned());
        let port = |text: &str| UrlError::Port(text.to_owned());
        let keyspace = |text: &str| UrlError::Keyspace(text.to_owned());
        for (text, why) in [
            ("db1/ks", form("db1/ks")),
            ("cql://db1", form("cql://db1")),
            ("cql:///ks", host("")),
            ("cql://db1,/ks", host("")),
            ("cql://:9042/ks", host(":9042")),
            ("cql://d b/ks", host("d b")),
            ("cql://[::1]x/ks", host("[::1]x")),
            ("cql://db1:0/ks", port("0")),
            ("cql://db1:/ks", port("")),
            ("cql://db1:65536/ks", port("65536")),
            ("cql://me:secret@db1/ks", UrlError::User),
            ("cql://db1/", keyspace("")),
            ("cql://db1/Ks", keyspace("Ks")),
            ("cql://db1/1ks", keyspace("1ks")),
            ("cql://db1/a/b", keyspace("a/b")),
        ] {
            assert_eq!(text.parse::<CqlUrl>(), Err(why), "{text}");
        }
        assert!(format!("cql://db1/{}", "k".repeat(49)).parse::<CqlUrl>().is_err());
    }
}
