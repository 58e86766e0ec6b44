//! The names of things: nodes, clusters and directories.

use std::fmt;

pub use jackdaw_ownership::{ClusterId, NodeId};

/// A data directory, by a random number that is made with it and lost with it.
///
/// A node whose disk was lost comes back with another one, whatever its name and address are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryId(pub u128);

impl DirectoryId {
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<DirectoryId> {
        bytes.try_into().ok().map(u128::from_be_bytes).map(DirectoryId)
    }
}

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Which node of which cluster a directory belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
}

impl Identity {
    pub(crate) fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&self.cluster.0);
        bytes[16..].copy_from_slice(&self.node.0.to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Identity> {
        let (cluster, node) = bytes.split_first_chunk::<16>()?;
        Some(Identity {
            cluster: ClusterId(*cluster),
            node: NodeId(u64::from_be_bytes(node.try_into().ok()?)),
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of cluster {}", self.node, self.cluster)
    }
}

/// A member of the cluster, as everybody knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is reached: `host:port`.
    pub address: String,
    /// The directory that it has; a node at this address with another one is not this member.
    pub directory: DirectoryId,
    /// Which member it is.
    pub id: NodeId,
}
