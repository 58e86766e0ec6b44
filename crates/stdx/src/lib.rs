//! What the standard library lacks and every crate may use: small, and without a word of XMPP.
//!
//! Does not: know about stanzas, streams or accounts.
#![forbid(unsafe_code)]

mod arena;
mod bucket;

pub use arena::Arena;
pub use bucket::TokenBucket;
