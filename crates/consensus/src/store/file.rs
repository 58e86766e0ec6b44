//! The file below redb: counts how often it was made durable.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;

/// How often a file was made durable, and in tests whether that fails from now on.
#[derive(Debug, Default)]
pub(crate) struct Syncs {
    count: AtomicU64,
    #[cfg(test)]
    pub broken: std::sync::atomic::AtomicBool,
}

impl Syncs {
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    fn check(&self) -> io::Result<()> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk does not sync"));
        }
        Ok(())
    }

    #[cfg(not(test))]
    fn check(&self) -> io::Result<()> {
        Ok(())
    }
}

/// redb's own access to a file, with a count. Locks are left out: the directory has one.
#[derive(Debug)]
pub(super) struct CountedFile {
    file: FileBackend,
    syncs: Arc<Syncs>,
}

impl CountedFile {
    pub fn new(file: File, syncs: Arc<Syncs>) -> Result<CountedFile, redb::DatabaseError> {
        Ok(CountedFile { file: FileBackend::new(file)?, syncs })
    }
}

impl StorageBackend for CountedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.syncs.check()?;
        self.file.sync_data()?;
        self.syncs.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }
}
