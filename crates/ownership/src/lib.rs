//! Who decides for an account: the seam at which one node becomes many.
//!
//! Every bare JID falls into one of [`SHARDS`] shards by a keyed hash ([`ShardKey`]); every shard
//! has one owner at a time, and each assignment has an [`Epoch`] of its own. The router asks
//! [`Owners`] for every stanza; [`OneNode`] is the answer of a node that is alone.
//!
//! Of a cluster, [`Cluster`] is the map that all nodes have alike: nodes, shards, epochs. It
//! changes by [`Command`]s only, in the order of a log.
//!
//! [`registry`] is what owners and socket nodes say to each other about sessions.
//!
//! Does not: order the commands (the consensus does), know of leases or links yet, read a clock.
#![forbid(unsafe_code)]

mod cluster;
mod ids;
mod owners;
pub mod registry;
mod shard;
mod sip;
mod time;

pub use cluster::{
    Activation, Assignment, Backup, Cluster, Command, Config, DecodeError, ELECTION_TIMEOUT_MAX,
    ELECTION_TIMEOUT_MIN, Effect, Features, Join, LABEL_BYTES_MAX, Label, LeaseParameters,
    MOVES_MAX, NODES_MAX, Node, NodeState, Phase, Refusal, Residence, Takeover, Transfer,
    UnicodeVersion,
};
pub use ids::{ClusterId, Epoch, Incarnation, LogIndex, NodeId};
pub use owners::{OneNode, Owner, Owners};
pub use shard::{SHARDS, ShardId, ShardKey};
pub use time::Boottime;
