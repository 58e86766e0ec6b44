//! The embedded engine: rows in `fjall` (an LSM tree), commits by one group committer.
//!
//! One thread commits: it takes what is queued, writes it as one atomic batch, syncs once, and
//! reports to everybody in it. A commit covers what arrived while the last one was in flight.
//!
//! Does not: retry after a failed sync. What the disk then holds is not known; the engine takes no
//! commits any more and says so.
#![forbid(unsafe_code)]

mod committer;
mod engine;
mod key;

pub use engine::{FjallEngine, Options};
