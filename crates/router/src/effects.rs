//! Drains what the steps caused: one queue, no recursion.

use std::collections::VecDeque;
use std::sync::Arc;

use jackdaw_ext::{Command, Ctx, Effect, Effects, Lifecycle, Pending, PhaseCtx};
use jackdaw_session::Session;
use jackdaw_stanza::{PresenceType, Stanza};

use crate::{Count, Router};

/// Effects that one stanza may cause in a chain before we call it a loop. A broadcast to the
/// largest roster, answered by everybody, stays below it.
const CHAIN_MAX: usize = 200_000;

impl Router {
    /// Does everything in `effects`, and what that causes, in order.
    pub(crate) async fn drain(self: Arc<Self>, effects: Effects) {
        let mut queue = VecDeque::from(effects);
        let mut done = 0usize;
        while let Some(effect) = queue.pop_front() {
            done += 1;
            if done > CHAIN_MAX {
                tracing::error!("effects cause effects without end; the rest is dropped");
                self.stats.add(Count::Dropped);
                return;
            }
            let mut caused = Effects::new();
            self.apply(effect, &mut caused).await;
            queue.extend(caused);
        }
    }

    async fn apply(self: &Arc<Self>, effect: Effect, caused: &mut Effects) {
        match effect {
            Effect::Route(stanza) => self.route(stanza, caused).await,
            Effect::Deliver(session, stanza) => {
                if !self.hand_to(&session, stanza, None) {
                    self.stats.add(Count::Dropped);
                }
            }
            Effect::Close(session, condition) => {
                self.outbox().command(session.address(), Command::Close(condition));
            }
            Effect::FlushOffline(session) => self.flush(&session).await,
            Effect::Later(job) => job.await,
        }
    }

    /// A stanza of our own, or on behalf of an account: from step 3 on.
    async fn route(self: &Arc<Self>, stanza: Stanza, caused: &mut Effects) {
        let routed = self.resolve(stanza);
        self.inbound(None, routed, None, caused).await;
    }

    /// Awaits a handler, then drains what it caused.
    pub(crate) async fn finish(self: Arc<Self>, ctx: Ctx, handler: Pending<()>) {
        handler.await;
        self.drain(ctx.take_effects()).await;
    }

    /// Presence of a session to those who may see it, and the moments in its life that follow.
    pub(crate) async fn own_presence(self: Arc<Self>, session: Arc<Session>, stanza: Stanza) {
        let was_available = session.is_available();
        let account = session.account().jid();
        // The first resource that is ready gets what is in the spool: live messages behind it.
        let is_coming = stanza.presence_type() == Some(PresenceType::Available)
            && self.ready_session(account).is_none();
        if is_coming {
            self.spool.coming(account, self.spool.next(self.services.clock.now()));
        }
        let ctx = self.ctx_of(Some(&session), session.account());
        self.presence.broadcast(ctx.clone(), stanza.clone()).await;
        let mut effects = Effects::new();
        let is_available = session.is_available();
        if is_available && !was_available {
            self.tell(Lifecycle::Available, &session, Some(&stanza), &mut effects);
        }
        if was_available && !is_available {
            self.tell(Lifecycle::Unavailable, &session, Some(&stanza), &mut effects);
        }
        effects.append(&mut ctx.take_effects());
        Arc::clone(&self).drain(effects).await;
        if is_coming {
            self.spool.came(account);
        }
    }

    /// Runs the hooks on a moment in a session's life.
    pub(crate) fn tell(
        &self,
        moment: Lifecycle,
        session: &Arc<Session>,
        stanza: Option<&Stanza>,
        effects: &mut Effects,
    ) {
        for hook in self.registry.session_hooks(moment) {
            let mut ctx = PhaseCtx {
                services: &self.services,
                session: Some(session),
                recipient: None,
                account: session.account(),
                effects,
            };
            hook(&mut ctx, session, stanza);
        }
    }
}
