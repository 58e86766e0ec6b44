//! Subscription stanzas (RFC 6121 §3) and what follows from them on the wire.
//!
//! Which state follows from which is `subscription.rs`. The order here is the RFC's: a
//! notification is shown before the roster push about it, presence stops before the contact hears
//! that its subscription is over, and starts after it hears that it has one.

use std::sync::Arc;

use bytes::Bytes;
use jackdaw_ext::{Ctx, Effect, Roster, RosterItem, stanza_error};
use jackdaw_jid::{BareJid, Jid};
use jackdaw_session::Session;
use jackdaw_stanza::{Builder, Stanza, StanzaError};
use jackdaw_xml::{Limits, Scope};

use crate::broadcast::last_presence;
use crate::change::{Changed, Decision, Request, Unchanged};
use crate::limits::{REQUEST_BYTES_MAX, REQUESTS_MAX};
use crate::push;
use crate::roster::{check_room, refusal};
use crate::rosters::Rosters;
use crate::subscription::{self, Handshake};

/// A subscription stanza leaves a session of ours (RFC 6121 §3.1.2, §3.1.5, §3.2.2, §3.3.2,
/// §3.4.2).
pub(crate) async fn outbound(rosters: &Rosters, ctx: &Ctx, mut stanza: Stanza) {
    let Ok(session) = ctx.session() else { return };
    let Some(handshake) = stanza.presence_type().and_then(Handshake::of) else { return };
    let Some(contact) = stanza.to().map(|to| to.to_jid().to_bare()) else { return };
    let owner = session.account().jid();
    if contact == *owner {
        // An account sees its own presence as it is (§4.2.2); there is nothing to ask.
        push::refuse(ctx, session, &stanza, &StanzaError::not_allowed());
        return;
    }
    let changing = rosters.change(ctx.services(), owner, &contact, |roster| {
        let before = roster.items.get(&contact).cloned().unwrap_or_default();
        let outcome = subscription::outbound(handshake, &before);
        if outcome.item.is_listed && !before.is_listed {
            check_room(roster, rosters.items_max)?;
        }
        let is_answered = before.is_pending_in && !outcome.item.is_pending_in;
        Ok(Decision {
            item: worth_keeping(outcome.item),
            request: if is_answered { Request::Dropped } else { Request::Untouched },
            is_pushed: false,
            outcome: outcome.is_routed,
        })
    });
    let changed = match changing.await {
        Ok(changed) => changed,
        Err(unchanged) => {
            push::refuse(ctx, session, &stanza, &refusal(unchanged));
            return;
        }
    };
    if handshake == Handshake::Unsubscribed && changed.before.subscription.has_from() {
        hide_presence(ctx, owner, &contact);
    }
    let is_routed = changed.outcome;
    if is_routed {
        stamp(&mut stanza, owner, &contact);
        ctx.effect(Effect::Route(stanza));
    }
    if let Some(push) = &changed.push {
        push::to_interested(ctx, owner, push);
    }
    if handshake == Handshake::Subscribed && is_routed {
        show_presence(ctx, owner, &contact);
    }
}

/// A subscription stanza reaches an account of ours (RFC 6121 §3.1.3, §3.1.6, §3.2.3, §3.3.3).
pub(crate) async fn inbound(
    rosters: &Rosters,
    ctx: &Ctx,
    owner: &BareJid,
    handshake: Handshake,
    mut stanza: Stanza,
) {
    let Some(contact) = stanza.from().map(|from| from.to_jid().to_bare()) else { return };
    if contact == *owner {
        return;
    }
    stamp(&mut stanza, &contact, owner);
    let changing = rosters.change(ctx.services(), owner, &contact, |roster| {
        let before = roster.items.get(&contact).cloned().unwrap_or_default();
        let outcome = subscription::inbound(handshake, &before);
        let request = match (before.is_pending_in, outcome.item.is_pending_in) {
            (false, true) => {
                check_requests(roster)?;
                Request::Kept(kept_form(&stanza))
            }
            (true, false) => Request::Dropped,
            (false, false) | (true, true) => Request::Untouched,
        };
        let item = worth_keeping(outcome.item.clone());
        Ok(Decision { item, request, is_pushed: false, outcome })
    });
    match changing.await {
        Ok(changed) => tell(ctx, owner, &contact, handshake, &stanza, &changed),
        // Nobody learns whether there is such an account: it is as if its owner had said no.
        Err(Unchanged::NoAccount) if handshake == Handshake::Subscribe => {
            if let Some(answer) = answer(Handshake::Unsubscribed, owner, &stanza) {
                ctx.effect(Effect::Route(answer));
            }
        }
        Err(Unchanged::NoAccount) => {}
        Err(Unchanged::Refused(error)) => ctx.effect(Effect::Route(stanza.error(&error))),
        Err(Unchanged::Store(error)) => {
            ctx.effect(Effect::Route(stanza.error(&stanza_error(&error))));
        }
    }
}

