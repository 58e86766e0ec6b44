//! Step 3: whose is it?

use std::sync::Arc;

use jackdaw_ext::{Effects, Pending};
use jackdaw_jid::BareJid;
use jackdaw_session::Session;
use jackdaw_stanza::{Kind, Stanza, StanzaError};

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
        let (routed, taken) = match routed {
            Routed::Account(stanza) if stanza.kind() != Kind::Presence => {
                match self.inbound_in_memory(session, stanza, receipt, &mut effects) {
                    Ok(taken) => (None, taken),
                    Err(stanza) => (Some(Routed::Account(stanza)), Taken::Done),
                }
            }
            other => (Some(other), Taken::Done),
        };
        if routed.is_none() && effects.is_empty() {
            return taken;
        }
        let Some(address) = session.map(|session| session.address()) else {
            let job = Arc::clone(self).send_slowly(None, routed, None, effects);
            self.start_detached(Box::pin(job));
            return taken;
        };
        match routed {
            None => {
                // Delivered in place; what it caused must not hold up its acceptance.
                let held = self.start(address, None, Arc::clone(self).drain(effects));
                if held == Taken::Hold { Taken::Hold } else { taken }
            }
            Some(routed) => {
                let session = session.cloned();
                let job: Pending<()> =
                    Box::pin(Arc::clone(self).send_slowly(session, Some(routed), receipt, effects));
                match receipt {
                    // The job itself accepts: a row it writes may be committed after it is done.
                    Some(_) if self.start(address, None, job) == Taken::Hold => Taken::Hold,
                    Some(_) => Taken::Later,
                    None => self.start(address, None, job),
                }
            }
        }
    }

    async fn send_slowly(
        self: Arc<Self>,
        session: Option<Arc<Session>>,
        routed: Option<Routed>,
        receipt: Option<Receipt>,
        mut effects: Effects,
    ) {
        if let Some(routed) = routed {
            self.inbound(session.as_ref(), routed, receipt, &mut effects).await;
        }
        self.drain(effects).await;
    }

    /// What a sender is told of a domain that we do not reach (RFC 6120 §10.4): there is no
    /// server-to-server link on this node.
    pub(crate) fn unreachable_domain() -> StanzaError {
        StanzaError::remote_server_not_found()
    }
}
