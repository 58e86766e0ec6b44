//! Presence without `to`: initial, subsequent, unavailable (RFC 6121 §4.2, §4.4, §4.5).
//!
//! The stanza is made once; a contact costs a clone of it and an effect.
//!
//! A session's presence is set before the roster is read, and a new subscriber is in the roster
//! before the sessions' presence is read (`subscribe.rs`): whichever comes first, the subscriber
//! ends up with the latest presence.

use std::sync::Arc;

use bytes::Bytes;
use jackdaw_ext::{Ctx, Effect, Roster};
use jackdaw_jid::Jid;
use jackdaw_session::{Account, Availability, Session};
use jackdaw_stanza::{Builder, PresenceType, Stanza, StanzaError, ns};
use jackdaw_xml::{Limits, Scope};

use crate::Hides;
use crate::change::roster_of;
use crate::rosters::Rosters;
use crate::{directed, probe, push, subscribe};

/// Presence without `to` from a session of ours.
pub(crate) async fn broadcast(rosters: &Rosters, hides: Hides, ctx: &Ctx, stanza: Stanza) {
    let Ok(session) = ctx.session() else { return };
    if stanza.presence_type() == Some(PresenceType::Unavailable) {
        let was_available = session.is_available();
        unavailable(hides, ctx, session, &stanza);
        if was_available {
            echo(ctx, session, &stanza);
        }
        return;
    }
    let priority = match priority(&stanza) {
        Ok(priority) => priority,
        Err(error) => {
            push::refuse(ctx, session, &stanza, &error);
            return;
        }
    };
    let availability = Availability { presence: Some(exact_bytes(&stanza)), priority };
    let before = session.set_availability(availability);
    let roster = roster_of(session.account());
    tell_subscribers(hides, ctx, session.account(), &roster, &stanza);
    tell_own(ctx, session, &stanza);
    if !before.is_available() {
        let is_first = !show_other_resources(ctx, session);
        probe::contacts(hides, ctx, session, &roster);
        subscribe::show_requests(rosters, ctx, session, &roster).await;
        if is_first {
            subscribe::repeat_requests(ctx, session.account().jid(), &roster);
        }
    }
    // A resource with a negative priority never gets messages for the bare JID (§8.5.2.1.1).
    let may_flush = !before.is_available() || before.priority < 0;
    if priority >= 0 && may_flush {
        ctx.effect(Effect::FlushOffline(Arc::clone(session)));
    }
}

/// A session comes back after the server was killed. Its client takes its contacts for what they
/// were then; who is available says so when it is probed, right after this, and the others stay
/// unavailable. From the bare JID: the client need not have known every resource.
pub(crate) fn forget_contacts(ctx: &Ctx, session: &Arc<Session>) {
    let roster = roster_of(session.account());
    for (contact, item) in &roster.items {
        if item.subscription.has_to() {
            let gone = Builder::presence()
                .from(contact.clone())
                .to(session.jid().clone())
                .with_type("unavailable");
            ctx.effect(Effect::Deliver(Arc::clone(session), gone.build()));
        }
    }
}

/// A session ended without saying so (RFC 6121 §4.5.2).
pub(crate) fn session_ended(hides: Hides, ctx: &Ctx, session: &Arc<Session>) {
    let stanza = Builder::presence().from(session.jid().clone()).with_type("unavailable").build();
    let heir = ctx.services().sessions.find(session.jid().as_jid_ref());
    if heir.is_some_and(|heir| heir.id() != session.id() && heir.is_available()) {
        // The resource is bound again and available: its contacts must not take it for gone.
        session.set_availability(Availability::default());
        directed::end(ctx, session, &stanza, |_| false);
        return;
    }
    unavailable(hides, ctx, session, &stanza);
}

/// Tells everybody but the session itself.
fn unavailable(hides: Hides, ctx: &Ctx, session: &Arc<Session>, stanza: &Stanza) {
    let before = session.set_availability(Availability::default());
    if !before.is_available() {
        directed::end(ctx, session, stanza, |_| false);
        return;
    }
    let roster = roster_of(session.account());
    tell_subscribers(hides, ctx, session.account(), &roster, stanza);
    directed::end(ctx, session, stanza, |target| {
        target.bare_str() == session.jid().bare_str()
            || roster.subscription(target.bare_str()).has_from()
    });
    tell_own(ctx, session, stanza);
}

