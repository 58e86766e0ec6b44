//! The number of the last commit that was acknowledged, outside the file it speaks of.
//!
//! redb keeps two commits, and one byte of its header says which is the newer. A flip of that byte
//! is a valid file with one commit less; so is a copy that somebody put back. The witness is
//! written after each commit and before it is acknowledged. It is not synced: it survives the death
//! of the process, and after a loss of power it may be behind, never ahead.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::StoreError;
use super::directory::sync_directory;

/// The number and its checksum: in one sector, which disks write whole.
const BYTES: usize = 16;

/// The open file.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
}

impl Witness {
    /// Makes the file, durably.
    pub fn create(path: &Path, number: u64) -> Result<Witness, StoreError> {
        let failed = |error: io::Error| StoreError::system(path, error);
        let new = path.with_extension("new");
        let witness = Witness { file: File::create(&new).map_err(failed)? };
        witness.record(number).map_err(failed)?;
        witness.file.sync_all().map_err(failed)?;
        fs::rename(&new, path).map_err(failed)?;
        sync_directory(path.parent().unwrap_or(path)).map_err(failed)?;
        Ok(witness)
    }

    /// Opens the file and says what it holds.
    pub fn open(path: &Path) -> Result<(Witness, u64), StoreError> {
        let failed = |error: io::Error| StoreError::system(path, error);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let mut bytes = [0; BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(StoreError::damaged(path, "it is too short"));
            }
            other => other.map_err(failed)?,
        }
        let (number, checksum) = bytes.split_at(8);
        if xxh3_64(number).to_le_bytes() != checksum {
            return Err(StoreError::damaged(path, "its checksum is wrong"));
        }
        let number = number.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Ok((Witness { file }, number))
    }

    /// Notes a commit.
    pub fn record(&self, number: u64) -> io::Result<()> {
        let number = number.to_le_bytes();
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&number);
        bytes[8..].copy_from_slice(&xxh3_64(&number).to_le_bytes());
        self.file.write_all_at(&bytes, 0)
    }
}
