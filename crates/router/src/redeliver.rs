//! What becomes of a delivery that its session did not take: it ended, or is at its bound.

use std::sync::Arc;

use jackdaw_ext::Effects;
use jackdaw_jid::BareJid;
use jackdaw_session::Address;
use jackdaw_stanza::{Delivery, IqType, Stanza, StanzaError, Type, ns};

use crate::accept::Taken;
use crate::ledger::Receipt;
use crate::spool::Offline;
use crate::{Count, Router};

impl Router {
    /// A delivery came to a stream that is gone or cannot take it: its session ended meanwhile, or
    /// is at its bound.
    pub fn undelivered(self: &Arc<Self>, at: Address, delivery: Delivery) {
        let mut effects = Effects::new();
        if delivery.can_wait()
            && let Some(session) = self.session_at(&delivery.stanza, at)
        {
            self.shut(&session);
        }
        self.redeliver(delivery, &mut effects);
        self.start_detached(Box::pin(Arc::clone(self).drain(effects)));
    }

    /// What becomes of a delivery whose session ended without acknowledging it (XEP-0198 §5, as
    /// for an unavailable resource: RFC 6121 §8.5.3.2), or takes no more.
    pub(crate) fn redeliver(self: &Arc<Self>, delivery: Delivery, effects: &mut Effects) {
        let Delivery { stanza, settle, position } = delivery;
        match (stanza.kind_and_type(), settle) {
            (Type::Message(_), Some(settle)) => self.given_up(settle, effects),
            (Type::Message(_), None) => self.redeliver_untracked(stanza, position, effects),
            (Type::Iq(IqType::Get | IqType::Set), _) => {
                self.refuse(&stanza, &StanzaError::service_unavailable(), effects);
            }
            (Type::Iq(_) | Type::Presence(_), _) => self.stats.add(Count::Dropped),
        }
    }

    /// A message that no session was to confirm.
    fn redeliver_untracked(self: &Arc<Self>, stanza: Stanza, position: u64, effects: &mut Effects) {
        let Some(to) = stanza.to() else { return };
        let account = to.to_jid().to_bare();
        // Sent to every resource that is ready: the others have it.
        let others_have_it = !to.is_full() && !self.non_negative(&account).is_empty();
        if stanza.is_error() || is_copy(&stanza) || others_have_it {
            self.stats.add(Count::Dropped);
            return;
        }
        let position = match position {
            0 => self.spool.next(self.services.clock.now()),
            position => position,
        };
        let message = Offline { position, stanza, receipt: None, is_returned: true };
        self.redeliver_elsewhere(&account, message, effects);
    }

    /// To the account's other resources, or into the spool, or back.
    pub(crate) fn redeliver_elsewhere(
        self: &Arc<Self>,
        account: &BareJid,
        message: Offline,
        effects: &mut Effects,
    ) {
        let receipt = message.receipt.clone();
        let targets = self.non_negative(account);
        let is_kept = self.registry.keeps_offline(&message.stanza);
        let taken = if !targets.is_empty() {
            self.deliver_at(account, targets, message, effects)
        } else if is_kept {
            self.store_at(account, message, effects)
        } else {
            self.refuse(&message.stanza, &StanzaError::service_unavailable(), effects);
            Taken::Done
        };
        self.accepted_if_done(taken, receipt.as_ref());
    }

    pub(crate) fn accepted_if_done(&self, taken: Taken, receipt: Option<&Receipt>) {
        if let (Taken::Done, Some(receipt)) = (taken, receipt) {
            self.accepted(receipt);
        }
    }
}

/// A carbon copy (XEP-0280): the message itself has a way of its own. Only the server sends them
/// from the account to itself.
fn is_copy(stanza: &Stanza) -> bool {
    let is_own = match (stanza.from(), stanza.to()) {
        (Some(from), Some(to)) => from.as_str() == to.bare_str(),
        (_, _) => false,
    };
    is_own && (stanza.has(ns::CARBONS, "sent") || stanza.has(ns::CARBONS, "received"))
}
