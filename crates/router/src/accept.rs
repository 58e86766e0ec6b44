//! Step 1: a stanza from a session of ours (RFC 6120 §8.1, §10).

use std::sync::Arc;
use std::task::{Context, Waker};

use jackdaw_ext::{Command, Ctx, Direction, Effects, Pending};
use jackdaw_jid::{BareJid, Jid};
use jackdaw_session::{Account, Address as StreamAddress, Session};
use jackdaw_stanza::{Address, PresenceType, Stanza, StanzaError, Type};

use crate::ledger::Receipt;
use crate::outbound::Parties;
use crate::record::Claim;
use crate::{Count, Router};

/// What became of an accepted stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Durably accepted: `h` may pass it.
    Done,
    /// [`Command::Accepted`] will come; later stanzas need not wait.
    Later,
    /// [`Command::Accepted`] will come if it has a number, then [`Command::Release`]: hold the
    /// stream's later stanzas until then (RFC 6120 §10.1). After [`Command::Close`] neither comes.
    Hold,
}

impl Router {
    /// Takes a stanza that `session` sent. `number` counts it under stream management.
    ///
    /// Errors in it are answered to the session; nothing is returned to the caller but whether
    /// the stanza is accepted (P1).
    pub fn accept(
        self: &Arc<Self>,
        session: &Arc<Session>,
        mut stanza: Stanza,
        number: Option<u32>,
    ) -> Taken {
        if !is_from_self(session, &stanza) {
            // RFC 6120 §4.9.3.9. Nothing that comes after it is read: no `Release` follows.
            self.outbox().command(session.address(), Command::Close("invalid-from"));
            return Taken::Hold;
        }
        if matches!(stanza.to_address(), Address::Malformed) {
            return self.answer_error(session, &stanza, &StanzaError::jid_malformed());
        }
        stanza.set_from(session.jid().clone().into());
        let address = session.address();
        let receipt = number.map(|number| Receipt { address, number, claim: None });
        match stanza.kind_and_type() {
            Type::Message(_) => self.accept_message(session, stanza, receipt),
            Type::Presence(kind) => self.accept_presence(session, stanza, kind, receipt),
            Type::Iq(_) => self.accept_iq(session, stanza, receipt),
        }
    }

    fn accept_message(
        self: &Arc<Self>,
        session: &Arc<Session>,
        mut stanza: Stanza,
        receipt: Option<Receipt>,
    ) -> Taken {
        if stanza.to().is_none() {
            // RFC 6120 §10.3.1: without `to` it is for the sender's own account.
            stanza.set_to(Jid::from(session.account().jid().clone()));
        }
        let claim = receipt.as_ref().and_then(|_| Claim::of(session, &stanza));
        let Some(claim) = claim else { return self.relay(session, stanza, receipt) };
        let is_recalled = claim.is_recalled();
        let receipt = receipt.map(|receipt| Receipt { claim: Some(claim), ..receipt });
        match receipt {
            // It was accepted before the server, or the stream, broke off.
            Some(receipt) if is_recalled => {
                self.accept_claimed(receipt);
                Taken::Later
            }
            receipt => self.relay(session, stanza, receipt),
        }
    }

    /// Phases and routing of what goes from entity to entity.
    fn relay(
        self: &Arc<Self>,
        session: &Arc<Session>,
        mut stanza: Stanza,
        receipt: Option<Receipt>,
    ) -> Taken {
        let mut effects = Effects::new();
        let outcome = self.run_hooks(
            Direction::Outbound,
            Parties::leaving(session),
            &mut stanza,
            &mut effects,
        );
        if outcome.is_continue() {
            self.send(Some(session), stanza, receipt, effects)
        } else {
            self.start(session.address(), receipt, Box::pin(Arc::clone(self).drain(effects)))
        }
    }

