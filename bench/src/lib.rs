//! What is measured: stanzas as clients send them, and the readers that are compared.
//!
//! Owns the inputs and the loops around each reader. Does not: time anything; that is done by the
//! files in `benches/`.
#![forbid(unsafe_code)]

pub mod readers;
pub mod shapes;
