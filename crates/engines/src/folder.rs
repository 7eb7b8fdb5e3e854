//! A temporary folder that goes away with this process, even by kill -9.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::EngineError;

/// Waits for the end of standard input, then removes the folder. An engine that is being killed may still write:
/// tried until nothing comes back.
const WATCHER: &str = r#"
read -r _
for _ in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf "$1" && sleep 0.1
  [ -e "$1" ] || exit 0
  sleep 0.2
done
"#;

/// A temporary folder; removed when dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    watcher: Child,
}

impl Folder {
    /// A new folder under the system's one for temporary files, its name ending in random letters and digits.
    ///
    /// # Errors
    /// No folder can be made there, or no shell started.
    pub fn new(prefix: &str, random: usize) -> Result<Self, EngineError> {
        let parent = std::env::temp_dir();
        let path = tempfile::Builder::new()
            .prefix(prefix)
            .rand_bytes(random)
            .tempdir_in(&parent)
            .map_err(EngineError::doing("making a folder in", &parent))?;
        let mut watcher = Command::new("sh");
        watcher.args(["-c", WATCHER, "sh"]).arg(path.path()).process_group(0);
        watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watcher = watcher.spawn().map_err(EngineError::doing("starting", Path::new("sh")))?;
        Ok(Self { path: path.keep(), watcher })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it.
    pub(crate) fn make(&self, name: &str) -> Result<PathBuf, EngineError> {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).map_err(EngineError::doing("making", &path))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}
