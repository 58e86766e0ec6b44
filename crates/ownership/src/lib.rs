//! Who decides for an account: the seam at which one node becomes many.
//!
//! Every bare JID falls into one of [`SHARDS`] shards by a keyed hash ([`ShardKey`]); every shard
//! has one owner at a time, and each assignment has an [`Epoch`] of its own. The router asks
//! [`Owners`] for every stanza; [`OneNode`] is the answer of a node that is alone.
//!
//! Of a cluster, [`Cluster`] is the map that all nodes have alike: nodes, shards, epochs. It
//! changes by [`Command`]s only, in the order of a log. A node acts for what the map gives it only
//! while its [`Holder`] has a lease, which the [`Keeper`] on the leader renews, and while it has
//! seen no higher epoch: [`LocalNode`] joins the three, [`Directory`] answers from it without a
//! lock. What to change in the map is the leader's to propose: [`Planner`].
//!
//! [`registry`] is what owners and socket nodes say to each other about sessions.
//!
//! Does not: order the commands (the consensus does), talk to other nodes (the links do), read a
//! clock.
#![forbid(unsafe_code)]

mod cluster;
mod ids;
mod lease;
mod local;
mod owners;
mod planner;
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
pub use lease::{
    Acknowledgement, Holder, Keeper, Renewal, RenewalNumber, RoundNumber, UNREACHABLE_AFTER,
};
pub use local::{Directory, Duty, LocalNode, Publisher, Seen};
pub use owners::{OneNode, Owner, Owners};
pub use planner::{COMMIT_MAX, HAND_OVER_MAX, Planner};
pub use shard::{SHARDS, ShardId, ShardKey};
pub use time::{Boottime, Reading};
