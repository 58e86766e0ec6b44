//! Step 5: which connected resources (RFC 6121 §8.5), or offline.

use std::sync::Arc;

use jackdaw_ext::Effects;
use jackdaw_jid::BareJid;
use jackdaw_session::{Account, Found, Session};
use jackdaw_stanza::{IqType, Kind, MessageType, Stanza, StanzaError, Type, ns};
use smallvec::SmallVec;

use crate::accept::Taken;
use crate::ledger::Receipt;
use crate::{Count, Router};

/// The sessions a stanza goes to.
pub(crate) type Targets = SmallVec<[Arc<Session>; 4]>;

/// What RFC 6121 §8.5 says of a stanza.
#[derive(Debug)]
pub(crate) enum Choice {
    /// These resources get it.
    Sessions(Targets),
    /// Nobody is there: keep it if the extension for offline messages wants it, else refuse.
    Offline,
    /// The sender is told.
    Refuse(StanzaError),
    /// Silence is what the RFC asks for.
    Drop,
}

/// What only the server may send to a client.
fn is_roster_push(stanza: &Stanza) -> bool {
    matches!(stanza.kind_and_type(), Type::Iq(IqType::Set)) && stanza.has(ns::ROSTER, "query")
}

impl Router {
    /// Selects, and delivers or stores.
    pub(crate) fn select(
        self: &Arc<Self>,
        found: &Found,
        stanza: Stanza,
        receipt: Option<Receipt>,
        effects: &mut Effects,
    ) -> Taken {
        let account = found.account();
        match self.choose(found, &stanza) {
            Choice::Sessions(targets) => self.deliver(account, targets, stanza, receipt, effects),
            Choice::Offline if self.registry.keeps_offline(&stanza) => {
                self.store_offline(account.jid(), stanza, receipt, effects)
            }
            Choice::Offline => {
                self.refuse(&stanza, &StanzaError::service_unavailable(), effects);
                Taken::Done
            }
            Choice::Refuse(error) => {
                self.refuse(&stanza, &error, effects);
                Taken::Done
            }
            Choice::Drop => {
                self.stats.add(Count::Dropped);
                Taken::Done
            }
        }
    }

    fn choose(&self, found: &Found, stanza: &Stanza) -> Choice {
        match found {
            // RFC 6121 §2.1.6: pushes are the server's, which does not select. Clients have taken
            // rosters from anybody (CVE-2015-8688).
            Found::Session(_) if is_roster_push(stanza) => {
                Choice::Refuse(StanzaError::service_unavailable())
            }
            Found::Session(session) if self.queues_for(session, stanza) => Choice::Offline,
            // §8.5.3.1: a resource that matches gets whatever is for it.
            Found::Session(session) => {
                Choice::Sessions(std::iter::once(Arc::clone(session)).collect())
            }
            Found::Account(account) if stanza.to().is_some_and(|to| to.is_full()) => {
                self.missing_resource(account, stanza)
            }
            Found::Account(account) => self.to_bare(account, stanza),
        }
    }

    /// RFC 6121 §8.5.2: addressed to the bare JID.
    fn to_bare(&self, account: &Account, stanza: &Stanza) -> Choice {
        let kind = match stanza.kind_and_type() {
            Type::Message(kind) => kind,
            Type::Presence(_) => return self.to_available(account.jid()),
            Type::Iq(_) => return Choice::Drop,
        };
        match kind {
            // §8.5.2.1.1: never to the resources of an account.
            MessageType::Groupchat => return Choice::Refuse(StanzaError::service_unavailable()),
            MessageType::Error => return Choice::Drop,
            MessageType::Chat | MessageType::Headline | MessageType::Normal => {}
        }
        let targets = self.non_negative(account.jid());
        // Looked at behind the sessions: one that is there by now was expected before.
        if self.spool.is_queueing(account.jid()) && self.registry.keeps_offline(stanza) {
            // What is older goes first; the flush goes on until nothing is left.
            return Choice::Offline;
        }
        match (targets.is_empty(), kind) {
            (false, _) => Choice::Sessions(targets),
            // §8.5.2.2.1: not stored, and nobody is told.
            (true, MessageType::Headline) => Choice::Drop,
            (true, _) => Choice::Offline,
        }
    }

    /// Whether a message to a full JID queues: older ones, to the bare JID, wait in the spool for
    /// this resource. One that is not ready for those does not wait for them.
    fn queues_for(&self, session: &Session, stanza: &Stanza) -> bool {
        if stanza.kind() != Kind::Message {
            return false;
        }
        let waits = match session.is_ready() {
            true => session.is_shut() || self.spool.is_queueing(session.account().jid()),
            false => self.is_returning(session),
        };
        waits && self.registry.keeps_offline(stanza)
    }

    /// RFC 6121 §8.5.3.2: addressed to a resource that is not connected.
    fn missing_resource(&self, account: &Account, stanza: &Stanza) -> Choice {
        match stanza.kind_and_type() {
            Type::Message(MessageType::Chat | MessageType::Normal) => self.to_bare(account, stanza),
            Type::Message(MessageType::Groupchat) => {
                Choice::Refuse(StanzaError::service_unavailable())
            }
            Type::Message(MessageType::Headline | MessageType::Error) => Choice::Drop,
            Type::Presence(_) => Choice::Drop,
            Type::Iq(_) => Choice::Refuse(StanzaError::service_unavailable()),
        }
    }

    /// §8.5.2.1.2: presence that says how somebody is goes to every available resource. From
    /// contacts and strangers alike: a stranger's is directed presence (§4.6.4), and whether the
    /// user wants to hear of strangers is for the user's block list.
    fn to_available(&self, account: &BareJid) -> Choice {
        let mut sessions = self.services.sessions.of(account.as_str());
        sessions.retain(|session| session.is_available());
        if sessions.is_empty() { Choice::Drop } else { Choice::Sessions(sessions) }
    }

    /// Every available resource that wants messages to the bare JID and takes them. All of
    /// them, not the "most available" one alone: both are legal (§8.5.2.1.1), and a user reads
    /// on what is at hand.
    pub(crate) fn non_negative(&self, account: &BareJid) -> Targets {
        let mut sessions = self.services.sessions.of(account.as_str());
        sessions.retain(|session| session.takes_messages());
        sessions
    }
}