fn tell_subscribers(hides: Hides, ctx: &Ctx, account: &Account, roster: &Roster, stanza: &Stanza) {
    for (contact, item) in &roster.items {
        if item.subscription.has_from() && !hides(account, contact) {
            ctx.effect(Effect::Route(stanza.addressed_to(contact.clone().into())));
        }
    }
}

/// An account is subscribed to itself: all its available resources get it, the sending one too.
fn tell_own(ctx: &Ctx, session: &Session, stanza: &Stanza) {
    for other in ctx.services().sessions.of(session.jid().bare_str()) {
        if other.is_available() {
            echo(ctx, &other, stanza);
        }
    }
}

fn echo(ctx: &Ctx, session: &Arc<Session>, stanza: &Stanza) {
    let copy = stanza.addressed_to(session.jid().clone().into());
    ctx.effect(Effect::Deliver(Arc::clone(session), copy));
}

/// A resource that becomes available learns of the account's others; says whether there are any.
fn show_other_resources(ctx: &Ctx, session: &Arc<Session>) -> bool {
    let to = Jid::from(session.jid().clone());
    let mut has_others = false;
    for other in ctx.services().sessions.of(session.jid().bare_str()) {
        if other.id() == session.id() {
            continue;
        }
        if let Some(presence) = last_presence(&other) {
            let copy = presence.addressed_to(to.clone());
            ctx.effect(Effect::Deliver(Arc::clone(session), copy));
            has_others = true;
        }
    }
    has_others
}

/// The last presence of an available session, as it was broadcast and without `to`.
pub(crate) fn last_presence(session: &Session) -> Option<Stanza> {
    let bytes = session.availability().presence?;
    Stanza::parse(bytes, &Scope::client(), &Limits::trusted()).ok()
}

/// The stanza in a buffer of just its size: it stays as long as the session is available.
fn exact_bytes(stanza: &Stanza) -> Bytes {
    let mut bytes = Vec::new();
    stanza.write_to(&mut bytes);
    bytes.into_boxed_slice().into()
}

/// The priority (RFC 6121 §4.7.2.3), 0 if it names none. One that is no integer from -128 to 127,
/// or more than one, makes the stanza a `bad-request`: to guess would hand every contact a stanza
/// that the RFC forbids.
fn priority(stanza: &Stanza) -> Result<i8, StanzaError> {
    let mut priorities = stanza.payloads().filter(|payload| payload.is(ns::CLIENT, "priority"));
    let Some(payload) = priorities.next() else { return Ok(0) };
    if priorities.next().is_some() {
        return Err(StanzaError::bad_request().text("more than one priority"));
    }
    let element = payload.element().map_err(|_| StanzaError::bad_request())?;
    let text = element.text();
    text.trim_ascii()
        .parse()
        .map_err(|_| StanzaError::bad_request().text("the priority is not between -128 and 127"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_priority(text: &str) -> Stanza {
        let xml = format!("<presence>{text}</presence>");
        Stanza::parse(xml.into(), &Scope::client(), &Limits::trusted()).expect("a presence")
    }

    #[test]
    fn a_priority_is_a_signed_byte_and_zero_without_one() {
        for (xml, expected) in [
            ("<show>away</show>", 0),
            ("<priority>5</priority>", 5),
            ("<priority> -128\n</priority>", -128),
            ("<priority>127</priority>", 127),
        ] {
            assert_eq!(priority(&with_priority(xml)).ok(), Some(expected), "{xml}");
        }
    }

    #[test]
    fn a_priority_out_of_range_is_refused() {
        for xml in [
            "<priority>128</priority>",
            "<priority>-129</priority>",
            "<priority>high</priority>",
            "<priority/>",
            "<priority>1</priority><priority>1</priority>",
        ] {
            assert!(priority(&with_priority(xml)).is_err(), "{xml}");
        }
    }
}
