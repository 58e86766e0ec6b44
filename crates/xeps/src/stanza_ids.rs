//! XEP-0359: Unique and Stable Stanza IDs. An account's name for a message, that nobody forges.
//!
//! Does not: stamp groupchat messages; the room does.

use jackdaw_ext::{At, Deps, Direction, Flow, PhaseCtx, Registry, Status, Xep};
use jackdaw_jid::Jid;
use jackdaw_stanza::{Kind, MessageType, Payload, Stanza, ns};
use jackdaw_xml::Element;

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 359,
    name: "Unique and Stable Stanza IDs",
    version: "0.7.0",
    status: Status::Complete,
    features: &[ns::STANZA_ID],
};

/// What an operator may set.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Whether messages for an account get a `<stanza-id/>`. Without an archive that could be asked
    /// for it, the id costs some hundred bytes per message and names nothing, so it is off.
    pub is_assigning: bool,
}

/// Registers the hooks. The rules are followed whether or not ids are given (§3), so the feature
/// is advertised (§5).
pub fn register(on: &mut Registry, deps: &Deps) {
    let is_assigning = deps.config::<Config>().is_assigning;
    on.feature(At::Host, ns::STANZA_ID);
    on.feature(At::Account, ns::STANZA_ID);
    on.phase(359, Direction::Outbound, |ctx, stanza| {
        strip_forged(ctx, stanza);
        Flow::Continue
    });
    on.phase(359, Direction::Inbound, move |ctx, stanza| {
        strip_forged(ctx, stanza);
        if is_assigning {
            assign(ctx, stanza);
        }
        Flow::Continue
    });
}

/// §3: an id in this account's name goes, wherever it stands and however it is written, and so
/// does one whose `by` is no JID: what a client makes of it is not known.
fn strip_forged(ctx: &mut PhaseCtx<'_>, stanza: &mut Stanza) {
    if stanza.kind() != Kind::Message || !stanza.has(ns::STANZA_ID, "stanza-id") {
        return;
    }
    let own = ctx.account.jid().as_str();
    stanza.remove_payloads(|payload| {
        payload.is(ns::STANZA_ID, "stanza-id")
            && assigner(&payload).is_none_or(|by| by.as_str() == own)
    });
}

fn assigner(payload: &Payload<'_>) -> Option<Jid> {
    let element = payload.element().ok()?;
    Jid::parse(element.attr("by")?).ok()
}

fn assign(ctx: &mut PhaseCtx<'_>, stanza: &mut Stanza) {
    if matches!(stanza.message_type(), Some(MessageType::Chat | MessageType::Normal)) {
        let id = Element::new(ns::STANZA_ID, "stanza-id")
            .with_attr("id", ctx.services.random_id())
            .with_attr("by", ctx.account.jid().as_str());
        stanza.add_payload(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_harness::Harness;

    const JULIET: &str = "juliet@capulet.lit";

    fn message(content: &str) -> String {
        format!("<message type='chat' from='romeo@verona.lit/o' to='{JULIET}'>{content}</message>")
    }

    #[test]
    fn every_forged_id_is_taken_away_and_others_stay() {
        let harness = Harness::new();
        harness.add_account(JULIET);
        let passed = harness.inbound(
            JULIET,
            &message(
                "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='juliet@capulet.lit'/><body>x</body>\
                 <s:stanza-id xmlns:s='urn:xmpp:sid:0' id='2' by='Juliet@Capulet.LIT'/>\
                 <stanza-id xmlns='urn:xmpp:sid:0' id='3' by='room@muc.verona.lit'/>\
                 <stanza-id xmlns='urn:xmpp:sid:0' id='4' by=' juliet@capulet.lit '/>\
                 <stanza-id xmlns='urn:xmpp:sid:0' id='5'/>\
                 <origin-id xmlns='urn:xmpp:sid:0' id='6'/>",
            ),
        );
        let passed = passed.stanza();
        let ids: Vec<&str> = passed.split(" id='").skip(1).map(|rest| &rest[..1]).collect();
        assert_eq!(ids, ["3", "6"], "{passed}");
    }

    #[test]
    fn a_sender_cannot_speak_for_its_own_account() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        let forged = "<message to='romeo@verona.lit'><body>x</body>\
            <stanza-id xmlns='urn:xmpp:sid:0' id='1' by='juliet@capulet.lit'/></message>";
        let passed = harness.outbound(&juliet, forged).stanza();
        assert!(!passed.contains("stanza-id"), "{passed}");
    }

    #[test]
    fn an_account_assigns_one_id_where_that_is_wanted() {
        let config = Config { is_assigning: true };
        let harness = Harness::with(|deps| deps.configs.set(config));
        harness.add_account(JULIET);
        let forged =
            "<body>x</body><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='juliet@capulet.lit'/>";
        let passed = harness.inbound(JULIET, &message(forged)).stanza();
        assert_eq!(passed.matches("stanza-id").count(), 1, "{passed}");
        assert!(passed.contains("by='juliet@capulet.lit'"), "{passed}");
        assert!(!passed.contains("id='1'"), "{passed}");
    }

    #[test]
    fn without_an_archive_no_id_is_assigned() {
        let harness = Harness::new();
        harness.add_account(JULIET);
        let passed = harness.inbound(JULIET, &message("<body>x</body>")).stanza();
        assert!(!passed.contains("stanza-id"), "{passed}");
    }
}
