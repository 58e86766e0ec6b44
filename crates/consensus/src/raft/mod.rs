//! Everything that knows openraft (0.9.25), and nothing else does.
//!
//! In reading order: the types it is used with ([`types`]), its storage on our tables ([`storage`])
//! and its state machine on ours ([`applying`]), what goes between nodes ([`message`]), sending it
//! ([`network`]) and receiving it ([`receiving`]), what a node does with it all ([`node`]), rounds
//! to the voters ([`confirming`]), and what it says of itself ([`status`]).

#![allow(clippy::result_large_err, reason = "openraft fixes the type of its errors")]

mod applying;
mod confirming;
mod message;
mod network;
mod node;
#[cfg(test)]
mod node_test;
mod receiving;
mod status;
mod storage;
#[cfg(test)]
mod suite_test;
mod types;

pub(crate) use node::Node;
