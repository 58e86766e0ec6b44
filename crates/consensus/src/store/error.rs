//! What can be wrong with the directory of a node.

use std::io;
use std::path::Path;

/// Why the directory cannot be used. None of them heals by trying again, and a node that met one
/// has to stop: what it acknowledged may not be there.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk holds something else than what was written, or less. The node must not go on under
    /// its id: it joins anew, with an empty directory.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// Where.
        path: String,
        /// What does not hold.
        why: String,
    },
    /// The directory belongs to another node, or to another cluster.
    #[error("this directory belongs to {found}, not to {wanted}")]
    Identity {
        /// Who it belongs to.
        found: String,
        /// Who was to use it.
        wanted: String,
    },
    /// Another process uses the directory.
    #[error("{0} is in use by another process")]
    Locked(String),
    /// The system refused to read or write.
    #[error("{path}: {error}")]
    System {
        /// Where.
        path: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Written by a version that this one cannot read.
    #[error("format {found} is unknown; known is {known}")]
    Version {
        /// The format found.
        found: u32,
        /// The format this version writes.
        known: u32,
    },
}

impl StoreError {
    pub(super) fn damaged(path: &Path, why: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: path.display().to_string(), why: why.into() }
    }

    pub(super) fn system(path: &Path, error: io::Error) -> StoreError {
        StoreError::System { path: path.display().to_string(), error }
    }

    /// What redb says, of which the kinds it distinguishes matter here.
    pub(super) fn of_redb(path: &Path, error: impl Into<redb::Error>) -> StoreError {
        match error.into() {
            redb::Error::Io(error) => StoreError::system(path, error),
            redb::Error::DatabaseAlreadyOpen => StoreError::Locked(path.display().to_string()),
            other => StoreError::damaged(path, other.to_string()),
        }
    }
}
