//! The embedded engine: rows in an LSM tree (fjall's `lsm-tree`), a write-ahead log of our own in
//! front of it, and one group committer.
//!
//! In reading order: the `directory` is opened, `log::replay` fills the `tree` with what only the
//! log has, the `committer` takes groups from the `queue` into log and tree, and `upkeep` flushes,
//! compacts and watches the disk.
//!
//! One thread commits: it takes what is queued, writes it as one record, syncs once, and reports to
//! everybody in it. A commit covers what arrived while the last one was in flight.
//!
//! A full disk is a state that passes ([`StoreError::Full`](jackdaw_store::StoreError::Full)): the
//! log's room is on disk before it is used, a flush that finds none is tried again, and rows can
//! still be removed. A file that was acknowledged and is not what it was keeps the store from
//! opening, or is named as soon as it is found.
//!
//! Does not: retry after a failed sync. What the disk then holds is not known; the engine takes no
//! commits any more and says so.
#![forbid(unsafe_code)]

mod committer;
mod directory;
mod engine;
mod key;
mod log;
mod manifest;
mod queue;
mod tree;
mod upkeep;

pub use engine::{FjallEngine, FreeBytes, Options};
