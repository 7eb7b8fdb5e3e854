//! Flags, `HEADCOUNT_*` variables and a TOML file say the same things: a flag beats a variable, a variable the file.

use std::ffi::OsString;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{ArgAction, Command, CommandFactory, Error, FromArgMatches};

use crate::args::Args;

/// The program's arguments, from the command line, the environment and the file `--config` or `HEADCOUNT_CONFIG` names.
///
/// # Errors
/// What clap says of them, or of the file.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Args, Error> {
    let words: Vec<OsString> = words.into_iter().collect();
    let mut command = Args::command();
    if let Some(path) = config_path(&words) {
        command = with_file(command, Path::new(&path))?;
    }
    Args::from_arg_matches(&command.try_get_matches_from(words)?)
}

/// Where the file is, found before everything else is parsed, as it decides the defaults. `pull --config` names a provider.
fn config_path(words: &[OsString]) -> Option<OsString> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "pull" {
            break;
        }
        if word == "--config" {
            return words.next().cloned();
        }
        if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("--config=")) {
            return Some(path.into());
        }
    }
    std::env::var_os("HEADCOUNT_CONFIG")
}

/// The command with the file's settings as defaults. Keys are the long flags' names, with `_` for `-`.
fn with_file(command: Command, path: &Path) -> Result<Command, Error> {
    let shown = path.display();
    let fail = |text: String| Command::new("headcount").error(ErrorKind::ValueValidation, text);
    let text = std::fs::read_to_string(path).map_err(|error| fail(format!("cannot read the configuration {shown}: {error}")))?;
    let file: toml::Table = text.parse().map_err(|error| fail(format!("{shown} is no TOML: {error}")))?;
    let mut known: Vec<String> = command.get_subcommands().flat_map(settings_of).collect();
    known.sort();
    known.dedup();
    let mut values: Vec<(String, String)> = Vec::new();
    for (key, value) in file {
        if !known.contains(&key) {
            return Err(fail(format!("{shown}: there is no setting {key:?}; there are {}", known.join(", "))));
        }
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(on) => on.to_string(),
            other => return Err(fail(format!("{shown}: {key} is a {}; it must be a text, a number or true or false", other.type_str()))),
        };
        values.push((key, value));
    }
    Ok(command.mut_subcommands(|sub| {
        values.iter().fold(sub, |sub, (key, value)| {
            if settings_of(&sub).contains(key) { sub.mut_arg(key, |arg| arg.default_value(value.clone())) } else { sub }
        })
    }))
}

/// What of a subcommand can be set in a file: whatever has an environment variable.
fn settings_of(command: &Command) -> Vec<String> {
    let settable = |arg: &&clap::Arg| arg.get_env().is_some() && !matches!(arg.get_action(), ArgAction::Help | ArgAction::Version);
    command.get_arguments().filter(settable).map(|arg| arg.get_id().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Task;

    fn listen(words: &[&str]) -> Result<String, String> {
        let words = ["headcount"].iter().chain(words).map(OsString::from);
        match parse(words).map_err(|error| error.to_string())?.task {
            Task::Serve(serve) => Ok(serve.listen.to_string()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_file_sets_what_flags_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headcount.toml");
        std::fs::write(&path, "listen = \"127.0.0.1:1234\"\nmax_clock_ahead_ms = 60000\n").unwrap();
        let config = path.to_str().unwrap();
        assert_eq!(listen(&["serve"]).unwrap(), "127.0.0.1:8080");
        assert_eq!(listen(&["--config", config, "serve"]).unwrap(), "127.0.0.1:1234");
        assert_eq!(listen(&[&format!("--config={config}"), "serve", "--listen", "127.0.0.1:99"]).unwrap(), "127.0.0.1:99");
    }

    #[test]
    fn a_provider_is_no_file_of_settings() {
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("headcount.toml");
        std::fs::write(&settings, "to = \"http://127.0.0.1:1234\"\n").unwrap();
        for words in
            [&["pull", "--config", "/nowhere.toml"][..], &["--config", settings.to_str().unwrap(), "pull", "--config=/nowhere.toml"]]
        {
            let words = ["headcount"].iter().chain(words).map(OsString::from);
            let Task::Pull(pull) = parse(words).unwrap().task else { panic!("another task") };
            assert_eq!(pull.config, Path::new("/nowhere.toml"));
        }
    }

    #[test]
    fn a_wrong_file_is_refused_with_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headcount.toml");
        for (text, says) in [
            ("lisen = \"x\"", "there is no setting \"lisen\"; there are "),
            ("listen = [1]", "listen is a array"),
            ("listen", "is no TOML"),
            ("listen = \"here\"", "invalid value 'here'"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = listen(&["--config", path.to_str().unwrap(), "serve"]).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert!(listen(&["--config", "/nowhere.toml", "serve"]).unwrap_err().contains("cannot read the configuration"));
    }
}
