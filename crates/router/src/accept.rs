//! Step 1: a stanza from a session of ours (RFC 6120 §8.1, §10).

use std::sync::Arc;
use std::task::{Context, Waker};

use jackdaw_ext::{Command, Ctx, Direction, Effects, Pending};
use jackdaw_jid::{BareJid, Jid, JidRef};
use jackdaw_session::{Address as StreamAddress, Session};
use jackdaw_stanza::{Address, Kind, PresenceType, Stanza, StanzaError, Type};

use crate::Router;
use crate::ledger::Receipt;

/// What became of an accepted stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Durably accepted: `h` may pass it.
    Done,
    /// [`Command::Accepted`] will come; later stanzas need not wait.
    Later,
    /// [`Command::Accepted`] will come if it has a number, then [`Command::Release`]: hold the
    /// stream's later stanzas until then (RFC 6120 §10.1).
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
        if let Err(error) = check_addresses(session, &stanza) {
            return self.answer_error(session, &stanza, &error);
        }
        stanza.set_from(session.jid().clone().into());
        let receipt = number.map(|number| Receipt { address: session.address(), number });
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
        self.relay(session, stanza, receipt)
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
            Some(session),
            session.account(),
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
            Some(session),
            session.account(),
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
            PresenceType::Available | PresenceType::Unavailable => {
                let ctx = self.ctx(Some(session), session.account().jid().clone());
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
                let ctx = self.ctx(Some(session), session.account().jid().clone());
                let done = self.presence.subscription_outbound(ctx.clone(), stanza);
                Box::pin(Arc::clone(self).finish(ctx, done))
            }
            // A client does not probe (RFC 6121 §4.3): its server does. Errors are relayed.
            PresenceType::Probe => return Taken::Done,
            PresenceType::Error if is_broadcast => return Taken::Done,
            PresenceType::Error => return self.send(Some(session), stanza, receipt, effects),
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
                router.accepted(receipt);
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

/// RFC 6120 §8.1.2.1: `from` is the session's own JID, full or bare, or absent. §8.1.1: `to` is a
/// JID.
fn check_addresses(session: &Session, stanza: &Stanza) -> Result<(), StanzaError> {
    if matches!(stanza.to_address(), Address::Malformed) {
        return Err(StanzaError::jid_malformed());
    }
    match stanza.from_address() {
        Address::Absent => Ok(()),
        Address::Malformed => Err(StanzaError::jid_malformed()),
        Address::Span(_) | Address::Jid(_) => {
            let is_own = stanza.from().is_some_and(|from| is_own(session, from, stanza.kind()));
            // RFC 6120 §4.9.3.9 would close the stream; a refused stanza is enough, and kinder to
            // clients that once stamped the wrong resource.
            if is_own { Ok(()) } else { Err(StanzaError::not_authorized()) }
        }
    }
}

fn is_own(session: &Session, from: JidRef<'_>, _: Kind) -> bool {
    from.as_str() == session.jid().as_str() || from.as_str() == session.jid().bare_str()
}
