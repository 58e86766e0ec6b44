//! What names a cluster, its nodes, and the order of what happens to them.

use std::fmt;

/// Names a cluster: made at random when it is initialised, and in every handshake, stanza-id and
/// fence row, because epochs are unique within one cluster only.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterId({self})")
    }
}

/// Where an entry is in the log of the cluster. Every number that must never repeat is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogIndex(pub u64);

/// Names a node for ever: the index of its first join, 0 for the node that initialised. An id is
/// never given to another node, also after its data was lost: an empty node under an old id can
/// split a quorum, and nobody would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The node that initialised the cluster, by an entry at index 0.
    pub const FIRST: NodeId = NodeId(0);
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node-{}", self.0)
    }
}

/// One life of a node: the index of its join. Leases and shards are an incarnation's, so that what
/// a node did before it was ended is not taken for what it does now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// Owns what was never assigned. No join is at index 0.
    pub const NOBODY: Incarnation = Incarnation(0);
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "incarnation-{}", self.0)
    }
}

/// Numbers the assignments of shards by the index of their entry: unique and rising. What carries
/// a lower epoch than one that was seen for its shard comes from an owner of the past, and is
/// refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl From<LogIndex> for Epoch {
    fn from(index: LogIndex) -> Epoch {
        Epoch(index.0)
    }
}
