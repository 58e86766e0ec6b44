//! The client stream machine against a scripted client, with a virtual clock.
//!
//! Every script runs twice, its bytes whole and one at a time, and must give the same.

mod chaos;
mod csi;
mod hostile;
mod login;
mod pair;
mod resume;
mod sasl2;
#[path = "../sasl/client.rs"]
mod scram;
mod silence;
mod sm;
mod window;
