//! XEP-0280: Message Carbons. All of a user's clients see both sides of a conversation.
//!
//! Owns the wish of a session to get copies. Copies are made while a message passes the phases and
//! are delivered as effects, so nothing copies a copy. Whatever looks like a copy and passes a
//! phase is forged (many clients believed such messages: CVE-2017-5589 and its kin).

use std::sync::Arc;

use jackdaw_ext::{
    At, Ctx, Deps, Direction, Effect, Flow, Iq, PhaseCtx, Registry, Reply, SessionState, Status,
    Xep,
};
use jackdaw_jid::JidRef;
use jackdaw_session::Session;
use jackdaw_stanza::{Builder, Kind, MessageType, Payload, Stanza, StanzaError, ns};

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 280,
    name: "Message Carbons",
    version: "1.0.1",
    status: Status::Complete,
    features: &[ns::CARBONS, ns::CARBONS_RULES],
};

/// XEP-0249: direct invitations to a room.
const CONFERENCE: &str = "jabber:x:conference";

/// Session slot: this session wants copies.
#[derive(Clone, Copy, Debug)]
struct Enabled;

/// Registers the handlers and hooks.
pub fn register(on: &mut Registry, _: &Deps) {
    on.feature(At::Host, ns::CARBONS);
    on.feature(At::Host, ns::CARBONS_RULES);
    on.iq_set(At::Account, ns::CARBONS, "enable", handle_enable);
    on.iq_set(At::Account, ns::CARBONS, "disable", handle_disable);
    on.session_state(SessionState {
        name: "carbons",
        save: |session| session.has_slot::<Enabled>().then(Vec::new),
        restore: |session, _| enable(session),
    });
    on.phase(280, Direction::Outbound, copy_sent);
    on.phase(280, Direction::Inbound, copy_received);
}

/// Turns copies on for a session; also what Bind 2 does when it is asked to (XEP-0386 §4).
pub fn enable(session: &Session) {
    session.set_slot(Enabled);
}

/// §4. A second time is no error (§10.1).
async fn handle_enable(ctx: Ctx, _: Iq) -> Result<Reply, StanzaError> {
    enable(ctx.session()?);
    Ok(Reply::empty())
}

/// §5. Likewise.
async fn handle_disable(ctx: Ctx, _: Iq) -> Result<Reply, StanzaError> {
    ctx.session()?.remove_slot::<Enabled>();
    Ok(Reply::empty())
}

/// §8: the sender's other clients.
fn copy_sent(ctx: &mut PhaseCtx<'_>, stanza: &mut Stanza) -> Flow {
    if stanza.kind() != Kind::Message {
        return Flow::Continue;
    }
    if stanza.may_have_in(ns::CARBONS) && stanza.payloads().any(|payload| is_copy(&payload)) {
        return Flow::Refuse(StanzaError::policy_violation().text("only a server makes carbons"));
    }
    let Some(sender) = ctx.session else { return Flow::Continue };
    // To the own account: the copies are made where it is received, once.
    let own = ctx.account.jid().as_str();
    let is_to_self = stanza.to().is_none_or(|to| to.bare_str() == own);
    let has_others = ctx.account.session_count() > 1;
    if has_others && !is_to_self && is_eligible(stanza, stanza.to()) {
        let sessions = ctx.services.sessions.of(own);
        copy(ctx, "sent", stanza, sessions, |other| other.id() != sender.id());
    }
    Flow::Continue
}

/// §7: clients of the recipient that the message itself does not reach.
fn copy_received(ctx: &mut PhaseCtx<'_>, stanza: &mut Stanza) -> Flow {
    if stanza.kind() != Kind::Message {
        return Flow::Continue;
    }
    if stanza.may_have_in(ns::CARBONS)
        && stanza.remove_payloads(|payload| is_copy(&payload)) > 0
        && stanza.payloads().next().is_none()
    {
        return Flow::Stop("a forged carbon copy");
    }
    if ctx.recipient.is_some() && ctx.account.session_count() == 1 {
        // The only session is the one that gets it.
        return Flow::Continue;
    }
    if is_room_private(stanza) || !is_eligible(stanza, stanza.from()) {
        return Flow::Continue;
    }
    let sessions = ctx.services.sessions.of(ctx.account.jid().as_str());
    let is_addressed =
        |s: &&Arc<Session>| stanza.to().is_some_and(|to| to.as_str() == s.jid().as_str());
    let target = sessions.iter().find(is_addressed).map(|session| session.id());
    let sender = ctx.session.map(|session| session.id());
    copy(ctx, "received", stanza, sessions, |other| {
        let gets_it_anyway = match target {
            Some(target) => target == other.id(),
            None => other.priority().is_some_and(|priority| priority >= 0),
        };
        !gets_it_anyway && Some(other.id()) != sender
    });
    Flow::Continue
}

