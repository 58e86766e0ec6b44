//! XEP-0203: Delayed Delivery. When a message was first sent.
//!
//! The router stamps what it kept. Here what others stamp in our name is taken away: a client
//! believes its own server.

use jackdaw_ext::{At, Deps, Direction, Flow, PhaseCtx, Registry, Status, Xep};
use jackdaw_jid::Jid;
use jackdaw_stanza::{Kind, Payload, Stanza, ns};

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 203,
    name: "Delayed Delivery",
    version: "2.0",
    status: Status::Complete,
    features: &[ns::DELAY],
};

/// Registers the hooks.
pub fn register(on: &mut Registry, _: &Deps) {
    on.feature(At::Host, ns::DELAY);
    on.phase(203, Direction::Outbound, strip_forged);
    on.phase(203, Direction::Inbound, strip_forged);
}

/// Whatever passes the phases is not yet stamped by us, so a stamp of a served domain or of one of
/// its accounts is forged.
fn strip_forged(ctx: &mut PhaseCtx<'_>, stanza: &mut Stanza) -> Flow {
    if stanza.kind() == Kind::Message && stanza.has(ns::DELAY, "delay") {
        let hosts = &ctx.services.hosts;
        stanza.remove_payloads(|payload| {
            stamped_by(&payload).is_some_and(|by| hosts.serves(by.domain()))
        });
    }
    Flow::Continue
}

fn stamped_by(payload: &Payload<'_>) -> Option<Jid> {
    if !payload.is(ns::DELAY, "delay") {
        return None;
    }
    let element = payload.element().ok()?;
    Jid::parse(element.attr("from")?).ok()
}

#[cfg(test)]
mod tests {
    use crate::test_harness::Harness;

    const FORGED: &str = "<message to='romeo@capulet.lit'><body>x</body>\
        <delay xmlns='urn:xmpp:delay' from='capulet.lit' stamp='2002-09-10T23:08:25Z'/>\
        <d:delay xmlns:d='urn:xmpp:delay' from='Juliet@Capulet.lit' stamp='2002-09-10T23:08:25Z'/>\
        <delay xmlns='urn:xmpp:delay' from='room@chat.verona.lit' stamp='2002-09-10T23:08:25Z'/>\
        </message>";

    #[test]
    fn stamps_in_the_servers_name_are_taken_away_and_those_of_others_stay() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        let passed = harness.outbound(&juliet, FORGED).stanza();
        assert_eq!(passed.matches("delay").count(), 2, "{passed}");
        assert!(passed.contains("room@chat.verona.lit"), "{passed}");
    }
}
