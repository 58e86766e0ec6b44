//! Streams: what happens between two entities on one connection (RFC 6120), sans-IO.
#![forbid(unsafe_code)]

pub mod sasl;
