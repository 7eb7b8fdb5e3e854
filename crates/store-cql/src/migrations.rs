//! The schema as numbered migrations, and what is recorded of them in a keyspace.

use sha2::{Digest, Sha256};

use crate::error::OpenError;

/// One step of the schema. What was published never changes: a change is a new step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
}

/// All of them, numbered from 1 on.
pub(crate) const ALL: &[Migration] = &[Migration { number: 1, name: "tables", text: include_str!("../../../schemas/cql/0001_tables.cql") }];

/// A migration recorded in a keyspace: number, name, SHA-256.
pub(crate) type Recorded = (i64, String, String);

impl Migration {
    /// The checksum of its text, in hexadecimal.
    pub(crate) fn sha256(&self) -> String {
        Sha256::digest(self.text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its statements; each may be repeated.
    pub(crate) fn statements(&self) -> Vec<String> {
        let lines = self.text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let code = lines.collect::<Vec<_>>().join("\n");
        code.split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_owned).collect()
    }
}

/// The migrations a keyspace lacks, if those it has are this program's.
pub(crate) fn pending(keyspace: &str, recorded: &[Recorded]) -> Result<&'static [Migration], OpenError> {
    let known = u32::try_from(ALL.len()).unwrap_or(u32::MAX);
    for (number, name, sha256) in recorded {
        let of_ours = u32::try_from(*number).ok().and_then(|number| ALL.iter().find(|one| one.number == number));
        let Some(ours) = of_ours else {
            return Err(OpenError::Newer { keyspace: keyspace.to_owned(), found: *number, name: name.clone(), known });
        };
        if (name.as_str(), sha256.as_str()) != (ours.name, ours.sha256().as_str()) {
            return Err(OpenError::Changed {
                keyspace: keyspace.to_owned(),
                number: ours.number,
                name: name.clone(),
                found: sha256.clone(),
                known_name: ours.name.to_owned(),
                known: ours.sha256(),
            });
        }
    }
    let missing = |one: &&Migration| recorded.iter().all(|(number, ..)| *number != i64::from(one.number));
    let done = ALL.iter().take_while(|one| !missing(one)).count();
    match (recorded.last(), ALL.get(done)) {
        (Some((found, ..)), Some(lacks)) if *found > i64::from(lacks.number) => {
            Err(OpenError::Gap { keyspace: keyspace.to_owned(), found: *found, missing: lacks.number })
        }
        _ => Ok(ALL.get(done..).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A keyspace out there was made by this very text: a change of the schema is a new migration.
    #[test]
    fn published_migrations_stay_as_they_are() {
        let sums: Vec<(u32, &str, String)> = ALL.iter().map(|one| (one.number, one.name, one.sha256())).collect();
        assert_eq!(sums, [(1, "tables", "d0535893faae1fc815e70fecf81146ce2754e930b99b8dd9f0a97d869dc0eba2".to_owned())]);
        assert!(ALL.iter().zip(1..).all(|(one, number)| one.number == number));
    }

    #[test]
    fn every_statement_may_be_repeated() {
        let statements: Vec<String> = ALL.iter().flat_map(Migration::statements).collect();
        assert_eq!(statements.len(), 14);
        for statement in statements {
            assert!(statement.starts_with("CREATE ") && statement.contains(" IF NOT EXISTS "), "{statement}");
        }
    }

    #[test]
    fn only_this_programs_migrations_are_accepted() {
        let ours: Recorded = (1, "tables".to_owned(), ALL[0].sha256());
        assert_eq!(pending("ks", &[]).unwrap().len(), 1);
        assert!(pending("ks", std::slice::from_ref(&ours)).unwrap().is_empty());
        let newer = pending("ks", &[ours.clone(), (2, "more".to_owned(), String::new())]);
        assert!(matches!(newer, Err(OpenError::Newer { found: 2, known: 1, .. })));
        let changed = pending("ks", &[(1, "tables".to_owned(), "0".to_owned())]);
        assert!(matches!(changed, Err(OpenError::Changed { number: 1, .. })));
        let renamed = pending("ks", &[(1, "other".to_owned(), ours.2)]);
        assert!(matches!(renamed, Err(OpenError::Changed { number: 1, .. })));
    }
}
