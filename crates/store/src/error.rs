//! Our trouble with storage.

/// Why a read or a commit failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The queue of commits is at its bound, or the database is known to be away: try again later.
    /// Nothing was written.
    #[error("the store is busy")]
    Busy,
    /// A requirement of the batch did not hold. Nothing was written.
    #[error("a requirement of the commit does not hold")]
    Conflict,
    /// A row does not read as what it should be.
    #[error("a stored row is damaged: {0}")]
    Corrupt(&'static str),
    /// A file of the data directory is not what was written.
    #[error("{file} is damaged: {what}; restore a backup of the data directory")]
    Damaged {
        /// Which.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// The disk is full. Nothing was written; it works again when there is room.
    #[error("the disk is full")]
    Full,
    /// A shard that the batch is for has an owner with a later epoch. Nothing was written, nor will
    /// anything of an earlier commit of ours for this shard.
    #[error("the shard has a later owner")]
    Fenced,
    /// Writing or syncing failed. What the disk holds is not known, so nothing is acknowledged any
    /// more until a restart has read it anew: a failed fsync is never tried again.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The data directory is in use by another process.
    #[error("the data directory {0} is in use by another process")]
    Locked(String),
    /// The database does not answer. What was being written may still be written, or not: whoever
    /// writes the same again does no harm, and learns. A commit that is handed over later and is
    /// done settles it too. It works again when the database does.
    #[error("the database does not answer")]
    Unavailable,
    /// The data directory was written by a version that this one cannot read.
    #[error("the data directory has format {found}; this version reads {known}")]
    Version {
        /// What it says.
        found: u32,
        /// What we know.
        known: u32,
    },
}