fn is_copy(payload: &Payload<'_>) -> bool {
    payload.ns == ns::CARBONS && matches!(payload.name, "received" | "sent")
}

/// §6.1. `peer` is who is at the other end.
fn is_eligible(message: &Stanza, peer: Option<JidRef<'_>>) -> bool {
    if message.has(ns::CARBONS, "private") || message.has(ns::HINTS, "no-copy") {
        return false;
    }
    let is_bare = peer.is_some_and(|peer| !peer.is_full());
    match message.message_type() {
        None | Some(MessageType::Groupchat) => false,
        Some(MessageType::Chat) => true,
        // What it answers is not known any more. Chat is begun with the bare JID, so this is how
        // most errors of a conversation look.
        Some(MessageType::Error) => is_bare || message.has(ns::CLIENT, "body"),
        Some(MessageType::Normal) if message.has(ns::CLIENT, "body") => true,
        Some(MessageType::Normal | MessageType::Headline) => {
            message.payloads().any(|payload| is_instant_messaging(&payload, is_bare))
        }
    }
}

/// Payloads of instant messaging, and invitations to a room: those come from and go to its bare
/// JID.
fn is_instant_messaging(payload: &Payload<'_>, is_bare: bool) -> bool {
    match payload.ns {
        ns::RECEIPTS | ns::CHAT_STATES | ns::CHAT_MARKERS | CONFERENCE => true,
        ns::MUC_USER => is_bare,
        _ => false,
    }
}

/// A private message from a room's occupant: the room sends it to each client that has joined.
fn is_room_private(message: &Stanza) -> bool {
    message.from().is_some_and(|from| from.is_full()) && message.has(ns::MUC_USER, "x")
}

/// Copies for those of the account's sessions that want them. The wrapped message is made once.
fn copy(
    ctx: &mut PhaseCtx<'_>,
    direction: &str,
    stanza: &Stanza,
    sessions: impl IntoIterator<Item = Arc<Session>>,
    is_wanted: impl Fn(&Session) -> bool,
) {
    let mut made = None;
    for session in sessions {
        if session.has_slot::<Enabled>() && is_wanted(&session) {
            let wrapped = made.get_or_insert_with(|| wrap(ctx, direction, stanza));
            let copy = wrapped.addressed_to(session.jid().clone().into());
            ctx.effect(Effect::Deliver(session, copy));
        }
    }
}

/// The message inside `<forwarded/>` (XEP-0297) inside the direction, from the account itself.
fn wrap(ctx: &PhaseCtx<'_>, direction: &str, stanza: &Stanza) -> Stanza {
    let mut message = Vec::with_capacity(stanza.size() + 256);
    stanza.write_to(&mut message);
    let mut payload = Vec::with_capacity(message.len() + 256);
    let mut put = |part: &str| payload.extend_from_slice(part.as_bytes());
    put(&format!("<{direction} xmlns='{}'><forwarded xmlns='{}'>", ns::CARBONS, ns::FORWARD));
    // The copy stands in another default namespace than the original did.
    put(&format!("<message xmlns='{}'", ns::CLIENT));
    payload.extend_from_slice(message.get("<message".len()..).unwrap_or_default());
    payload.extend_from_slice(format!("</forwarded></{direction}>").as_bytes());
    let builder = Builder::message().from(ctx.account.jid().clone()).raw_payload(&payload);
    match type_name(stanza) {
        Some(name) => builder.with_type(name).build(),
        None => builder.build(),
    }
}

fn type_name(message: &Stanza) -> Option<&'static str> {
    Some(match message.message_type()? {
        MessageType::Chat => "chat",
        MessageType::Error => "error",
        MessageType::Groupchat => "groupchat",
        MessageType::Headline => "headline",
        MessageType::Normal => return None,
    })
}

#[cfg(test)]
#[path = "carbons_test.rs"]
mod tests;
