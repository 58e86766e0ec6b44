//! End-to-end tests: scripts in which Romeo and Juliet talk to a server, and third-party clients.
//!
//! A script (`scripts/*.scs`) is plain text for protocol people; `scripts/README.md` has the
//! language. Each runs against a server process of its own, on a data directory of its own. The
//! client that speaks for the actors is written from the RFCs alone and shares nothing with the
//! server but the XML reader, so that a mistake is not made on both sides and missed. The tests of
//! disks also open the store itself, to fill it and to put it alone on a disk that fails.
//!
//! Does not: know how the server works inside, or wait for time to pass. That a stanza does *not*
//! arrive is proved by pings that overtake nothing (RFC 6120 §10.1).
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "these tests talk to real processes, so they need a real clock for their deadlines"
)]

mod error;

mod script;
mod template;

mod pattern;

mod actor;
mod connection;
mod ht;
mod identity;
mod login;
mod scram;
mod splitter;
mod tls;

mod confined;
mod health;
mod performance;
mod server;

mod clients;
mod disk;
mod ledger;
mod suite;

pub mod hostile;

pub use clients::run_clients;
pub use confined::{DENIED, Denied};
pub use disk::run_disk;
pub use error::{Error, Result};
pub use ledger::{Options as LedgerOptions, Plan, Property, run as run_ledger, run_bug};
pub use server::{Launch, Listeners};
pub use suite::{Tally, run_scripts};
