//! Step 6: into the outbox of the worker that holds the stream.

use std::sync::Arc;

use jackdaw_ext::{Command, Effect, Effects};
use jackdaw_jid::BareJid;
use jackdaw_session::{Account, Address, Session};
use jackdaw_stanza::{Delivery, IqType, Kind, Settle, Stanza, StanzaError, Type};

use crate::accept::Taken;
use crate::ledger::{Entry, Receipt, Row};
use crate::select::Targets;
use crate::{Count, Router};

impl Router {
    /// Gives the stanza to each target. A message to sessions under stream management is accepted
    /// when each has acknowledged it or its spool row is committed, whichever comes first; to
    /// others it is accepted when it is handed over: they can confirm nothing.
    pub(crate) fn deliver(
        self: &Arc<Self>,
        account: &Account,
        targets: Targets,
        stanza: Stanza,
        receipt: Option<Receipt>,
        effects: &mut Effects,
    ) -> Taken {
        let is_message = stanza.kind() == Kind::Message && !stanza.is_error();
        let managed =
            if is_message { targets.iter().filter(|s| s.is_managed()).count() } else { 0 };
        let settle = (managed > 0).then(|| {
            let entry = Entry {
                account: account.jid().clone(),
                stanza: stanza.clone(),
                receipt,
                waiting: managed as u32,
                row: Row::None,
            };
            self.ledger.open(entry)
        });
        let mut refused = 0;
        let count = targets.len();
        for session in targets {
            let settle = settle.filter(|_| session.is_managed());
            if !self.hand_to(&session, stanza.clone(), settle) {
                refused += 1;
                if let Some(settle) = settle {
                    self.settled(settle);
                }
            }
        }
        if refused == count {
            // The bound of every queue it could go to (P7: said, not dropped).
            self.refuse(&stanza, &StanzaError::resource_constraint(), effects);
            return Taken::Done;
        }
        match settle {
            Some(settle) => {
                self.linger(settle);
                if receipt.is_some() { Taken::Later } else { Taken::Done }
            }
            None => Taken::Done,
        }
    }

    /// Hands a stanza to a session's stream; false where the queue to it is full.
    pub(crate) fn hand_to(
        &self,
        session: &Session,
        stanza: Stanza,
        settle: Option<Settle>,
    ) -> bool {
        let what = match stanza.kind() {
            Kind::Message => Count::MessagesDelivered,
            Kind::Presence => Count::PresencesDelivered,
            Kind::Iq => Count::IqsDelivered,
        };
        let handed = self.outbox().deliver(session.address(), Delivery { stanza, settle }).is_ok();
        if handed {
            self.stats.add(what);
        }
        handed
    }

    /// The stanza that `receipt` names is durably accepted.
    pub(crate) fn accepted(&self, receipt: Receipt) {
        self.outbox().command(receipt.address, Command::Accepted(receipt.number));
    }

    /// A delivery came to a stream that is gone or cannot take it: its session ended meanwhile, or
    /// is at its bound.
    pub fn undelivered(self: &Arc<Self>, _: Address, delivery: Delivery) {
        let mut effects = Effects::new();
        self.redeliver(delivery, &mut effects);
        self.start_detached(Box::pin(Arc::clone(self).drain(effects)));
    }

    /// What becomes of a delivery whose session ended without acknowledging it (XEP-0198 §5, as
    /// for an unavailable resource: RFC 6121 §8.5.3.2).
    pub(crate) fn redeliver(self: &Arc<Self>, delivery: Delivery, effects: &mut Effects) {
        match delivery.stanza.kind_and_type() {
            Type::Message(_) if delivery.stanza.is_error() => {}
            Type::Message(_) => self.redeliver_message(delivery, effects),
            Type::Iq(IqType::Get | IqType::Set) => {
                self.refuse(&delivery.stanza, &StanzaError::service_unavailable(), effects);
            }
            Type::Iq(_) | Type::Presence(_) => self.stats.add(Count::Dropped),
        }
    }

    fn redeliver_message(self: &Arc<Self>, delivery: Delivery, effects: &mut Effects) {
        let Some(bare) = delivery.stanza.to().map(|to| to.to_jid().to_bare()) else { return };
        let Some(settle) = delivery.settle else {
            self.redeliver_untracked(&bare, delivery.stanza, effects);
            return;
        };
        // Others have it, or may still confirm it: it is not lost with this session.
        let Some(entry) = self.ledger.abandon(settle) else { return };
        match entry.row {
            // It is in the spool: an offline message from now on.
            Row::Written(position) => {
                self.spool.release(&bare, position);
                if let Some(receipt) = entry.receipt {
                    self.accepted(receipt);
                }
                self.flush_if_available(&bare);
            }
            Row::None | Row::Writing => {
                self.redeliver_elsewhere(&bare, entry.stanza, entry.receipt, effects);
            }
        }
    }

    fn redeliver_untracked(
        self: &Arc<Self>,
        bare: &BareJid,
        stanza: Stanza,
        effects: &mut Effects,
    ) {
        // Carbon copies are copies: the message itself has its own way.
        if stanza.has(jackdaw_stanza::ns::CARBONS, "sent")
            || stanza.has(jackdaw_stanza::ns::CARBONS, "received")
        {
            return;
        }
        self.redeliver_elsewhere(bare, stanza, None, effects);
    }

    fn redeliver_elsewhere(
        self: &Arc<Self>,
        bare: &BareJid,
        stanza: Stanza,
        receipt: Option<Receipt>,
        effects: &mut Effects,
    ) {
        let taken = match self.services.sessions.account(bare.as_str()) {
            Some(account) => {
                let targets = self.non_negative(&account);
                if targets.is_empty() {
                    self.keep_or_refuse(bare, stanza, receipt, effects)
                } else {
                    self.deliver(&account, targets, stanza, receipt, effects)
                }
            }
            None => self.keep_or_refuse(bare, stanza, receipt, effects),
        };
        if let (Taken::Done, Some(receipt)) = (taken, receipt) {
            self.accepted(receipt);
        }
    }

    fn keep_or_refuse(
        self: &Arc<Self>,
        bare: &BareJid,
        stanza: Stanza,
        receipt: Option<Receipt>,
        effects: &mut Effects,
    ) -> Taken {
        if self.registry.keeps_offline(&stanza) {
            return self.store_offline(bare, stanza, receipt);
        }
        self.refuse(&stanza, &StanzaError::service_unavailable(), effects);
        Taken::Done
    }

    fn flush_if_available(self: &Arc<Self>, bare: &BareJid) {
        let sessions = self.services.sessions.of(bare.as_str());
        let ready = sessions.into_iter().find(|s| s.priority().is_some_and(|p| p >= 0));
        if let Some(session) = ready {
            let effects = vec![Effect::FlushOffline(session)];
            self.start_detached(Box::pin(Arc::clone(self).drain(effects)));
        }
    }

    pub(crate) fn flush_for(self: &Arc<Self>, bare: &BareJid) {
        self.flush_if_available(bare);
    }
}
