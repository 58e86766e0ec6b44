//! XEP-0199: XMPP Ping. A client finds out whether its server, or its stream, is still there.
//!
//! Does not: ping clients; the stream has its own ways to find dead peers.

use jackdaw_ext::{At, Ctx, Deps, Iq, Registry, Reply, Status, Xep};
use jackdaw_stanza::{StanzaError, ns};

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 199,
    name: "XMPP Ping",
    version: "2.0.1",
    status: Status::Complete,
    features: &[ns::PING],
};

/// Registers the handlers. The bare JID of another account answers nothing: its server would
/// otherwise say whether it exists.
pub fn register(on: &mut Registry, _: &Deps) {
    for at in [At::Account, At::Host] {
        on.feature(at, ns::PING);
        on.iq_get(at, ns::PING, "ping", pong);
    }
}

async fn pong(_: Ctx, _: Iq) -> Result<Reply, StanzaError> {
    Ok(Reply::empty())
}

#[cfg(test)]
mod tests {
    use crate::test_harness::Harness;

    #[test]
    fn the_server_and_the_own_account_answer_and_others_do_not() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        harness.connect("romeo@capulet.lit/orchard");
        let ping = "<ping xmlns='urn:xmpp:ping'/>";
        assert_eq!(harness.get(&juliet, "capulet.lit", ping), "");
        assert_eq!(harness.get(&juliet, "", ping), "");
        assert_eq!(harness.get(&juliet, "romeo@capulet.lit", ping), "service-unavailable");
    }
}
