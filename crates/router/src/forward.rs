//! The way to the node that owns an account, where that is another one.

use jackdaw_ext::Effects;
use jackdaw_ownership::{Epoch, NodeId};
use jackdaw_stanza::{Stanza, StanzaError};

use crate::Router;

/// Hands routed stanzas to other nodes. A node without peers has none.
pub trait Forward: Send + Sync {
    /// Hands the stanza to the node, which goes on with step 4 if it still owns the account at this
    /// epoch. Never blocks; gives the stanza back where the link to the node is at its bound.
    fn forward(&self, to: NodeId, epoch: Epoch, stanza: Stanza) -> Result<(), Box<Stanza>>;
}

/// A node without peers: nothing can be handed on.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

impl Forward for NoPeers {
    fn forward(&self, _: NodeId, _: Epoch, stanza: Stanza) -> Result<(), Box<Stanza>> {
        Err(Box::new(stanza))
    }
}

impl Router {
    /// To the owner; where that cannot be, the sender is told to try again (P7).
    pub(crate) fn forward(&self, to: NodeId, epoch: Epoch, stanza: Stanza, effects: &mut Effects) {
        if let Err(stanza) = self.peers.forward(to, epoch, stanza) {
            tracing::debug!(%to, "the owner of an account is not reached");
            self.refuse(&stanza, &StanzaError::resource_constraint(), effects);
        }
    }
}
