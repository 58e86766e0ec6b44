//! Addresses: `local@domain/resource` (RFC 7622), always in normal form.
//!
//! [`Jid`], [`BareJid`] and [`FullJid`] own their text; [`JidRef`] borrows text that is normalised
//! already, which is what clients nearly always send, and costs no allocation.
//!
//! Does not: escape localparts (XEP-0106 is a client's business), or ask DNS whether a domain
//! exists.
#![forbid(unsafe_code)]

mod borrowed;
mod owned;
mod prepare;

pub use borrowed::{JidParts, JidRef};
pub use owned::{BareJid, FullJid, Jid};
pub use prepare::{JidError, PART_BYTES_MAX, prepare_domain, prepare_local, prepare_resource};
