//! A second witness of what is on disk: the number of the last synced group, in a file beside the
//! log.
//!
//! It is written after the sync and not synced itself: after a loss of power it may say less than
//! is true, never more. What it adds is the end of the log: a tail that was acknowledged and is
//! gone leaves no trace in the log itself.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::record::number_at;

/// Name of the file.
pub(crate) const NAME: &str = "synced";

/// The open file.
pub(crate) struct Witness(File);

impl Witness {
    /// Opens the file in the log's directory; made if it is not there.
    pub fn open(directory: &Path) -> io::Result<Witness> {
        let path = directory.join(NAME);
        OpenOptions::new().write(true).create(true).truncate(false).open(path).map(Witness)
    }

    /// Group `number` and all before it are on disk. A failure costs nothing but the hint.
    pub fn say(&self, number: u64) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes[8..].copy_from_slice(&xxh3_64(&number.to_le_bytes()).to_le_bytes());
        if let Err(error) = self.0.write_all_at(&bytes, 0) {
            tracing::debug!(%error, "the number of the last synced group was not noted");
        }
    }
}

/// What was noted last; 0 if nothing was, or nothing that can be read.
pub(crate) fn read(directory: &Path) -> u64 {
    let path = directory.join(NAME);
    let Ok(bytes) = std::fs::read(&path) else { return 0 };
    let number = number_at::<8>(&bytes, 0).unwrap_or(0);
    if number_at::<8>(&bytes, 8) == Some(xxh3_64(&number.to_le_bytes())) {
        return number;
    }
    if bytes.iter().any(|byte| *byte != 0) {
        let file = path.display();
        tracing::warn!(%file, "does not read; the log is checked without it");
    }
    0
}
