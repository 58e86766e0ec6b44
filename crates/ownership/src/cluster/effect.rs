//! What an entry changed, and why one changed nothing.

use crate::ids::{ClusterId, Epoch, Incarnation, NodeId};
use crate::shard::ShardId;

use super::config::Features;

/// What an entry changed. The same on every node; what a node has to do about it is the business
/// of [`LocalNode`](crate::LocalNode).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Shards are served.
    Active {
        /// Which ones.
        shards: Vec<ShardId>,
        /// By whom.
        owner: Incarnation,
        /// In which epoch.
        epoch: Epoch,
    },
    /// A node has another backup, or none.
    Backup {
        /// Which node.
        of: Incarnation,
        /// Where its records are to be.
        to: Option<Incarnation>,
    },
    /// The backup of a node has all its records.
    BackupSynced {
        /// Which node.
        of: Incarnation,
    },
    /// A node is leaving.
    Draining {
        /// Which one.
        incarnation: Incarnation,
    },
    /// A life of a node is over.
    Ended {
        /// Which one.
        incarnation: Incarnation,
    },
    /// A node is not in the map any more.
    Forgotten {
        /// Which one.
        node: NodeId,
    },
    /// The owner has to seal shards and send what it knows of them.
    Handoff {
        /// Which ones.
        shards: Vec<ShardId>,
        /// Who has them, and in which epoch.
        from: Incarnation,
        /// Its epoch.
        sealed: Epoch,
        /// Who gets them.
        to: Incarnation,
        /// In which epoch.
        epoch: Epoch,
    },
    /// There is a cluster.
    Initialised(ClusterId),
    /// A life of a node has begun.
    Joined {
        /// Which node; a new one learns its id by this.
        node: NodeId,
        /// The life.
        incarnation: Incarnation,
    },
    /// Features may be used.
    Opened(Features),
    /// A node has to ask everybody about shards.
    Recovering {
        /// Which ones.
        shards: Vec<ShardId>,
        /// Which node.
        to: Incarnation,
        /// In which epoch.
        epoch: Epoch,
    },
}

/// Why an entry changed nothing. The same on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// A living node that was there before the epoch has not answered.
    #[error("{0} has not answered")]
    Answer(Incarnation),
    /// Its backup is not what the command expects, or is the node itself.
    #[error("the backup is another one")]
    Backup,
    /// A node lacks a feature that is open or is to be opened, or others are open than expected.
    #[error("a node lacks a feature, or others are open than expected")]
    Features,
    /// There is a cluster already.
    #[error("the cluster is initialised already")]
    Initialised,
    /// A node must not have so many shards on their way.
    #[error("{0} has as many shards on their way as it may")]
    Moves(Incarnation),
    /// A living node has the name, or an earlier life of this node goes on.
    #[error("{0} has not ended")]
    NotEnded(Incarnation),
    /// There is no cluster yet.
    #[error("the cluster is not initialised")]
    NotInitialised,
    /// No living node has this incarnation.
    #[error("{0} does not live")]
    NotLive(Incarnation),
    /// A node that is leaving gets nothing.
    #[error("{0} is leaving")]
    NotUp(Incarnation),
    /// The owner lives and is not handing over: nobody may take its shards.
    #[error("{0} may still act for it")]
    Owned(Incarnation),
    /// The map says something else of a shard.
    #[error("shard {} is not as expected", .0.number())]
    Shard(ShardId),
    /// The command names no shard, or one twice, or one that there is not.
    #[error("the shards are not rising or none")]
    Shards,
    /// There are as many nodes as there may be.
    #[error("there are too many nodes")]
    TooManyNodes,
    /// No node has this id, or it is the last one.
    #[error("{0} is not known")]
    UnknownNode(NodeId),
    /// The parameters of a lease make no lease, or there is no shard.
    #[error("the configuration is not sound")]
    Unsound,
}
