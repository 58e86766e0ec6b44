//! Step 4: at the owner of the target. The recipient's extensions, or the handler of an iq.

use std::sync::Arc;

use jackdaw_ext::{At, Ctx, Direction, Effect, Effects, Iq, stanza_error};
use jackdaw_jid::BareJid;
use jackdaw_session::{Account, Found, Session, Slots};
use jackdaw_stanza::{IqType, Kind, PresenceType, Stanza, StanzaError, Type};

use crate::accept::Taken;
use crate::ledger::Receipt;
use crate::outbound::Parties;
use crate::{Count, Routed, Router};

impl Router {
    /// Whom the stanza is for, if that is in memory because there is a session, and nothing that
    /// the stanza needs has to be waited for: the fast way.
    pub(crate) fn in_memory(&self, routed: &Routed) -> Option<Found> {
        let Routed::Account(stanza) = routed else { return None };
        let to = stanza.to()?;
        let is_direct = match stanza.kind() {
            Kind::Message => true,
            Kind::Iq => to.is_full(),
            Kind::Presence => false,
        };
        if is_direct { self.services.sessions.look_up(to) } else { None }
    }

    /// Phases and selection at an account whose state is at hand: messages, and iqs between
    /// resources.
    pub(crate) fn at_account(
        self: &Arc<Self>,
        sender: Option<&Arc<Session>>,
        found: &Found,
        mut stanza: Stanza,
        receipt: Option<Receipt>,
        effects: &mut Effects,
    ) -> Taken {
        let parties = Parties { sender, recipient: found.session(), account: found.account() };
        let passed = self.run_hooks(Direction::Inbound, parties, &mut stanza, effects);
        if !passed.is_continue() {
            return Taken::Done;
        }
        self.select(found, stanza, receipt, effects)
    }

    /// The way that may wait: loads the account, or asks a handler.
    pub(crate) async fn inbound(
        self: &Arc<Self>,
        sender: Option<&Arc<Session>>,
        routed: Routed,
        receipt: Option<Receipt>,
        effects: &mut Effects,
    ) {
        let taken = match routed {
            Routed::Remote(stanza) => {
                self.at_unreachable_domain(&stanza, effects);
                Taken::Done
            }
            Routed::Elsewhere { node, epoch, stanza } => {
                self.forward(node, epoch, stanza, effects);
                Taken::Done
            }
            // As where the owner is not reached: the sender is told to try again (P7).
            Routed::Unowned(stanza) => {
                self.refuse(&stanza, &StanzaError::resource_constraint(), effects);
                Taken::Done
            }
            Routed::Host(host, stanza) => {
                self.at_host(sender, host, stanza, effects).await;
                Taken::Done
            }
            Routed::Account(stanza) => {
                self.at_owner(sender, stanza, receipt.clone(), effects).await
            }
        };
        self.accepted_if_done(taken, receipt.as_ref());
    }

    async fn at_owner(
        self: &Arc<Self>,
        sender: Option<&Arc<Session>>,
        stanza: Stanza,
        receipt: Option<Receipt>,
        effects: &mut Effects,
    ) -> Taken {
        let Some(to) = stanza.to() else { return Taken::Done };
        let is_full = to.is_full();
        let found = match self.services.sessions.look_up(to) {
            Some(found) => found,
            None if is_plain_presence(&stanza) => {
                // Nobody is there to see it: not worth loading the account.
                self.stats.add(Count::Dropped);
                return Taken::Done;
            }
            None => {
                let bare = to.to_jid().to_bare();
                match self.services.account(&bare).await {
                    Ok(Some(account)) => Found::Account(account),
                    Ok(None) => {
                        self.no_such_account(sender, bare, stanza, effects).await;
                        return Taken::Done;
                    }
                    Err(error) => {
                        self.refuse(&stanza, &stanza_error(&error), effects);
                        return Taken::Done;
                    }
                }
            }
        };
        match stanza.kind_and_type() {
            Type::Presence(_) => {
                self.presence_at_account(sender, &found, stanza, effects).await;
                Taken::Done
            }
            Type::Iq(IqType::Get | IqType::Set) if !is_full => {
                self.iq_at_account(sender, found.account(), stanza, effects).await;
                Taken::Done
            }
            // A result for the account itself answers nothing that we asked.
            Type::Iq(_) if !is_full => Taken::Done,
            Type::Message(_) | Type::Iq(_) => {
                self.at_account(sender, &found, stanza, receipt, effects)
            }
        }
    }

    async fn presence_at_account(
        self: &Arc<Self>,
        sender: Option<&Arc<Session>>,
        found: &Found,
        mut stanza: Stanza,
        effects: &mut Effects,
    ) {
        let account = found.account();
        let parties = Parties { sender, recipient: found.session(), account };
        let passed = self.run_hooks(Direction::Inbound, parties, &mut stanza, effects);
        if !passed.is_continue() {
            return;
        }
        if is_plain_presence(&stanza) {
            self.select(found, stanza, None, effects);
            return;
        }
        // Subscriptions and probes are the account's, whatever resource they name.
        let ctx = self.ctx_of(sender, account);
        self.presence.inbound(ctx.clone(), account.jid().clone(), stanza).await;
        effects.append(&mut ctx.take_effects());
    }

