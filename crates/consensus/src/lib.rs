//! The log that orders what the cluster decides: who is a member, who owns which shard, whose lease
//! is over.
//!
//! Owns, in reading order: the names of things ([`NodeId`], [`ClusterId`], [`DirectoryId`]), the
//! durable directory of a node ([`store`]), who begins the cluster ([`formation`]) and who votes in
//! it ([`voters`]), what the log decides about ([`Machine`], and the map of `ownership` as one:
//! [`map`]), how requests get to other nodes ([`Wire`]), and the log itself ([`Log`]). openraft is
//! in the module `raft` and shows nowhere else. See `docs/consensus.md`.
//!
//! Does not: say what a command means, what a shard or a lease is (`ownership`), or how bytes get
//! to another node (`peer`). Nothing of it runs in the server yet.
#![forbid(unsafe_code)]

pub mod formation;
mod log;
mod machine;
pub mod map;
mod node;
mod raft;
pub mod store;
pub mod voters;
mod wire;

pub use log::{
    ChangeError, ConfirmError, Decided, Log, Options, ProposeError, Role, StartError, Status,
};
pub use machine::{Machine, MachineError};
pub use node::{ClusterId, DirectoryId, Identity, Member, NodeId};
pub use wire::{
    Answering, COMMAND_BYTES_MAX, Kind, MESSAGE_BYTES_MAX, SNAPSHOT_BYTES_MAX, Wire, WireError,
};
