//! The stanza ledger: a server is killed under load, again and again, and everything that it had
//! acknowledged has to be there, once and in order (promise P1).
//!
//! Clients with stream management (XEP-0198) talk to each other, lose their connections, resume,
//! log out and in, change their rosters and vCards. Senders note what `h` covers and send the rest
//! again; receivers note what arrives and acknowledge it. In the end the notes of both sides are
//! compared. `docs/proof.md` says what that proves.
//!
//! A seed repeats what everybody decides, not how threads and the kernel interleave it.

mod book;
mod client;
mod dice;
mod memory;
mod message;
mod register;
mod run;
mod session;
mod stage;
mod strike;
mod temper;
mod verdict;

pub use book::Property;
pub use run::{Options, run, run_bug};
pub use strike::Plan;
