//! A presence that knows priorities, and nothing of rosters.

use std::sync::Arc;

use jackdaw_ext::{Ctx, Effect, Pending, Presence};
use jackdaw_jid::BareJid;
use jackdaw_session::{Availability, Session};
use jackdaw_stanza::{Builder, PresenceType, Stanza, ns};

pub struct Plain;

fn done() -> Pending<()> {
    Box::pin(std::future::ready(()))
}

impl Presence for Plain {
    fn broadcast(&self, ctx: Ctx, stanza: Stanza) -> Pending<()> {
        let session = ctx.session().expect("a session's");
        if stanza.presence_type() == Some(PresenceType::Unavailable) {
            session.set_availability(Availability::default());
            return done();
        }
        let priority = stanza.payload(ns::CLIENT, "priority");
        let priority = priority.and_then(|payload| payload.element().ok());
        let priority = priority.and_then(|element| element.text().parse().ok()).unwrap_or(0);
        let before =
            session.set_availability(Availability { presence: Some(stanza.to_bytes()), priority });
        if priority >= 0 && (!before.is_available() || before.priority < 0) {
            ctx.effect(Effect::FlushOffline(Arc::clone(session)));
        }
        done()
    }

    fn directed(&self, ctx: Ctx, stanza: Stanza) -> Pending<()> {
        ctx.effect(Effect::Route(stanza));
        done()
    }

    fn subscription_outbound(&self, ctx: Ctx, stanza: Stanza) -> Pending<()> {
        ctx.effect(Effect::Route(stanza));
        done()
    }

    /// Every connected resource gets a note, so that a test sees that it came here.
    fn inbound(&self, ctx: Ctx, account: BareJid, _: Stanza) -> Pending<()> {
        for session in ctx.services().sessions.of(account.as_str()) {
            let note = Builder::message().with_type("headline").id("presence").build();
            ctx.effect(Effect::Deliver(session, note));
        }
        done()
    }

    fn part(&self, _: Ctx, _: BareJid) -> Pending<()> {
        done()
    }

    fn session_ended(&self, _: Ctx, session: Arc<Session>) -> Pending<()> {
        session.set_availability(Availability::default());
        done()
    }
}