    async fn iq_at_account(
        self: &Arc<Self>,
        sender: Option<&Arc<Session>>,
        account: &Arc<Account>,
        mut stanza: Stanza,
        effects: &mut Effects,
    ) {
        let parties = Parties::reaching(sender, account);
        let passed = self.run_hooks(Direction::Inbound, parties, &mut stanza, effects);
        if passed.is_continue() {
            let ctx = self.ctx_of(sender, account);
            self.handle_iq(At::Bare, ctx, stanza, effects).await;
        }
    }

    /// RFC 6121 §8.5.1: silence for presence, `service-unavailable` for messages and requests.
    ///
    /// Who has an account here is not for everybody to find out. So requests meet the same hooks
    /// and handlers that they would meet at an account which has granted nothing to anybody; where
    /// a specification wants another error there (XEP-0012 §3), it is the same here.
    async fn no_such_account(
        self: &Arc<Self>,
        sender: Option<&Arc<Session>>,
        bare: BareJid,
        mut stanza: Stanza,
        effects: &mut Effects,
    ) {
        if stanza.kind() == Kind::Presence {
            let ctx = self.ctx(None, bare.clone());
            self.presence.inbound(ctx.clone(), bare, stanza).await;
            effects.append(&mut ctx.take_effects());
            return;
        }
        let is_full = stanza.to().is_some_and(|to| to.is_full());
        let nobody = Arc::new(Account::new(bare, Slots::default()));
        if matches!(stanza.iq_type(), Some(IqType::Get | IqType::Set)) && !is_full {
            return self.iq_at_account(sender, &nobody, stanza, effects).await;
        }
        let parties = Parties::reaching(sender, &nobody);
        let passed = self.run_hooks(Direction::Inbound, parties, &mut stanza, effects);
        if passed.is_continue() {
            self.refuse(&stanza, &StanzaError::service_unavailable(), effects);
        }
    }

    async fn at_host(
        self: &Arc<Self>,
        sender: Option<&Arc<Session>>,
        host: BareJid,
        stanza: Stanza,
        effects: &mut Effects,
    ) {
        match stanza.kind_and_type() {
            Type::Iq(IqType::Get | IqType::Set) => {
                let ctx = self.ctx(sender, host);
                self.handle_iq(At::Host, ctx, stanza, effects).await;
            }
            Type::Iq(_) => {}
            // Nobody reads them (RFC 6120 §10.5.2); presence to a host is legal and means nothing.
            Type::Message(_) => {
                self.refuse(&stanza, &StanzaError::service_unavailable(), effects);
            }
            Type::Presence(_) => self.stats.add(Count::Dropped),
        }
    }

    /// An iq of a session to its own account (RFC 6120 §10.3.3).
    pub(crate) async fn own_iq(self: Arc<Self>, session: Arc<Session>, mut stanza: Stanza) {
        if !matches!(stanza.kind_and_type(), Type::Iq(IqType::Get | IqType::Set)) {
            return;
        }
        let mut effects = Effects::new();
        if stanza.to().is_none() {
            stanza.set_to(session.account().jid().clone().into());
        }
        let ctx = self.ctx_of(Some(&session), session.account());
        self.handle_iq(At::Account, ctx, stanza, &mut effects).await;
        self.drain(effects).await;
    }

    /// Every get and set is answered exactly once (RFC 6120 §8.2.3).
    async fn handle_iq(&self, at: At, ctx: Ctx, stanza: Stanza, effects: &mut Effects) {
        let answer = match self.find_handler(at, &stanza) {
            Ok(handler) => handler(ctx.clone(), Iq::new(stanza.clone())).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(reply) => {
                let result = stanza.result(reply.0.as_ref());
                // Straight to the session that asked: it may answer for itself, and phases are
                // for what others send.
                effects.push(match ctx.session() {
                    Ok(session) => Effect::Deliver(Arc::clone(session), result),
                    Err(_) => Effect::Route(result),
                });
            }
            Err(error) => self.refuse(&stanza, &error, effects),
        }
        effects.append(&mut ctx.take_effects());
    }

    fn find_handler(
        &self,
        at: At,
        stanza: &Stanza,
    ) -> Result<&jackdaw_ext::IqHandler, StanzaError> {
        let mut payloads = stanza.payloads();
        // Exactly one child (RFC 6120 §8.2.3), and an id to answer to.
        let (Some(payload), None) = (payloads.next(), payloads.next()) else {
            return Err(StanzaError::bad_request());
        };
        if stanza.id().is_none() {
            return Err(StanzaError::bad_request());
        }
        let is_set = stanza.iq_type() == Some(IqType::Set);
        self.registry
            .iq_handler(at, payload.ns, payload.name, is_set)
            .ok_or_else(StanzaError::service_unavailable)
    }
}

/// Presence that only says how somebody is, to whoever is there to see it.
fn is_plain_presence(stanza: &Stanza) -> bool {
    matches!(
        stanza.presence_type(),
        Some(PresenceType::Available | PresenceType::Unavailable | PresenceType::Error)
    )
}
