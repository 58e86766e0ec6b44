//! The engine of a cluster: rows in PostgreSQL, or in what speaks its protocol and its SQL.
//!
//! In reading order: `options` say where the database is, and `tls` how to get there; the `engine`
//! hands reads to the `reader` and commits to the `queue`, the `committer` takes groups from it and
//! writes each as one `transaction`; a `session` is one connection with its statements, and
//! `schema` what it finds there or makes.
//!
//! One commit is in flight at a time, and covers what arrived while the last one was. Each carries
//! a number that its transaction checks and keeps, so that a commit whose answer was lost can be
//! tried again and takes effect once.
//!
//! Nodes of a cluster write a shard under the epoch of its owner (`fences`): whoever lost it is
//! kept out from the moment at which its new owner has claimed it.
//!
//! The SQL is portable: no extension, no advisory lock, no sequence.
//!
//! Does not: spread rows over several databases, or make a commit cheaper that did not ask for
//! durability.
#![forbid(unsafe_code)]

mod committer;
mod engine;
mod fences;
mod open_error;
mod options;
mod place;
mod queue;
mod reader;
mod schema;
mod session;
mod tls;
mod transaction;

pub use engine::PostgresEngine;
pub use fences::{CLUSTER_BYTES, ClusterId};
pub use open_error::OpenError;
pub use options::Options;
pub use place::{About, Place};
pub use tls::Tls;
