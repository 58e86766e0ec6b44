//! Where the workspace is and what is tracked in it.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::process;

/// The work tree and the folder cargo builds into.
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// The workspace this program was built from.
    pub fn open() -> Result<Workspace> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .ancestors()
            .nth(2)
            .ok_or_else(|| Error::Answer("xtask does not lie in crates/".into()))?
            .to_path_buf();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(target) => root.join(target),
            None => root.join("target"),
        };
        Ok(Workspace { root, target })
    }

    /// The top of the work tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo builds, and where the gate keeps what it installs.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The server's binary of the release build.
    pub fn release_binary(&self) -> PathBuf {
        self.target.join("release/jackdaw")
    }

    /// Every tracked file, relative to the root.
    pub fn tracked_files(&self) -> Result<Vec<PathBuf>> {
        let listing = process::output(
            process::command("git").args(["ls-files", "-z", "--cached"]).current_dir(&self.root),
        )?;
        Ok(listing
            .split('\0')
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            // A file deleted but not yet committed is listed and not there.
            .filter(|path| self.root.join(path).is_file())
            .collect())
    }

    /// The text of a tracked file; `None` where it is not text.
    pub fn read(&self, path: &Path) -> Result<Option<String>> {
        let path = self.root.join(path);
        let bytes = std::fs::read(&path).map_err(Error::file(path))?;
        Ok(String::from_utf8(bytes).ok())
    }
}
