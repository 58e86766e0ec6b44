//! Node to node: numbered links that lose, repeat and reorder nothing, and the gRPC they run over.
//!
//! Owns, in reading order: the names and frames of the protocol ([`frame`]), the link as four pure
//! machines without I/O or clock ([`link`]), how both ends come to one version ([`handshake`]), the
//! wire form ([`wire`]), generated from `proto/`, and gRPC over mutual TLS ([`transport`]). See
//! `docs/peer-links.md`.
//!
//! Does not: know who owns what or when a lease ends (`ownership`), route, store, or decide when a
//! stanza is durable. Nothing of it runs in the server yet.
#![forbid(unsafe_code)]

pub mod frame;
pub mod handshake;
pub mod link;
pub mod transport;
pub mod wire;
