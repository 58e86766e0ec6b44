//! The client stream machine against a scripted client, with a virtual clock.
//!
//! Every script runs twice, its bytes whole and one at a time, and must give the same.

mod csi;
mod login;
mod pair;
mod resume;
#[path = "../sasl/client.rs"]
mod scram;
mod silence;
mod sm;
