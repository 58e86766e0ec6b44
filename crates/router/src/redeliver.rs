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
        self.redeliver(delivery, Some(at), &mut effects);
        self.start_detached(Box::pin(Arc::clone(self).drain(effects)));
    }

    /// What becomes of a delivery whose session ended without acknowledging it (XEP-0198 §5, as
    /// for an unavailable resource: RFC 6121 §8.5.3.2), or is at its bound (`full`).
    pub(crate) fn redeliver(
        self: &Arc<Self>,
        delivery: Delivery,
        full: Option<Address>,
        effects: &mut Effects,
    ) {
        let Delivery { stanza, settle } = delivery;
        match (stanza.kind_and_type(), settle) {
            (Type::Message(_), Some(settle)) => self.given_up(settle, full, effects),
            (Type::Message(_), None) => self.redeliver_untracked(stanza, full, effects),
            (Type::Iq(IqType::Get | IqType::Set), _) => {
                self.refuse(&stanza, &StanzaError::service_unavailable(), effects);
            }
            (Type::Iq(_) | Type::Presence(_), _) => self.stats.add(Count::Dropped),
        }
    }

    /// A message that no session was to confirm.
    fn redeliver_untracked(
        self: &Arc<Self>,
        stanza: Stanza,
        full: Option<Address>,
        effects: &mut Effects,
    ) {
        let Some(to) = stanza.to() else { return };
        let account = to.to_jid().to_bare();
        // Sent to every resource that is ready: the others have it.
        let others_have_it = !to.is_full() && !self.other_targets(&account, full).is_empty();
        if stanza.is_error() || is_copy(&stanza) || others_have_it {
            self.stats.add(Count::Dropped);
            return;
        }
        let position = self.spool.next(self.services.clock.now());
        self.redeliver_elsewhere(
            &account,
            Offline { position, stanza, receipt: None },
            full,
            effects,
        );
    }

    /// To the account's other resources, or into the spool, or back.
    pub(crate) fn redeliver_elsewhere(
        self: &Arc<Self>,
        account: &BareJid,
        message: Offline,
        full: Option<Address>,
        effects: &mut Effects,
    ) {
        let receipt = message.receipt.clone();
        let targets = self.other_targets(account, full);
        let is_kept = self.registry.keeps_offline(&message.stanza);
        let taken = if !targets.is_empty() {
            self.deliver_at(account, targets, message, effects)
        } else if is_kept {
            if full.is_some() && self.ready_session(account).is_some() {
                self.congested(account);
            }
            self.store_at(account, message, effects)
        } else {
            self.refuse(&message.stanza, &StanzaError::service_unavailable(), effects);
            Taken::Done
        };
        self.accepted_if_done(taken, receipt.as_ref());
    }

    /// Every ready resource but the one that is full.
    fn other_targets(&self, account: &BareJid, full: Option<Address>) -> crate::select::Targets {
        let mut targets = self.non_negative(account);
        targets.retain(|session| Some(session.address()) != full);
        targets
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