/// What the account's resources and the contact hear of an inbound stanza.
fn tell(
    ctx: &Ctx,
    owner: &BareJid,
    contact: &BareJid,
    handshake: Handshake,
    stanza: &Stanza,
    changed: &Changed<subscription::Inbound>,
) {
    if changed.outcome.is_delivered {
        // A request wants an answer from whoever is there; the others explain a roster push
        // (§3.1.1).
        match handshake {
            Handshake::Subscribe => push::show_available(ctx, owner, stanza),
            Handshake::Unsubscribe | Handshake::Subscribed | Handshake::Unsubscribed => {
                push::show_interested(ctx, owner, stanza);
            }
        }
    }
    if let Some(push) = &changed.push {
        push::to_interested(ctx, owner, push);
    }
    let Some(reply) = changed.outcome.reply else { return };
    if handshake == Handshake::Unsubscribe && changed.before.subscription.has_from() {
        hide_presence(ctx, owner, contact);
    }
    if let Some(answer) = answer(reply, owner, stanza) {
        ctx.effect(Effect::Route(answer));
    }
    if reply == Handshake::Subscribed {
        // Also to one that was subscribed all along: it asked because it had lost that.
        show_presence(ctx, owner, contact);
    }
}

/// Shows a newly available session the requests that wait for an answer (RFC 6121 §3.1.3, rule 4).
pub(crate) async fn show_requests(
    rosters: &Rosters,
    ctx: &Ctx,
    session: &Arc<Session>,
    roster: &Roster,
) {
    if !roster.items.values().any(|item| item.is_pending_in) {
        return;
    }
    let requests = match rosters.requests(session.account().jid()).await {
        Ok(requests) => requests,
        Err(error) => {
            // They stay where they are and are shown to the next session.
            tracing::error!(%error, "subscription requests could not be read");
            return;
        }
    };
    for bytes in requests {
        match Stanza::parse(bytes, &Scope::client(), &Limits::trusted()) {
            Ok(request) => ctx.effect(Effect::Deliver(Arc::clone(session), request)),
            Err(error) => tracing::error!(%error, "a subscription request is not readable"),
        }
    }
}

/// Asks again where an answer is missing (RFC 6121 §3.1.2): request or answer may have been lost
/// between the servers, and a contact that has approved already answers at once.
pub(crate) fn repeat_requests(ctx: &Ctx, owner: &BareJid, roster: &Roster) {
    for (contact, item) in &roster.items {
        if item.is_pending_out {
            ctx.effect(Effect::Route(say(Handshake::Subscribe, owner, contact)));
        }
    }
}

/// Ends whatever the two are to each other: the contact leaves the roster, or the account goes
/// (RFC 6121 §2.5.2).
pub(crate) fn part(ctx: &Ctx, owner: &BareJid, contact: &BareJid, item: &RosterItem) {
    if item.subscription.has_to() || item.is_pending_out {
        ctx.effect(Effect::Route(say(Handshake::Unsubscribe, owner, contact)));
    }
    if item.subscription.has_from() {
        hide_presence(ctx, owner, contact);
    }
    if item.subscription.has_from() || item.is_pending_in {
        ctx.effect(Effect::Route(say(Handshake::Unsubscribed, owner, contact)));
    }
}

/// Sends the contact the presence of every available resource (RFC 6121 §3.1.5).
fn show_presence(ctx: &Ctx, owner: &BareJid, contact: &BareJid) {
    let to = Jid::from(contact.clone());
    for session in ctx.services().sessions.of(owner.as_str()) {
        if let Some(presence) = last_presence(&session) {
            ctx.effect(Effect::Route(presence.addressed_to(to.clone())));
        }
    }
}

/// Tells the contact that every available resource is gone (RFC 6121 §3.2.2, §3.3.3).
pub(crate) fn hide_presence(ctx: &Ctx, owner: &BareJid, contact: &BareJid) {
    for session in ctx.services().sessions.of(owner.as_str()) {
        if session.is_available() {
            let gone = Builder::presence().from(session.jid().clone()).to(contact.clone());
            ctx.effect(Effect::Route(gone.with_type("unavailable").build()));
        }
    }
}

/// Subscriptions are between bare JIDs, and a full one would be a presence leak (RFC 6121 §3).
fn stamp(stanza: &mut Stanza, from: &BareJid, to: &BareJid) {
    stanza.set_from(from.clone().into());
    stanza.set_to(to.clone().into());
}

/// What the server says in the user's name.
fn say(handshake: Handshake, from: &BareJid, to: &BareJid) -> Stanza {
    Builder::presence().from(from.clone()).to(to.clone()).with_type(handshake.name()).build()
}

/// The same in answer to a stanza: with its id.
pub(crate) fn answer(handshake: Handshake, from: &BareJid, about: &Stanza) -> Option<Stanza> {
    let mut builder = Builder::presence()
        .from(from.clone())
        .to(about.from()?.to_jid().to_bare())
        .with_type(handshake.name());
    if let Some(id) = about.id() {
        builder = builder.id(&id);
    }
    Some(builder.build())
}

/// An item that says nothing any more is no item.
fn worth_keeping(item: RosterItem) -> Option<RosterItem> {
    (item.is_listed || item.is_pending_in).then_some(item)
}

/// Whether one more request is kept for this account.
fn check_requests(roster: &Roster) -> Result<(), StanzaError> {
    let waiting = roster.items.values().filter(|item| item.is_pending_in).count();
    if waiting < REQUESTS_MAX {
        Ok(())
    } else {
        Err(StanzaError::resource_constraint().text("too many requests wait for an answer"))
    }
}

/// The request as it is kept: whole, or without what makes it large.
fn kept_form(stanza: &Stanza) -> Bytes {
    if stanza.size() <= REQUEST_BYTES_MAX {
        return stanza.to_bytes();
    }
    let mut request = Builder::presence().with_type(Handshake::Subscribe.name()).build();
    if let (Some(from), Some(to)) = (stanza.from(), stanza.to()) {
        request.set_from(from.to_jid());
        request.set_to(to.to_jid());
    }
    request.to_bytes()
}
