//! Step 3: whose is it?

use std::sync::Arc;

use jackdaw_ext::{Effects, Pending};
use jackdaw_jid::BareJid;
use jackdaw_session::Session;
use jackdaw_stanza::{Stanza, StanzaError};

use crate::Router;
use crate::accept::Taken;
use crate::ledger::Receipt;

/// A stanza whose target is known. Made here only; the next step is the owner of the target.
#[derive(Debug)]
pub enum Routed {
    /// For an account of a served domain, by bare or full JID.
    Account(Stanza),
    /// For a served domain itself.
    Host(BareJid, Stanza),
    /// For a domain that is not served here.
    Remote(Stanza),
}

impl Router {
    /// Finds out whose the stanza is. It has a `to`; one without is the sender's own business and
    /// never comes here.
    pub(crate) fn resolve(&self, stanza: Stanza) -> Routed {
        let Some(to) = stanza.to() else { return Routed::Remote(stanza) };
        match self.services.hosts.find(to.domain()) {
            None => Routed::Remote(stanza),
            Some(_) if to.local().is_some() => Routed::Account(stanza),
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
        let account = self.in_memory(&routed);
        match (account, routed) {
            (Some(account), Routed::Account(stanza)) => {
                let taken = self.at_account(session, &account, stanza, receipt, &mut effects);
                if effects.is_empty() {
                    return taken;
                }
                // Delivered in place; what it caused must not hold up its acceptance.
                let job: Pending<()> = Box::pin(Arc::clone(self).drain(effects));
                let held = self.start_for(session, job);
                if held == Taken::Hold { held } else { taken }
            }
            (_, routed) => {
                let sender = session.cloned();
                let slowly = Arc::clone(self).send_slowly(sender, routed, receipt, effects);
                let held = self.start_for(session, Box::pin(slowly));
                // The job itself accepts: a row it writes may be committed after it is done.
                if held == Taken::Hold || receipt.is_none() { held } else { Taken::Later }
            }
        }
    }

    fn start_for(self: &Arc<Self>, session: Option<&Arc<Session>>, job: Pending<()>) -> Taken {
        match session {
            Some(session) => self.start(session.address(), None, job),
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

    /// What a sender is told of a domain that we do not reach (RFC 6120 §10.4): there is no
    /// server-to-server link on this node.
    pub(crate) fn unreachable_domain() -> StanzaError {
        StanzaError::remote_server_not_found()
    }
}
