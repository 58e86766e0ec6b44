//! Step 6: into the outbox of the worker that holds the stream.

use std::sync::Arc;

use jackdaw_ext::{Command, Effects};
use jackdaw_faults::{Point, reach};
use jackdaw_jid::BareJid;
use jackdaw_session::{Account, Session};
use jackdaw_stanza::{Delivery, Kind, Settle, Stanza, StanzaError};

use crate::accept::Taken;
use crate::ledger::{Entry, Receipt, Row};
use crate::select::Targets;
use crate::spool::Offline;
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
        let is_managed = targets.iter().any(|session| session.is_managed());
        if is_message && is_managed {
            let position = self.spool.next(self.services.clock.now());
            let message = Offline::new(position, stanza, receipt);
            return self.deliver_at(account.jid(), targets, message, effects);
        }
        let position = if is_message { self.spool.next_unwritten() } else { 0 };
        let taken = self.hand_out(&targets, stanza, position, effects);
        match receipt.filter(|receipt| receipt.claim.is_some()) {
            // Nobody confirms it; that it is not to come again is for the sender's record to say.
            Some(receipt) => {
                self.accept_claimed(receipt);
                Taken::Later
            }
            None => taken,
        }
    }

    /// To sessions of which none confirms it.
    fn hand_out(
        &self,
        targets: &Targets,
        stanza: Stanza,
        position: u64,
        effects: &mut Effects,
    ) -> Taken {
        let Some((last, others)) = targets.split_last() else { return Taken::Done };
        let mut is_handed = false;
        for session in others {
            let delivery = Delivery { stanza: stanza.clone(), settle: None, position };
            is_handed |= self.hand_over(session, delivery).is_ok();
        }
        let refused = self.hand_over(last, Delivery { stanza, settle: None, position }).err();
        if let Some(refused) = refused.filter(|_| !is_handed) {
            self.refuse_full(&refused.stanza, effects);
        }
        Taken::Done
    }

    /// A message with its position in the spool, to sessions some of which may confirm it.
    pub(crate) fn deliver_at(
        self: &Arc<Self>,
        account: &BareJid,
        targets: Targets,
        message: Offline,
        effects: &mut Effects,
    ) -> Taken {
        let Offline { position, stanza, receipt, is_returned: _ } = message;
        let sessions = targets.len() as u32;
        // A message that its sender would send again after a crash is written ahead: its
        // recipients get it when it is durable that it is accepted.
        let is_ahead = receipt.as_ref().is_some_and(|receipt| receipt.claim.is_some())
            && self.registry.keeps_offline(&stanza);
        // Nobody confirms it while it is handed out: the entry is one longer open than needed.
        let settle = self.ledger.open(Entry {
            account: account.clone(),
            stanza: Some(stanza.clone()),
            receipt: receipt.clone(),
            waiting: sessions + 1,
            is_taken: false,
            is_returned: false,
            position,
            row: if is_ahead { Row::Writing } else { Row::None },
            numbers: Vec::new(),
        });
        if is_ahead {
            self.write_row(settle, account, position, &stanza, receipt.as_ref());
        }
        let mut refused = 0;
        for session in &targets {
            let token = if is_ahead { settle.held() } else { settle };
            refused += u32::from(!self.hand_to(session, stanza.clone(), Some(token)));
        }
        if refused == sessions {
            // Whoever was to confirm it refused it: there is nothing to wait for but its row.
            self.refuse_full(&stanza, effects);
            return self.unconfirmed(settle);
        }
        self.handed_out(settle, refused, effects)
    }

    /// Closes an entry that no session will confirm; one whose row is being written is closed when
    /// that is done.
    fn unconfirmed(self: &Arc<Self>, settle: Settle) -> Taken {
        let found = self.ledger.with(settle, |entry| {
            entry.waiting = 0;
            entry.is_taken = true;
            (entry.row, entry.row != Row::Writing)
        });
        match found {
            Some((Row::Written, Some(entry))) => {
                self.close(entry);
                Taken::Done
            }
            Some((Row::Writing, _)) => Taken::Later,
            Some(_) | None => Taken::Done,
        }
    }

    /// Takes back what kept the entry open, and counts those out that refused it.
    fn handed_out(self: &Arc<Self>, settle: Settle, refused: u32, effects: &mut Effects) -> Taken {
        let found = self.ledger.with(settle, |entry| {
            let is_open = entry.give_up(refused + 1, |account| self.spool.goes_back(account));
            ((entry.receipt.is_some(), entry.row == Row::None), !is_open)
        });
        match found {
            Some(((has_receipt, is_unwritten), None)) => {
                if is_unwritten {
                    self.linger(settle);
                }
                if has_receipt { Taken::Later } else { Taken::Done }
            }
            // Meanwhile every session ended, on another thread.
            Some(((has_receipt, _), Some(entry))) if !entry.is_taken => {
                self.lost(entry, effects);
                if has_receipt { Taken::Later } else { Taken::Done }
            }
            // Or confirmed it.
            Some((_, Some(entry))) => {
                let has_row = entry.row == Row::Written;
                if has_row {
                    self.close(entry);
                }
                Taken::Done
            }
            None => Taken::Done,
        }
    }

    /// Every queue it could go to is at its bound (P7: said, not dropped). Presence is not
    /// answered: whoever sent it told a whole roster.
    fn refuse_full(&self, stanza: &Stanza, effects: &mut Effects) {
        if stanza.kind() == Kind::Presence {
            return self.stats.add(Count::Dropped);
        }
        self.refuse(stanza, &StanzaError::resource_constraint(), effects);
    }

    /// Hands a stanza to a session's stream; false where the queue to it is full.
    pub(crate) fn hand_to(
        &self,
        session: &Session,
        stanza: Stanza,
        settle: Option<Settle>,
    ) -> bool {
        self.hand_over(session, Delivery { stanza, settle, position: 0 }).is_ok()
    }

    /// Hands a delivery to a session's stream; gives it back where the queue to it is full.
    fn hand_over(&self, session: &Session, delivery: Delivery) -> Result<(), Box<Delivery>> {
        let what = match delivery.stanza.kind() {
            Kind::Message => Count::MessagesDelivered,
            Kind::Presence => Count::PresencesDelivered,
            Kind::Iq => Count::IqsDelivered,
        };
        self.outbox().deliver(session.address(), delivery)?;
        self.stats.add(what);
        Ok(())
    }

    /// The stanza that `receipt` names is durably accepted.
    pub(crate) fn accepted(&self, receipt: &Receipt) {
        reach(Point::AcceptBeforeReceipt);
        self.outbox().command(receipt.address, Command::Accepted(receipt.number));
        reach(Point::AcceptAfterReceipt);
    }
}
