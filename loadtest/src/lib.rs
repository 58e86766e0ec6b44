//! XMPP clients by the thousand: an event loop of its own, a login that costs the generator little,
//! and the behaviours that make load of them.
//!
//! One thread runs an [`Engine`] with any number of clients. A [`Behaviour`] says what they do; it
//! gets whole stanzas as slices of the receive buffer and writes into buffers that are sent once
//! per turn, so that a message in steady state allocates nothing here.
//!
//! Does not: judge what it measures, start servers, or check certificates: it talks to a server
//! that is its own.

#![forbid(unsafe_code)]

mod client;
mod engine;
mod error;
mod histogram;
mod io;
mod login;
mod plan;
mod scan;
mod scram;
pub mod tls;
mod wire;

pub mod behaviour;

pub use engine::{Behaviour, Counts, Engine};
pub use error::{Error, Result};
pub use histogram::Histogram;
pub use io::{ClientId, Io};
pub use plan::{Identity, Method, Plan, Target};