    fn accept_presence(
        self: &Arc<Self>,
        session: &Arc<Session>,
        mut stanza: Stanza,
        kind: PresenceType,
        receipt: Option<Receipt>,
    ) -> Taken {
        let is_broadcast = stanza.to().is_none();
        let mut effects = Effects::new();
        let outcome = self.run_hooks(
            Direction::Outbound,
            Parties::leaving(session),
            &mut stanza,
            &mut effects,
        );
        if !outcome.is_continue() {
            return self.start(
                session.address(),
                receipt,
                Box::pin(Arc::clone(self).drain(effects)),
            );
        }
        let job: Pending<()> = match kind {
            PresenceType::Available | PresenceType::Unavailable if is_broadcast => {
                Box::pin(Arc::clone(self).own_presence(Arc::clone(session), stanza))
            }
            PresenceType::Available if self.is_unreachable(&stanza) => {
                return self.answer_error(session, &stanza, &Router::unreachable_domain());
            }
            PresenceType::Available | PresenceType::Unavailable => {
                let ctx = self.ctx_of(Some(session), session.account());
                let done = self.presence.directed(ctx.clone(), stanza);
                Box::pin(Arc::clone(self).finish(ctx, done))
            }
            PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed => {
                if is_broadcast {
                    // Whom it concerns is not said (RFC 6121 §3.1.1).
                    return self.answer_error(session, &stanza, &StanzaError::bad_request());
                }
                let ctx = self.ctx_of(Some(session), session.account());
                let done = self.presence.subscription_outbound(ctx.clone(), stanza);
                Box::pin(Arc::clone(self).finish(ctx, done))
            }
            // Nobody in particular is asked, or told.
            PresenceType::Error | PresenceType::Probe if is_broadcast => {
                self.stats.add(Count::Dropped);
                return Taken::Done;
            }
            // Probes are the server's to send (RFC 6121 §4.7.1), but only a SHOULD says so, and
            // clients ask rooms this way. It does no harm: the answer depends on what the asked
            // account grants this user, not on who wrote the probe (§4.3.2).
            PresenceType::Error | PresenceType::Probe => {
                return self.send(Some(session), stanza, receipt, effects);
            }
        };
        let job: Pending<()> = if effects.is_empty() {
            job
        } else {
            let hooks = Arc::clone(self).drain(effects);
            Box::pin(async move {
                job.await;
                hooks.await;
            })
        };
        self.start(session.address(), receipt, job)
    }

    fn accept_iq(
        self: &Arc<Self>,
        session: &Arc<Session>,
        stanza: Stanza,
        receipt: Option<Receipt>,
    ) -> Taken {
        let own = session.account().jid();
        let is_own = stanza.to().is_none_or(|to| to.as_str() == own.as_str());
        if !is_own {
            return self.relay(session, stanza, receipt);
        }
        let job = Arc::clone(self).own_iq(Arc::clone(session), stanza);
        self.start(session.address(), receipt, Box::pin(job))
    }

    /// Polls the job once; hands it to the runtime if it is not ready.
    pub(crate) fn start(
        self: &Arc<Self>,
        address: StreamAddress,
        receipt: Option<Receipt>,
        mut job: Pending<()>,
    ) -> Taken {
        let mut context = Context::from_waker(Waker::noop());
        if job.as_mut().poll(&mut context).is_ready() {
            return Taken::Done;
        }
        let router = Arc::clone(self);
        self.services.spawn.spawn(Box::pin(async move {
            job.await;
            if let Some(receipt) = receipt {
                router.accepted(&receipt);
            }
            router.outbox().command(address, Command::Release);
        }));
        Taken::Hold
    }

    /// Runs a job that no stream waits for.
    pub(crate) fn start_detached(self: &Arc<Self>, mut job: Pending<()>) {
        let mut context = Context::from_waker(Waker::noop());
        if job.as_mut().poll(&mut context).is_pending() {
            self.services.spawn.spawn(job);
        }
    }

    pub(crate) fn ctx(&self, session: Option<&Arc<Session>>, target: BareJid) -> Ctx {
        Ctx::new(Arc::clone(&self.services), session.cloned(), target)
    }

    /// The context of a handler for an account whose state is at hand.
    pub(crate) fn ctx_of(&self, session: Option<&Arc<Session>>, account: &Arc<Account>) -> Ctx {
        Ctx::of_account(Arc::clone(&self.services), session.cloned(), Arc::clone(account))
    }

    fn answer_error(
        self: &Arc<Self>,
        session: &Arc<Session>,
        stanza: &Stanza,
        error: &StanzaError,
    ) -> Taken {
        if stanza.may_be_answered() {
            self.stats.add_error(error.condition());
            let mut reply = stanza.error(error);
            reply.set_to(session.jid().clone().into());
            self.hand_to(session, reply, None);
        }
        Taken::Done
    }
}

/// RFC 6120 §8.1.2.1: `from` is the session's own JID, full or bare, or absent.
fn is_from_self(session: &Session, stanza: &Stanza) -> bool {
    match stanza.from_address() {
        Address::Absent => true,
        Address::Malformed => false,
        Address::Span(..) | Address::Jid(_) => stanza.from().is_some_and(|from| {
            from.as_str() == session.jid().as_str() || from.as_str() == session.jid().bare_str()
        }),
    }
}
