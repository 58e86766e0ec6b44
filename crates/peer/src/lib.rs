//! Node to node: numbered links that lose, repeat and reorder nothing, and the gRPC they run over.
//!
//! Owns, in reading order: the names and frames of the protocol ([`frame`]), the link as four pure
//! machines without I/O or clock ([`link`]), and the wire form of the frames ([`wire`]), generated
//! from `proto/`. See `docs/peer-links.md`.
//!
//! Does not: know who owns what or when a lease ends (`ownership`), route, store, or decide when a
//! stanza is durable. Nothing of it runs in the server yet.
#![forbid(unsafe_code)]

pub mod frame;
pub mod handshake;
pub mod link;
pub mod wire;
