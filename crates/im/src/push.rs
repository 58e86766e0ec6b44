//! Roster items as clients see them, and who gets which stanza.

use std::sync::Arc;

use jackdaw_ext::{Ctx, Effect, Roster, RosterItem};
use jackdaw_jid::BareJid;
use jackdaw_session::Session;
use jackdaw_stanza::{Builder, IqType, Stanza, StanzaError, ns};
use jackdaw_xml::Element;

/// The whole roster (RFC 6121 §2.1.4).
pub(crate) fn whole(roster: &Roster) -> Element {
    let mut query = query(roster.version);
    for (contact, item) in roster.items.iter().filter(|(_, item)| item.is_listed) {
        query.push(element(contact, item));
    }
    query
}

/// A push of an item that is new or changed (RFC 6121 §2.1.6).
pub(crate) fn updated(version: u64, contact: &BareJid, item: &RosterItem) -> Stanza {
    push(version, element(contact, item))
}

/// A push of an item that is gone.
pub(crate) fn removed(version: u64, contact: &BareJid) -> Stanza {
    let item = Element::new(ns::ROSTER, "item")
        .with_attr("jid", contact.as_str())
        .with_attr("subscription", "remove");
    push(version, item)
}

/// Without `from`: that is the account itself, and no client can mistake it for somebody else.
/// The version makes the id unique on every stream.
fn push(version: u64, item: Element) -> Stanza {
    let query = query(version).with_child(item);
    Builder::iq(IqType::Set).id(&format!("push-{version}")).payload(&query).build()
}

fn query(version: u64) -> Element {
    Element::new(ns::ROSTER, "query").with_attr("ver", version.to_string())
}

/// `<item/>` (RFC 6121 §2.1.2).
fn element(contact: &BareJid, item: &RosterItem) -> Element {
    let mut element = Element::new(ns::ROSTER, "item").with_attr("jid", contact.as_str());
    if let Some(name) = &item.name {
        element = element.with_attr("name", name);
    }
    element = element.with_attr("subscription", item.subscription.name());
    if item.is_pending_out {
        element = element.with_attr("ask", "subscribe");
    }
    if item.is_approved {
        element = element.with_attr("approved", "true");
    }
    for group in &item.groups {
        element.push(Element::new(ns::ROSTER, "group").with_text(group));
    }
    element
}

/// Sends a roster push to every interested resource (RFC 6121 §2.2).
pub(crate) fn to_interested(ctx: &Ctx, owner: &BareJid, push: &Stanza) {
    for session in ctx.services().sessions.of(owner.as_str()) {
        if session.is_interested() {
            let push = push.addressed_to(session.jid().clone().into());
            ctx.effect(Effect::Deliver(session, push));
        }
    }
}

/// Shows a stanza to every interested resource as it is: the `to` of what is addressed to the bare
/// JID is not rewritten (RFC 6121 §8.5.2.1.2).
pub(crate) fn show_interested(ctx: &Ctx, owner: &BareJid, stanza: &Stanza) {
    show(ctx, owner, stanza, Session::is_interested);
}

/// Shows a stanza to every available resource as it is.
pub(crate) fn show_available(ctx: &Ctx, owner: &BareJid, stanza: &Stanza) {
    show(ctx, owner, stanza, Session::is_available);
}

fn show(ctx: &Ctx, owner: &BareJid, stanza: &Stanza, is_wanted: impl Fn(&Session) -> bool) {
    for session in ctx.services().sessions.of(owner.as_str()) {
        if is_wanted(&session) {
            ctx.effect(Effect::Deliver(session, stanza.clone()));
        }
    }
}

/// Tells the session why its stanza was refused.
pub(crate) fn refuse(ctx: &Ctx, session: &Arc<Session>, stanza: &Stanza, error: &StanzaError) {
    let mut reply = stanza.error(error);
    reply.set_to(session.jid().clone().into());
    ctx.effect(Effect::Deliver(Arc::clone(session), reply));
}
