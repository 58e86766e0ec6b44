//! Stanzas: message, presence and iq as they travel through the server (RFC 6120 §8).
//!
//! A [`Stanza`] is one canonical XML element in a refcounted buffer plus the offsets of what
//! routing needs: its kind, type, addresses and the namespaces of its payloads. It is written out
//! again by copying: a rewritten head, then the payload as it came. Stanza errors (RFC 6120 §8.3)
//! and the namespaces that several crates share live here too.
//!
//! Does not: decide anything. Who may send what to whom is the router's business.
#![forbid(unsafe_code)]

mod build;
mod delivery;
mod error;
pub mod ns;
mod parse;
mod parsed;
mod stanza;

pub use build::Builder;
pub use delivery::{Delivery, Settle};
pub use error::{Condition, ErrorType, StanzaError};
pub use parse::{Front, ParseError};
pub use stanza::{Address, IqType, Kind, MessageType, Payload, PresenceType, Stanza, Type};
