//! The directory of a node: who it is, its vote, its log and its snapshot, in one redb file.
//!
//! ```text
//! lock      held by the process that uses it
//! log.redb  everything, in tables with checksums
//! witness   the number of the last commit that was acknowledged
//! ```
//!
//! Bytes in, bytes out: what an entry or a vote consists of is known to `raft` alone.

#[cfg(test)]
mod crash_test;
#[cfg(test)]
mod damage_test;
mod directory;
mod error;
mod file;
mod rows;
mod witness;

pub use directory::Directory;
pub use error::StoreError;
pub(crate) use rows::{Appended, Fact, Rows};
