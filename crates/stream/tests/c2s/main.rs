//! The client stream machine against a scripted client, with a virtual clock.
//!
//! Every script runs twice, its bytes whole and one at a time, and must give the same.

mod login;
mod pair;
#[path = "../sasl/client.rs"]
mod scram;
