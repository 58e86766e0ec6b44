//! The directory of a store: whose it is, which format it has, and that it is whole.
//!
//! ```text
//! lock      held by the process that uses it
//! format    written last when the directory is made
//! log/      the write-ahead log
//! rows/     the tree
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jackdaw_store::StoreError;

use crate::log::replay::{damaged, segments, unreadable};
use crate::log::segment::{Segment, sync_directory};

/// Format of log and keys; a directory of another format is refused. 1 was fjall's own database.
const FORMAT: u32 = 2;

/// What the format file begins with; the number and a line feed follow.
const FORMAT_TEXT: &str = "jackdaw store, format ";

/// Where things are.
pub(crate) struct Directory {
    pub log: PathBuf,
    pub rows: PathBuf,
    /// Held as long as the store is open.
    _lock: File,
}

impl Directory {
    /// Opens the directory, or makes it: then its log has one segment of `segment_bytes`.
    ///
    /// `make_tree` makes an empty tree that is on disk when it returns.
    pub fn open(
        path: &Path,
        segment_bytes: u64,
        make_tree: impl FnOnce(&Path) -> Result<(), StoreError>,
    ) -> Result<Directory, StoreError> {
        fs::create_dir_all(path).map_err(|error| unreadable(path, &error))?;
        let lock = lock(path)?;
        let directory = Directory { log: path.join("log"), rows: path.join("rows"), _lock: lock };
        match fs::read(path.join("format")) {
            Ok(format) => check_format(&path.join("format"), &format)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                directory.make(path, segment_bytes, make_tree)?;
            }
            Err(error) => return Err(unreadable(&path.join("format"), &error)),
        }
        Ok(directory)
    }

    /// Makes what a store consists of, the format last: without it there is no store.
    fn make(
        &self,
        path: &Path,
        segment_bytes: u64,
        make_tree: impl FnOnce(&Path) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.expect_nothing(path)?;
        let failed = |error: io::Error| unreadable(path, &error);
        for leftover in [&self.log, &self.rows] {
            match fs::remove_dir_all(leftover) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                Ok(()) | Err(_) => {}
            }
        }
        fs::create_dir(&self.log).map_err(failed)?;
        Segment::create(&self.log, 1, segment_bytes).map_err(failed)?;
        make_tree(&self.rows)?;
        sync_directory(path).map_err(failed)?;
        let mut format = File::create_new(path.join("format.new"))
            .or_else(|_| File::create(path.join("format.new")))
            .map_err(failed)?;
        writeln!(format, "{FORMAT_TEXT}{FORMAT}").map_err(failed)?;
        format.sync_all().map_err(failed)?;
        fs::rename(path.join("format.new"), path.join("format")).map_err(failed)?;
        sync_directory(path).map_err(failed)?;
        // The directory itself may be new as well.
        path.parent().map_or(Ok(()), |parent| {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            sync_directory(parent).map_err(failed)
        })
    }

    /// A start that was cut short leaves an empty log and an empty tree. Whatever holds more than
    /// that is a store that has lost its format file, and is not begun anew.
    fn expect_nothing(&self, path: &Path) -> Result<(), StoreError> {
        if path.join("version").exists() && path.join("keyspaces").exists() {
            return Err(StoreError::Version { found: 1, known: FORMAT });
        }
        let tables = self.rows.join("tables");
        let has_tables = fs::read_dir(&tables).is_ok_and(|mut entries| entries.next().is_some());
        let log = if self.log.exists() { segments(&self.log)? } else { Vec::new() };
        let witnessed = crate::log::witness::read(&self.log);
        if has_tables || log.len() > 1 || witnessed > 0 {
            return Err(damaged(&path.join("format"), "it is missing, and there are rows".into()));
        }
        Ok(())
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path.join("lock"));
    let file = file.map_err(|error| unreadable(&path.join("lock"), &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(unreadable(&path.join("lock"), &error)),
    }
}

fn check_format(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let text = std::str::from_utf8(content).unwrap_or_default();
    let number = text.strip_prefix(FORMAT_TEXT).and_then(|rest| rest.strip_suffix('\n'));
    match number.and_then(|number| number.parse().ok()) {
        Some(FORMAT) => Ok(()),
        Some(found) => Err(StoreError::Version { found, known: FORMAT }),
        None => Err(damaged(path, "it does not read".into())),
    }
}
