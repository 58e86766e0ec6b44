//! XEP-0202: Entity Time. What time the server thinks it is.

use jackdaw_ext::{At, Ctx, Deps, Iq, Registry, Reply, Status, Xep};
use jackdaw_stanza::{StanzaError, ns};
use jackdaw_xml::Element;

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 202,
    name: "Entity Time",
    version: "2.0",
    status: Status::Complete,
    features: &[ns::TIME],
};

/// Registers the handler.
pub fn register(on: &mut Registry, _: &Deps) {
    on.feature(At::Host, ns::TIME);
    on.iq_get(At::Host, ns::TIME, "time", answer);
}

/// A server of many users has no time zone that would mean anything to them: UTC.
async fn answer(ctx: Ctx, _: Iq) -> Result<Reply, StanzaError> {
    let utc = ctx.services().clock.now().to_string();
    let time = Element::new(ns::TIME, "time")
        .with_child(Element::new(ns::TIME, "tzo").with_text("+00:00"))
        .with_child(Element::new(ns::TIME, "utc").with_text(utc));
    Ok(Reply::new(time))
}

#[cfg(test)]
mod tests {
    use crate::test_harness::Harness;

    #[test]
    fn the_server_tells_the_time_in_utc() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        harness.set_time(1_166_551_115_000);
        assert_eq!(
            harness.get(&juliet, "capulet.lit", "<time xmlns='urn:xmpp:time'/>"),
            "<time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>2006-12-19T17:58:35.000Z</utc></time>"
        );
    }
}
