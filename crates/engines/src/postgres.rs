//! The programs of a real `PostgreSQL`, where the system has none: for what is compared with it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::EngineError;
use crate::jars;

/// Unpacks its server into a folder; returns where `initdb` and `postgres` are.
///
/// # Errors
/// Java, Maven, tar or xz is missing, or it cannot be fetched.
pub fn postgres(into: &Path) -> Result<PathBuf, EngineError> {
    // As the jars name it.
    let platform = if cfg!(target_arch = "aarch64") { "linux-arm64v8" } else { "linux-amd64" };
    let jar = named(&jars::jars("postgres")?, platform)?;
    run("jar", &jars::java()?.with_file_name("jar"), &["xf".as_ref(), jar.as_ref()], into)?;
    run("tar", "tar".as_ref(), &["-xJf".as_ref(), named(into, ".txz")?.as_ref()], into)?;
    Ok(into.join("bin"))
}

/// The file of a folder with this in its name.
fn named(folder: &Path, part: &str) -> Result<PathBuf, EngineError> {
    let entries = std::fs::read_dir(folder).map_err(EngineError::doing("reading", folder))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let found = paths.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(part)));
    let none = || std::io::Error::new(std::io::ErrorKind::NotFound, format!("no file with {part} in its name"));
    found.ok_or_else(none).map_err(EngineError::doing("reading", folder))
}

fn run(program: &'static str, path: &Path, words: &[&OsStr], within: &Path) -> Result<(), EngineError> {
    let output = Command::new(path).args(words).current_dir(within).output().map_err(EngineError::starting(program, path))?;
    EngineError::unless_done(output, || format!("unpacking PostgreSQL with {program}")).map(drop)
}
