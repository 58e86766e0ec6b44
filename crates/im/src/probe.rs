//! Presence probes (RFC 6121 §4.3): asking for the contacts' presence, and answering.

use std::sync::Arc;

use jackdaw_ext::{Ctx, Effect, Roster};
use jackdaw_jid::{BareJid, Jid, JidRef};
use jackdaw_session::Session;
use jackdaw_stanza::{Builder, Stanza};

use crate::broadcast::last_presence;
use crate::change::roster_of;
use crate::subscription::Handshake;
use crate::{Hides, directed, subscribe};

/// Asks for the presence of every contact that the user is subscribed to.
pub(crate) fn contacts(hides: Hides, ctx: &Ctx, session: &Session, roster: &Roster) {
    // Between domains a probe comes from the bare JID (§4.3). Within ours no probe would be needed
    // (§4.3.1), so how it looks is our matter: from the full JID, it spares the account's other
    // resources the answers that they have had.
    let probe = |from: Jid| Builder::presence().from(from).with_type("probe").build();
    let ours = probe(session.jid().clone().into());
    let theirs = probe(session.account().jid().clone().into());
    for (contact, item) in &roster.items {
        if item.subscription.has_to() && !hides(session.account(), contact) {
            let is_local = ctx.services().hosts.serves(contact.domain());
            let probe = if is_local { &ours } else { &theirs };
            ctx.effect(Effect::Route(probe.addressed_to(contact.clone().into())));
        }
    }
}

/// Answers a probe that reached `owner` or one of its resources (§4.3.2, §4.6.6). An account that
/// does not exist answers like one that the prober may not see.
pub(crate) async fn answer(ctx: &Ctx, owner: &BareJid, probe: &Stanza) {
    let (Some(from), Some(to)) = (probe.from(), probe.to()) else { return };
    let account = match ctx.account().await {
        Ok(account) => account,
        Err(error) => {
            ctx.effect(Effect::Route(probe.error(&error)));
            return;
        }
    };
    let roster = account.map(|account| roster_of(&account)).unwrap_or_default();
    let is_own = from.bare_str() == owner.as_str();
    if is_own || roster.subscription(from.bare_str()).has_from() {
        if to.is_full() {
            answer_for_resource(ctx, probe, from, to);
        } else {
            answer_for_all(ctx, owner, probe, from);
        }
        return;
    }
    if to.is_full() && shares_directed(ctx, from, to) {
        ctx.effect(Effect::Route(mere(to.to_jid(), from).build()));
        return;
    }
    // To refuse in the user's name what the user has not answered would answer it.
    let is_pending = roster.items.get(from.bare_str()).is_some_and(|item| item.is_pending_in);
    if !is_pending
        // From and to bare JIDs: a full one would be a presence leak (§4.3.2, rule 1).
        && let Some(refusal) = subscribe::answer(Handshake::Unsubscribed, owner, probe)
    {
        ctx.effect(Effect::Route(refusal));
    }
}

/// The last presence of each available resource, else one `unavailable` from the account.
fn answer_for_all(ctx: &Ctx, owner: &BareJid, probe: &Stanza, from: JidRef<'_>) {
    let to = from.to_jid();
    let mut is_answered = false;
    for session in ctx.services().sessions.of(owner.as_str()) {
        if let Some(presence) = last_presence(&session) {
            ctx.effect(Effect::Route(presence.addressed_to(to.clone())));
            is_answered = true;
        }
    }
    if !is_answered {
        let builder = mere(owner.clone().into(), from).with_type("unavailable");
        ctx.effect(Effect::Route(with_id_of(builder, probe).build()));
    }
}

/// Says of one resource only that it is available, or not.
fn answer_for_resource(ctx: &Ctx, probe: &Stanza, from: JidRef<'_>, to: JidRef<'_>) {
    let session = ctx.services().sessions.find(to);
    let builder = mere(to.to_jid(), from);
    let builder = if session.is_some_and(|session| session.is_available()) {
        builder
    } else {
        with_id_of(builder.with_type("unavailable"), probe)
    };
    ctx.effect(Effect::Route(builder.build()));
}

fn shares_directed(ctx: &Ctx, from: JidRef<'_>, to: JidRef<'_>) -> bool {
    let session: Option<Arc<Session>> = ctx.services().sessions.find(to);
    session.is_some_and(|session| directed::is_shared_with(&session, from))
}

/// Presence without any details.
fn mere(from: Jid, to: JidRef<'_>) -> Builder {
    Builder::presence().from(from).to(to.to_jid())
}

/// The answer carries the probe's id where it is about the probe (§4.3.2.1).
fn with_id_of(builder: Builder, probe: &Stanza) -> Builder {
    match probe.id() {
        Some(id) => builder.id(&id),
        None => builder,
    }
}
