//! Headers of requests, so that a secret need not stand in the provider's file.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::config::ConfigError;

/// Where the value of a header stands.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Value {
    /// Here.
    Plain(String),
    /// Elsewhere, behind a prefix like `Bearer `.
    Elsewhere(Elsewhere),
}

/// A value that stands elsewhere.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Elsewhere {
    /// In this environment variable.
    env: Option<String>,
    /// In this file, white space around it aside; relative to the provider's file.
    file: Option<String>,
    #[serde(default)]
    prefix: String,
}

/// The headers with their values; files are relative to `folder`.
pub(crate) fn resolve(headers: &BTreeMap<String, Value>, folder: &Path) -> Result<HeaderMap, ConfigError> {
    headers.iter().map(|(name, value)| one(name, value, folder).map_err(|why| wrong(name, why))).collect()
}

fn wrong(name: &str, why: String) -> ConfigError {
    ConfigError::Setting { setting: format!("headers.{name}"), why }
}

fn one(name: &str, value: &Value, folder: &Path) -> Result<(HeaderName, HeaderValue), String> {
    let header = HeaderName::try_from(name).map_err(|_| "this is no name of a header".to_owned())?;
    let (text, secret) = match value {
        Value::Plain(text) => (text.clone(), false),
        Value::Elsewhere(elsewhere) => (elsewhere.text(folder)?, true),
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| "its value has characters that no header may have".to_owned())?;
    value.set_sensitive(secret);
    Ok((header, value))
}

impl Elsewhere {
    fn text(&self, folder: &Path) -> Result<String, String> {
        let found = match (&self.env, &self.file) {
            (Some(env), None) => std::env::var(env).map_err(|_| format!("the environment variable {env} is not set"))?,
            (None, Some(file)) => {
                let path = folder.join(file);
                std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?
            }
            _ => return Err("give one of env, the name of an environment variable, and file, a path".to_owned()),
        };
        Ok(format!("{}{}", self.prefix, found.trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(toml: &str, folder: &Path) -> Result<HeaderMap, String> {
        resolve(&toml::from_str(toml).unwrap(), folder).map_err(|error| error.to_string())
    }

    #[test]
    fn values_stand_in_the_file_or_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "s3cret\n").unwrap();
        let toml = "accept = \"application/json\"\nauthorization = { file = \"token\", prefix = \"Bearer \" }\nx-path = { env = \"PATH\" }";
        let headers = resolved(toml, folder.path()).unwrap();
        assert_eq!(
            (&headers["accept"], &headers["authorization"]),
            (&HeaderValue::from_static("application/json"), &HeaderValue::from_static("Bearer s3cret"))
        );
        assert_eq!(headers["x-path"], std::env::var("PATH").unwrap());
        assert!(headers["authorization"].is_sensitive() && !format!("{headers:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (toml, says) in [
            ("a = { env = \"HEADCOUNT_NO_SUCH\" }", "headers.a: the environment variable HEADCOUNT_NO_SUCH is not set"),
            ("a = { file = \"none\" }", "headers.a: cannot read"),
            ("a = { prefix = \"x\" }", "headers.a: give one of env"),
            ("\"a b\" = \"x\"", "headers.a b: this is no name"),
            ("a = \"x\\n\"", "headers.a: its value has characters"),
        ] {
            let error = resolved(toml, folder.path()).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
