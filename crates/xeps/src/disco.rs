//! XEP-0030: Service Discovery. Who an entity is and what it can do.
//!
//! Answers for hosts and accounts out of what the extensions registered. Does not: answer for
//! clients, which do it themselves.

use jackdaw_ext::{At, Ctx, Deps, Disco, DiscoQuery, Identity, Iq, Registry, Reply, Status, Xep};
use jackdaw_stanza::{StanzaError, ns};
use jackdaw_xml::Element;

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 30,
    name: "Service Discovery",
    version: "2.5.0",
    status: Status::Complete,
    features: &[ns::DISCO_INFO, ns::DISCO_ITEMS],
};

/// Registers the handlers.
pub fn register(on: &mut Registry, _: &Deps) {
    on.identity(At::Host, Identity { category: "server", kind: "im", name: "Jackdaw" });
    on.identity(At::Account, Identity { category: "account", kind: "registered", name: "" });
    for at in [At::Host, At::Account] {
        on.feature(at, ns::DISCO_INFO);
        on.feature(at, ns::DISCO_ITEMS);
    }
    for at in [At::Host, At::Account, At::Bare] {
        on.iq_get(at, ns::DISCO_INFO, "query", move |ctx, iq| {
            answer(at, DiscoQuery::Info, ctx, iq)
        });
        on.iq_get(at, ns::DISCO_ITEMS, "query", move |ctx, iq| {
            answer(at, DiscoQuery::Items, ctx, iq)
        });
    }
}

async fn answer(at: At, what: DiscoQuery, ctx: Ctx, iq: Iq) -> Result<Reply, StanzaError> {
    if at == At::Bare {
        refuse_strangers(&ctx, &iq).await?;
    }
    let disco = match at {
        At::Host => ctx.services().host_disco.get(),
        At::Account | At::Bare => ctx.services().account_disco.get(),
    };
    let disco = disco.ok_or_else(StanzaError::internal_server_error)?;
    let query = iq.element()?;
    match (query.attr("node").unwrap_or_default(), what) {
        ("", DiscoQuery::Info) => Ok(Reply::new(info(disco))),
        ("", DiscoQuery::Items) => Ok(Reply::new(items(at, &ctx))),
        (node, _) => about_node(disco, &ctx, &iq, what, node).await,
    }
}

/// §8: who may not see an account's presence learns nothing of it. An account that does not exist
/// answers `service-unavailable` to everything (RFC 6121 §8.5.1), so a stranger gets just that for
/// items too, where the text would have an empty list: the two must look alike.
async fn refuse_strangers(ctx: &Ctx, iq: &Iq) -> Result<(), StanzaError> {
    let requester = iq.stanza().from().ok_or_else(StanzaError::bad_request)?;
    match ctx.may_see_presence(requester).await? {
        true => Ok(()),
        false => Err(StanzaError::service_unavailable()),
    }
}

async fn about_node(
    disco: &Disco,
    ctx: &Ctx,
    iq: &Iq,
    what: DiscoQuery,
    node: &str,
) -> Result<Reply, StanzaError> {
    for handler in &disco.nodes {
        if let Some(query) = (handler.0)(ctx.clone(), iq.clone(), what, node).await? {
            return Ok(Reply::new(query));
        }
    }
    Err(StanzaError::item_not_found())
}

/// The answer to `disco#info`, without a node.
pub fn info(disco: &Disco) -> Element {
    let mut query = Element::new(ns::DISCO_INFO, "query");
    for identity in &disco.identities {
        let name = (!identity.name.is_empty()).then_some(identity.name);
        query.push(
            Element::new(ns::DISCO_INFO, "identity")
                .with_attr("category", identity.category)
                .with_attr("type", identity.kind)
                .with_optional_attr("name", name),
        );
    }
    for feature in &disco.features {
        query.push(Element::new(ns::DISCO_INFO, "feature").with_attr("var", *feature));
    }
    query.with_children(disco.forms.iter().cloned())
}

/// §4.1: an account has its available resources; a host has nothing yet.
fn items(at: At, ctx: &Ctx) -> Element {
    let mut query = Element::new(ns::DISCO_ITEMS, "query");
    if at == At::Host {
        return query;
    }
    for session in ctx.services().sessions.of(ctx.target().as_str()) {
        if session.is_available() {
            let jid = session.jid().as_str();
            query.push(Element::new(ns::DISCO_ITEMS, "item").with_attr("jid", jid));
        }
    }
    query
}

#[cfg(test)]
mod tests {
    use crate::test_harness::Harness;
    use jackdaw_ext::Subscription;

    const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    const ITEMS: &str = "<query xmlns='http://jabber.org/protocol/disco#items'/>";

    #[test]
    fn the_host_says_that_it_is_a_server_and_what_it_can_do() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        let info = harness.get(&juliet, "capulet.lit", INFO);
        for part in [
            "<identity category='server' type='im' name='Jackdaw'/>",
            "<feature var='urn:xmpp:ping'/>",
            "<feature var='http://jabber.org/protocol/disco#info'/>",
        ] {
            assert!(info.contains(part), "{part} in {info}");
        }
    }

    #[test]
    fn the_own_account_is_a_registered_account() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        let info = harness.get(&juliet, "", INFO);
        assert!(info.contains("<identity category='account' type='registered'/>"), "{info}");
    }

    #[test]
    fn a_stranger_cannot_tell_an_account_from_none() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        harness.online("romeo@capulet.lit/orchard");
        for query in [INFO, ITEMS] {
            for to in ["romeo@capulet.lit", "nobody@capulet.lit"] {
                assert_eq!(harness.get(&juliet, to, query), "service-unavailable", "{to}");
            }
        }
    }

    #[test]
    fn a_contact_that_sees_presence_sees_available_resources() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        harness.online("romeo@capulet.lit/orchard");
        harness.connect("romeo@capulet.lit/tomb");
        harness.subscribe("romeo@capulet.lit", "juliet@capulet.lit", Subscription::From);
        assert_eq!(
            harness.get(&juliet, "romeo@capulet.lit", ITEMS),
            "<query xmlns='http://jabber.org/protocol/disco#items'>\
             <item jid='romeo@capulet.lit/orchard'/></query>"
        );
        assert!(harness.get(&juliet, "romeo@capulet.lit", INFO).contains("registered"));
    }

    #[test]
    fn a_subscription_in_the_other_direction_is_not_enough() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        harness.online("romeo@capulet.lit/orchard");
        harness.subscribe("romeo@capulet.lit", "juliet@capulet.lit", Subscription::To);
        assert_eq!(harness.get(&juliet, "romeo@capulet.lit", INFO), "service-unavailable");
    }

    #[test]
    fn an_unknown_node_is_not_found() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        for ns in ["info", "items"] {
            let query = format!("<query xmlns='http://jabber.org/protocol/disco#{ns}' node='x'/>");
            assert_eq!(harness.get(&juliet, "capulet.lit", &query), "item-not-found");
        }
    }
}
