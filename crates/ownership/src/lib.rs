//! Who decides for an account: the seam at which one node becomes many.
//!
//! Every bare JID falls into one of [`SHARDS`] shards by a keyed hash ([`ShardKey`]); every shard
//! has one owner at a time, and each assignment has an [`Epoch`] of its own. The router asks
//! [`Owners`] for every stanza; [`OneNode`] is the answer of a node that is alone.
//!
//! Does not: know of leases, raft or links yet. A node alone owns everything, from its start to
//! its end.
#![forbid(unsafe_code)]

mod owners;
mod shard;
mod sip;

pub use owners::{Epoch, NodeId, OneNode, Owner, Owners};
pub use shard::{SHARDS, ShardId, ShardKey};
