//! The wire form of frames: what `proto/` says, turned into types of our own at the boundary.
//!
//! Generated types do not leave this crate. What a peer sends costs memory in proportion to its
//! bytes ([`FIELDS_MAX`]), and payload stays a slice of the buffer it was received into.

pub(crate) mod bounds;
pub(crate) mod codec;
mod control;
mod decode;
mod encode;
mod handshake;

pub use bounds::{CONTROL_BYTES_MAX, FIELDS_MAX, LINK_BYTES_MAX};

use bytes::Bytes;
use prost::Message as _;

use crate::frame::{Control, Deliveries, Sends};
use crate::handshake::{Hello, Refusal, Welcome};

/// What `build.rs` made of `proto/`.
#[allow(
    missing_docs,
    reason = "generated; the comments are those of the files, where there are any"
)]
#[allow(clippy::all, clippy::pedantic, reason = "generated")]
pub(crate) mod v1 {
    tonic::include_proto!("jackdaw.peer.v1");
}

/// What a peer sent does not have the form of the protocol. Its connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed: {0}")]
pub struct Malformed(pub &'static str);

/// A message of the stream of a worker, to the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upward {
    /// The first.
    Hello(Hello),
    /// Every other one.
    Batch(Vec<Sends>),
}

/// A message of the stream of a worker, to the socket node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Downward {
    /// The first, in agreement.
    Welcome(Welcome),
    /// The first and only one, without.
    Refusal(Refusal),
    /// Every other one.
    Batch(Vec<Deliveries>),
}

/// A message of the control stream, either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnControl {
    /// The first of whoever dials.
    Hello(Hello),
    /// The first of whoever was dialled, in agreement.
    Welcome(Welcome),
    /// The first and only one, without.
    Refusal(Refusal),
    /// Every other one. What a later version added is left out.
    Batch(Vec<Control>),
}

/// A message type with its generated twin.
pub trait Framed: Sized {
    /// Reads one message, as `transport` does; payload becomes slices of `bytes`.
    fn decode(bytes: Bytes) -> Result<Self, Malformed>;
    /// Writes it.
    fn encode(self) -> Vec<u8>;
}

macro_rules! framed {
    ($ours:ty, $generated:ty, $bytes_max:expr) => {
        impl Framed for $ours {
            fn decode(bytes: Bytes) -> Result<Self, Malformed> {
                if bytes.len() > $bytes_max {
                    return Err(Malformed("a message is too long"));
                }
                bounds::check(&bytes)?;
                let message = <$generated>::decode(bytes).map_err(|_| Malformed("no protobuf"))?;
                message.try_into()
            }

            fn encode(self) -> Vec<u8> {
                <$generated>::from(self).encode_to_vec()
            }
        }
    };
}

framed!(Upward, v1::Upward, LINK_BYTES_MAX);
framed!(Downward, v1::Downward, LINK_BYTES_MAX);
framed!(OnControl, v1::Control, CONTROL_BYTES_MAX);

#[cfg(test)]
#[path = "wire_test.rs"]
mod tests;
