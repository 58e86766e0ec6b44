//! The streams of XMPP (RFC 6120 §4), sans-IO: bytes and answers in, bytes and events out.
//!
//! Owns client streams from header to close, SASL, resource binding as far as the wire goes, and
//! stream management with resumption.
//!
//! Does not: sockets, clocks, random bytes, stores (all handed in), routing.
#![forbid(unsafe_code)]

pub mod c2s;
mod error;
pub mod sasl;
mod xml;

pub use c2s::C2s;
pub use error::{ApplicationError, StreamCondition, StreamError};
