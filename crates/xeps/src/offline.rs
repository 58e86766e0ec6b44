//! XEP-0160: Best Practices for Handling Offline Messages. Which messages are worth keeping.
//!
//! The router keeps and delivers them. Does not: the client's view of its queue (XEP-0013).

use jackdaw_ext::{At, Deps, Direction, Flow, PhaseCtx, Registry, Status, Xep};
use jackdaw_stanza::{MessageType, Payload, Stanza, ns};

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 160,
    name: "Best Practices for Handling Offline Messages",
    version: "1.0.1",
    status: Status::Complete,
    features: &[ns::OFFLINE],
};

/// Registers the policy.
pub fn register(on: &mut Registry, _: &Deps) {
    on.feature(At::Host, ns::OFFLINE);
    on.offline(is_kept);
    on.phase(160, Direction::Inbound, drop_idle_chat_states);
}

/// §3, and the hints of XEP-0334 §4. A `<store/>` hint cannot make a room's message or an alert
/// worth keeping: by the time it is read it is wrong.
fn is_kept(message: &Stanza) -> bool {
    match message.message_type() {
        Some(MessageType::Chat | MessageType::Normal) => {}
        Some(MessageType::Error | MessageType::Groupchat | MessageType::Headline) | None => {
            return false;
        }
    }
    if message.has(ns::HINTS, "no-store") {
        return false;
    }
    message.has(ns::HINTS, "store") || !is_chat_state_only(message)
}

/// Whether a message says nothing but that its sender types, or stopped to.
fn is_chat_state_only(message: &Stanza) -> bool {
    let is_state = |payload: &Payload<'_>| payload.ns == ns::CHAT_STATES;
    message.may_have_in(ns::CHAT_STATES)
        && message.payloads().any(|payload| is_state(&payload))
        && message.payloads().all(|payload| is_state(&payload) || is_accessory(&payload))
}

/// What a message may carry that is nothing by itself.
fn is_accessory(payload: &Payload<'_>) -> bool {
    matches!(
        (payload.ns, payload.name),
        (ns::HINTS, _) | (ns::CLIENT, "thread") | (ns::STANZA_ID, _)
    )
}

/// A chat state for an account with nobody there would be refused, as it is not kept; but an error
/// for each key that is pressed helps nobody.
fn drop_idle_chat_states(ctx: &mut PhaseCtx<'_>, stanza: &mut Stanza) -> Flow {
    if stanza.message_type() != Some(MessageType::Chat) || !is_chat_state_only(stanza) {
        return Flow::Continue;
    }
    let sessions = ctx.services.sessions.of(ctx.account.jid().as_str());
    let to = stanza.to();
    let is_heard = sessions.iter().any(|session| {
        session.priority().is_some_and(|priority| priority >= 0)
            || to.is_some_and(|to| to.as_str() == session.jid().as_str())
    });
    if is_heard { Flow::Continue } else { Flow::Stop("a chat state for nobody") }
}

#[cfg(test)]
mod tests {
    use crate::test_harness::{Harness, parse};

    #[track_caller]
    fn check(expected: bool, kind: &str, payload: &str) {
        let message = parse(&format!("<message type='{kind}'>{payload}</message>"));
        let harness = Harness::new();
        assert_eq!(harness.registry.keeps_offline(&message), expected, "{kind} {payload}");
    }

    const COMPOSING: &str = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";

    #[test]
    fn what_is_kept_depends_on_type_content_and_hints() {
        let body = "<body>o</body>";
        for (expected, kind) in [
            (true, "chat"),
            (true, "normal"),
            (false, "groupchat"),
            (false, "headline"),
            (false, "error"),
        ] {
            check(expected, kind, body);
        }
        check(false, "chat", COMPOSING);
        check(false, "chat", &format!("{COMPOSING}<thread>t</thread>"));
        check(true, "chat", &format!("{COMPOSING}{body}"));
        check(true, "chat", "<received xmlns='urn:xmpp:receipts' id='1'/>");
        check(false, "chat", &format!("{body}<no-store xmlns='urn:xmpp:hints'/>"));
        check(true, "chat", &format!("{body}<no-permanent-store xmlns='urn:xmpp:hints'/>"));
        check(true, "chat", &format!("{COMPOSING}<store xmlns='urn:xmpp:hints'/>"));
        check(false, "headline", &format!("{body}<store xmlns='urn:xmpp:hints'/>"));
    }

    #[test]
    fn a_chat_state_for_somebody_who_is_away_vanishes() {
        let harness = Harness::new();
        let bed = harness.connect("juliet@capulet.lit/bed");
        let inbound = |to: &str| {
            let from = "romeo@verona.lit/o";
            let message =
                format!("<message type='chat' from='{from}' to='{to}'>{COMPOSING}</message>");
            harness.inbound("juliet@capulet.lit", &message)
        };
        assert!(inbound("juliet@capulet.lit").is_stopped());
        inbound("juliet@capulet.lit/bed").stanza();
        harness.available(&bed, -1);
        assert!(inbound("juliet@capulet.lit").is_stopped());
        harness.available(&bed, 0);
        inbound("juliet@capulet.lit").stanza();
    }
}
