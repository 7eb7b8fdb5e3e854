//! Java, and the jars of the engines: fetched by Maven once, kept in the target folder.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::EngineError;

/// Pinned, so that every machine fetches with the same.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// Where what can be fetched or made again is kept.
pub(crate) fn cache() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")).join("engines")
}

/// The program `java`, of the one version both engines run on.
pub(crate) fn java() -> Result<PathBuf, EngineError> {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    let java = home.unwrap_or_else(|| PathBuf::from("java"));
    let output = Command::new(&java).arg("-version").output().map_err(EngineError::starting("java", &java))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match said.split('"').nth(1) {
        Some(version) if version.split('.').next() == Some("17") => Ok(java),
        found => Err(EngineError::Java { found: found.unwrap_or(said.trim()).to_owned() }),
    }
}

/// The folder with all jars a file under `poms/` asks for.
pub(crate) fn jars(name: &str) -> Result<PathBuf, EngineError> {
    let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("poms").join(name).with_extension("xml");
    let wanted = std::fs::read(&pom).map_err(EngineError::doing("reading", &pom))?;
    let cache = cache();
    let folder = cache.join(name);
    // The pom lies with its jars, so that a changed one is noticed.
    let there = || std::fs::read(folder.join("pom.xml")).is_ok_and(|have| have == wanted);
    if there() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&cache).map_err(EngineError::doing("making", &cache))?;
    let path = cache.join("lock");
    let lock = File::create(&path).map_err(EngineError::doing("making", &path))?;
    lock.lock().map_err(EngineError::doing("locking", &path))?;
    if there() {
        return Ok(folder);
    }
    let new = tempfile::tempdir_in(&cache).map_err(EngineError::doing("making a folder in", &cache))?;
    fetch(&pom, new.path())?;
    std::fs::write(new.path().join("pom.xml"), &wanted).map_err(EngineError::doing("writing to", new.path()))?;
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(EngineError::doing("removing", &folder))?;
    }
    std::fs::rename(new.keep(), &folder).map_err(EngineError::doing("making", &folder))?;
    Ok(folder)
}

fn fetch(pom: &Path, into: &Path) -> Result<(), EngineError> {
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-f"]).arg(pom).arg(COPY).arg("-DincludeScope=runtime");
    maven.arg(format!("-DoutputDirectory={}", into.display()));
    let output = maven.output().map_err(EngineError::starting("mvn", Path::new("mvn")))?;
    EngineError::unless_done(output, || format!("fetching the jars of {} with mvn", pom.display())).map(drop)
}
