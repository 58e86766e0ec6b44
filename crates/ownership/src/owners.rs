//! Who owns an account.

use jackdaw_jid::JidRef;

use crate::ids::{Epoch, NodeId};

/// The owner of an account's shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This node.
    Here(Epoch),
    /// Another one, or it will be: what is sent to it waits there until it is.
    Node(NodeId, Epoch),
    /// Nobody of whom this node knows: the owner has ended and none is chosen yet, or it is this
    /// node, which is not ready or has no lease. To be asked again.
    Nobody,
}

/// Knows the owner of every account.
///
/// Asked for every stanza, from any thread, and answered from memory: it neither blocks nor
/// allocates. The answer may be out of date when it is used; the epoch in it tells.
pub trait Owners: Send + Sync {
    /// Who owns the account; of a full JID the bare part counts.
    fn owner_of(&self, account: JidRef<'_>) -> Owner;
}

/// A node that is alone, and so owns every account. It has no use for shards.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneNode;

/// Nothing was assigned before, and nothing will be assigned again.
const ONLY_EPOCH: Epoch = Epoch(1);

impl Owners for OneNode {
    fn owner_of(&self, _: JidRef<'_>) -> Owner {
        Owner::Here(ONLY_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackdaw_jid::Jid;

    #[test]
    fn a_node_alone_owns_everything() {
        for jid in ["a@b", "a@b/c", "b"] {
            let jid = Jid::parse(jid).expect("a JID");
            assert_eq!(OneNode.owner_of(jid.as_jid_ref()), Owner::Here(ONLY_EPOCH));
        }
    }
}
