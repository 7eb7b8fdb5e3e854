//! How many copies of everything a cluster keeps, and in which datacenters.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

/// The replication asked for: `3`, or `dc1:3,dc2:3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replication {
    /// That many copies in each datacenter.
    Everywhere(u8),
    /// That many copies in each of these datacenters.
    Datacenters(BTreeMap<String, u8>),
}

/// A text names no replication.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no replication: give a number of copies from 1 to 99, or one for each datacenter: dc1:3,dc2:3")]
pub struct ReplicationError(String);

impl Default for Replication {
    fn default() -> Self {
        Self::Everywhere(3)
    }
}

impl FromStr for Replication {
    type Err = ReplicationError;
    fn from_str(text: &str) -> Result<Self, ReplicationError> {
        let wrong = || ReplicationError(text.to_owned());
        let copies = |text: &str| text.parse().ok().filter(|copies| (1..100).contains(copies)).ok_or_else(wrong);
        if !text.contains(':') {
            return copies(text).map(Self::Everywhere);
        }
        let mut datacenters = BTreeMap::new();
        for part in text.split(',') {
            let (name, number) = part.split_once(':').ok_or_else(wrong)?;
            let fits = |found: char| found.is_ascii_alphanumeric() || matches!(found, '_' | '-' | '.');
            let new = datacenters.insert(name.to_owned(), copies(number)?).is_none();
            if name.is_empty() || !name.chars().all(fits) || !new {
                return Err(wrong());
            }
        }
        Ok(Self::Datacenters(datacenters))
    }
}

impl fmt::Display for Replication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere(copies) => write!(f, "{copies}"),
            Self::Datacenters(datacenters) => {
                f.write_str(&datacenters.iter().map(|(name, copies)| format!("{name}:{copies}")).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl Replication {
    /// The map of `CREATE KEYSPACE`.
    pub(crate) fn cql(&self) -> String {
        let factors = match self {
            Self::Everywhere(copies) => format!("'replication_factor': {copies}"),
            Self::Datacenters(datacenters) => {
                datacenters.iter().map(|(name, copies)| format!("'{name}': {copies}")).collect::<Vec<_>>().join(", ")
            }
        };
        format!("{{'class': 'NetworkTopologyStrategy', {factors}}}")
    }

    /// The first datacenter with fewer nodes than copies asked of it: its name, the copies and the nodes.
    pub(crate) fn lacking(&self, nodes: &BTreeMap<String, usize>) -> Option<(String, u8, usize)> {
        let asked: Vec<(&String, u8)> = match self {
            Self::Everywhere(copies) => nodes.keys().map(|name| (name, *copies)).collect(),
            Self::Datacenters(datacenters) => datacenters.iter().map(|(name, copies)| (name, *copies)).collect(),
        };
        let there = |name: &String| nodes.get(name).copied().unwrap_or(0);
        asked.into_iter().map(|(name, copies)| (name.clone(), copies, there(name))).find(|(_, copies, there)| usize::from(*copies) > *there)
    }

    /// Whether a keyspace has what is asked for.
    pub(crate) fn is(&self, kept: &Kept) -> bool {
        match self {
            Self::Everywhere(copies) => kept.factors.values().all(|factor| *factor == copies.to_string()),
            Self::Datacenters(asked) => {
                kept.class == "NetworkTopologyStrategy"
                    && kept.factors == asked.iter().map(|(name, n)| (name.clone(), n.to_string())).collect()
            }
        }
    }
}

/// The replication a keyspace has, as its cluster says; written `NetworkTopologyStrategy dc1:3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    class: String,
    factors: BTreeMap<String, String>,
}

impl From<HashMap<String, String>> for Kept {
    fn from(mut map: HashMap<String, String>) -> Self {
        let class = map.remove("class").unwrap_or_default();
        let class = class.rsplit('.').next().unwrap_or_default().to_owned();
        Self { class, factors: map.into_iter().collect() }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let factors: Vec<String> = self.factors.iter().map(|(name, factor)| format!("{name}:{factor}")).collect();
        write!(f, "{} {}", self.class, factors.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(class: &str, factors: &[(&str, &str)]) -> Kept {
        let pairs = factors.iter().copied().chain([("class", class)]);
        Kept::from(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<HashMap<_, _>>())
    }

    #[test]
    fn a_replication_is_a_number_or_one_for_each_datacenter() {
        for text in ["1", "3", "a:1,b-2:3"] {
            assert_eq!(text.parse::<Replication>().unwrap().to_string(), text);
        }
        for wrong in ["", "0", "100", "-1", "x", "a:", ":3", "a:0", "a:1,", "a:1,a:2", "a':1", "a:1,3"] {
            assert!(wrong.parse::<Replication>().is_err(), "{wrong}");
        }
        assert_eq!("a:1,b:2".parse::<Replication>().unwrap().cql(), "{'class': 'NetworkTopologyStrategy', 'a': 1, 'b': 2}");
        assert_eq!(Replication::default().cql(), "{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}");
    }

    #[test]
    fn more_copies_than_nodes_are_noticed() {
        let nodes = BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 1)]);
        assert_eq!(Replication::Everywhere(1).lacking(&nodes), None);
        assert_eq!(Replication::Everywhere(2).lacking(&nodes), Some(("b".to_owned(), 2, 1)));
        let lacking = |text: &str| text.parse::<Replication>().unwrap().lacking(&nodes);
        assert_eq!(lacking("a:3"), None);
        assert_eq!(lacking("a:3,c:1"), Some(("c".to_owned(), 1, 0)));
    }

    #[test]
    fn what_a_keyspace_has_is_compared_with_what_is_asked() {
        let found = kept("org.apache.cassandra.locator.NetworkTopologyStrategy", &[("dc1", "3")]);
        assert_eq!(found.to_string(), "NetworkTopologyStrategy dc1:3");
        let is = |text: &str| text.parse::<Replication>().unwrap().is(&found);
        assert!(is("3") && is("dc1:3") && !is("1") && !is("dc1:2") && !is("dc1:3,dc2:3"));
        assert!(Replication::Everywhere(1).is(&kept("SimpleStrategy", &[("replication_factor", "1")])));
    }
}
