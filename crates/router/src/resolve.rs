//! Step 3: whose is it?

use std::sync::Arc;

use jackdaw_ext::{Effects, Pending};
use jackdaw_jid::BareJid;
use jackdaw_ownership::{Epoch, NodeId, Owner};
use jackdaw_session::Session;
use jackdaw_stanza::{PresenceType, Stanza, StanzaError};

use crate::accept::Taken;
use crate::ledger::Receipt;
use crate::{Count, Router};

/// A stanza whose target is known. Made here only; the next step is the owner of the target.
#[derive(Debug)]
pub enum Routed {
    /// For an account of a served domain, by bare or full JID.
    Account(Stanza),
    /// For a served domain itself.
    Host(BareJid, Stanza),
    /// For an account of a served domain that another node owns.
    Elsewhere {
        /// The owner.
        node: NodeId,
        /// Of which assignment.
        epoch: Epoch,
        /// What is for it.
        stanza: Stanza,
    },
    /// For a domain that is not served here.
    Remote(Stanza),
    /// For an account of a served domain that no node owns at the moment.
    Unowned(Stanza),
}

impl Router {
    /// Finds out whose the stanza is. It has a `to`; one without is the sender's own business and
    /// never comes here.
    pub(crate) fn resolve(&self, stanza: Stanza) -> Routed {
        let Some(to) = stanza.to() else { return Routed::Remote(stanza) };
        match self.services.hosts.find(to.domain()) {
            None => Routed::Remote(stanza),
            Some(_) if to.local().is_some() => match self.owners.owner_of(to) {
                Owner::Here(_) => Routed::Account(stanza),
                Owner::Node(node, epoch) => Routed::Elsewhere { node, epoch, stanza },
                Owner::Nobody => Routed::Unowned(stanza),
            },
            Some(host) => Routed::Host(host.clone(), stanza),
        }
    }

    /// Steps 3 to 6 for a stanza that a session sent: in place where everything is in memory.
    pub(crate) fn send(
        self: &Arc<Self>,
        session: Option<&Arc<Session>>,
        stanza: Stanza,
        receipt: Option<Receipt>,
        mut effects: Effects,
    ) -> Taken {
        let routed = self.resolve(stanza);
        let found = self.in_memory(&routed);
        match (found, routed) {
            (Some(found), Routed::Account(stanza)) => {
                let taken = self.at_account(session, &found, stanza, receipt.clone(), &mut effects);
                if effects.is_empty() {
                    return taken;
                }
                // What is to be accepted now is accepted at the job's end, if that has to wait.
                let receipt = receipt.filter(|_| taken == Taken::Done);
                let job: Pending<()> = Box::pin(Arc::clone(self).drain(effects));
                let held = self.start_for(session, receipt, job);
                if held == Taken::Hold { held } else { taken }
            }
            (_, routed) => {
                let sender = session.cloned();
                let is_counted = receipt.is_some();
                let slowly = Arc::clone(self).send_slowly(sender, routed, receipt, effects);
                let held = self.start_for(session, None, Box::pin(slowly));
                // The job itself accepts: a row it writes may be committed after it is done.
                if held == Taken::Hold || !is_counted { held } else { Taken::Later }
            }
        }
    }

    fn start_for(
        self: &Arc<Self>,
        session: Option<&Arc<Session>>,
        receipt: Option<Receipt>,
        job: Pending<()>,
    ) -> Taken {
        match session {
            Some(session) => self.start(session.address(), receipt, job),
            None => {
                self.start_detached(job);
                Taken::Done
            }
        }
    }

    async fn send_slowly(
        self: Arc<Self>,
        session: Option<Arc<Session>>,
        routed: Routed,
        receipt: Option<Receipt>,
        mut effects: Effects,
    ) {
        self.inbound(session.as_ref(), routed, receipt, &mut effects).await;
        self.drain(effects).await;
    }

    /// There is no server-to-server link on this node (RFC 6120 §10.4).
    ///
    /// Presence other than a request vanishes: it is a broadcast or a probe, sent for a user who
    /// did not ask for it now, and who would get an error for each remote contact at each login.
    /// What a user directs at such a domain was refused when it was accepted.
    pub(crate) fn at_unreachable_domain(&self, stanza: &Stanza, effects: &mut Effects) {
        match stanza.presence_type() {
            None | Some(PresenceType::Subscribe) => {
                self.refuse(stanza, &Router::unreachable_domain(), effects);
            }
            Some(_) => self.stats.add(Count::Dropped),
        }
    }

    /// Whether the stanza is for a domain that cannot be reached.
    pub(crate) fn is_unreachable(&self, stanza: &Stanza) -> bool {
        stanza.to().is_some_and(|to| !self.services.hosts.serves(to.domain()))
    }

    /// What a sender is told of a domain that cannot be reached.
    pub(crate) fn unreachable_domain() -> StanzaError {
        StanzaError::remote_server_not_found()
    }
}
