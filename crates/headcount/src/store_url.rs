//! Which store, and how to log in to it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

/// Which store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// `memory:`
    Memory,
    /// `fjall:FOLDER`
    Fjall(PathBuf),
    /// `cql://HOST,HOST/KEYSPACE`
    #[cfg(feature = "cql")]
    Cql(store_cql::CqlUrl),
}

impl StoreUrl {
    /// Whether several processes can be at it at once.
    pub(crate) fn is_shared(&self) -> bool {
        match self {
            Self::Memory | Self::Fjall(_) => false,
            #[cfg(feature = "cql")]
            Self::Cql(_) => true,
        }
    }
}

impl FromStr for StoreUrl {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("fjall", folder)) if !folder.is_empty() => Ok(Self::Fjall(folder.into())),
            #[cfg(feature = "cql")]
            Some(("cql", _)) => text.parse().map(Self::Cql).map_err(|error: store_cql::UrlError| error.to_string()),
            #[cfg(not(feature = "cql"))]
            Some(("cql", _)) => Err("this program was built without cql: stores: build it with the feature `cql`".to_owned()),
            _ => Err("a store is fjall:FOLDER, memory: or cql://HOST,HOST/KEYSPACE".to_owned()),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Fjall(folder) => write!(f, "fjall:{}", folder.display()),
            #[cfg(feature = "cql")]
            Self::Cql(url) => write!(f, "{url}"),
        }
    }
}

impl StoreUrl {
    /// The URL that means the same store whatever the current folder.
    pub(crate) fn absolute(&self) -> io::Result<String> {
        match self {
            Self::Fjall(folder) => {
                // Without the links in it, where it is there.
                let folder = folder.canonicalize().or_else(|_| std::path::absolute(folder))?;
                Ok(Self::Fjall(folder).to_string())
            }
            other => Ok(other.to_string()),
        }
    }
}

/// How to log in to a `cql:` store.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Login {
    #[cfg(feature = "cql")]
    /// The user, where the cluster of a cql: store asks for one
    #[arg(long, env = "HEADCOUNT_CQL_USER", value_name = "NAME", requires = "cql_password")]
    pub cql_user: Option<String>,
    #[cfg(feature = "cql")]
    /// The user's password; better given as the variable, as flags show in process lists
    #[arg(long, env = "HEADCOUNT_CQL_PASSWORD", value_name = "PASSWORD", hide_env_values = true, requires = "cql_user")]
    pub cql_password: Option<Secret>,
    #[cfg(feature = "cql")]
    /// The local datacenter, where the cluster of a cql: store has several: the same for all consumers and servers
    #[arg(long, env = "HEADCOUNT_CQL_DATACENTER", value_name = "NAME")]
    pub cql_datacenter: Option<String>,
    #[cfg(feature = "cql")]
    /// Speak TLS to a cql: store, and trust the authorities in this PEM file; a node's certificate must name its address
    #[arg(long, env = "HEADCOUNT_CQL_CA", value_name = "FILE")]
    pub cql_ca: Option<PathBuf>,
}

/// A text that is not shown.
#[cfg(feature = "cql")]
#[derive(Clone)]
pub(crate) struct Secret(String);

#[cfg(feature = "cql")]
impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

#[cfg(feature = "cql")]
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

#[cfg(feature = "cql")]
impl Login {
    /// How to reach a keyspace.
    pub(crate) fn options(&self, url: &store_cql::CqlUrl) -> store_cql::CqlOptions {
        let login = self.cql_user.clone().zip(self.cql_password.clone().map(|password| password.0));
        let (datacenter, ca_file) = (self.cql_datacenter.clone(), self.cql_ca.clone());
        store_cql::CqlOptions { login, datacenter, ca_file, ..store_cql::CqlOptions::new(url.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_named_by_urls() {
        assert_eq!("fjall:./data".parse(), Ok(StoreUrl::Fjall("./data".into())));
        assert_eq!("memory:".parse(), Ok(StoreUrl::Memory));
        assert!("cassandra".parse::<StoreUrl>().is_err() && "fjall:".parse::<StoreUrl>().is_err());
    }

    #[cfg(feature = "cql")]
    #[test]
    fn a_keyspace_is_reached_with_a_login_that_is_not_shown() {
        let Ok(StoreUrl::Cql(url)) = "cql://db1,db2/doors".parse() else { panic!("no keyspace") };
        let login = Login { cql_user: Some("me".to_owned()), cql_password: Some(Secret("hush".to_owned())), ..Login::default() };
        let options = login.options(&url);
        assert_eq!(options.login, Some(("me".to_owned(), "hush".to_owned())));
        assert!(!format!("{login:?} {options:?}").contains("hush"));
        assert!("cql://db1".parse::<StoreUrl>().unwrap_err().contains("is not cql://HOST"));
    }
}
