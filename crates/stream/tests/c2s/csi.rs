//! Client state indication (XEP-0352): what an inactive client is spared, and that nothing is lost.

use crate::pair::{Pair, config, each_cut};
use expect_test::{Expect, expect};
use jackdaw_jid::FullJid;
use jackdaw_stanza::{Builder, Settle, Stanza};
use jackdaw_stream::c2s::Disconnected;

const INACTIVE: &str = "<inactive xmlns='urn:xmpp:csi:0'/>";
const ACTIVE: &str = "<active xmlns='urn:xmpp:csi:0'/>";

fn from(builder: Builder, jid: &str) -> Builder {
    builder.from(FullJid::parse(jid).expect("a JID"))
}

fn presence(jid: &str, status: &str) -> Stanza {
    let status = format!("<status>{status}</status>");
    from(Builder::presence(), jid).raw_payload(status.as_bytes()).build()
}

fn message(payload: &str) -> Stanza {
    from(Builder::message(), "romeo@example.org/o").raw_payload(payload.as_bytes()).build()
}

fn inactive(script: impl Fn(&mut Pair), expected: Expect) {
    let log = each_cut(|cut| {
        let mut pair = Pair::established(cut, config());
        pair.client(INACTIVE);
        pair.log();
        script(&mut pair);
        pair.log()
    });
    expected.assert_eq(&log);
}

const STATE: &str = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
const RECEIPT: &str = "<received xmlns='urn:xmpp:receipts' id='1'/>";

#[test]
fn the_latest_presence_of_each_comes_when_the_client_wakes_up() {
    inactive(
        |pair| {
            for (jid, status) in [
                ("a@example.org/1", "old"),
                ("b@example.org/1", "only"),
                ("a@example.org/2", "other"),
                ("a@example.org/1", "new"),
            ] {
                pair.deliver(presence(jid, status));
            }
            assert_eq!(pair.log(), "");
            pair.client(ACTIVE);
        },
        expect![[r#"
            <presence from='b@example.org/1'>
              <status>only</status>
              </presence>
              <presence from='a@example.org/2'>
              <status>other</status>
              </presence>
              <presence from='a@example.org/1'>
              <status>new</status>
              </presence>
            * Active
        "#]],
    );
}

#[test]
fn something_important_takes_along_what_was_held() {
    inactive(
        |pair| {
            pair.deliver(message(RECEIPT)).deliver(presence("romeo@example.org/o", "here"));
            pair.deliver(message("<body>Ay me!</body>"));
            pair.deliver(message(RECEIPT));
        },
        expect![[r#"
            <message from='romeo@example.org/o'>
              <received xmlns='urn:xmpp:receipts' id='1'/>
              </message>
              <presence from='romeo@example.org/o'>
              <status>here</status>
              </presence>
              <message from='romeo@example.org/o'>
              <body>Ay me!</body>
              </message>
        "#]],
    );
}

/// What an inactive client gets at once, later, or never.
#[test]
fn each_stanza_has_its_importance() {
    let presence_of = |kind: &str| from(Builder::presence(), "r@example.org/x").with_type(kind);
    let own = "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>";
    let other = "<x xmlns='http://jabber.org/protocol/muc#user'><item role='none'/></x>";
    let table: [(&str, Stanza, &str); 18] = [
        ("a chat state", message(STATE), "never"),
        (
            "a chat state with hints",
            message(&format!("{STATE}<no-store xmlns='urn:xmpp:hints'/>")),
            "never",
        ),
        ("an empty message", message(""), "never"),
        ("a body with a chat state", message(&format!("{STATE}<body>a</body>")), "now"),
        ("a receipt", message(RECEIPT), "later"),
        ("a request for a receipt", message("<request xmlns='urn:xmpp:receipts'/>"), "now"),
        ("a marker", message("<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>"), "later"),
        (
            "a PEP event",
            message("<event xmlns='http://jabber.org/protocol/pubsub#event'/>"),
            "later",
        ),
        (
            "an encrypted message",
            message("<encrypted xmlns='eu.siacs.conversations.axolotl'/>"),
            "now",
        ),
        ("a subject", message("<subject>a</subject>"), "now"),
        ("an error", message("<error type='cancel'/>"), "now"),
        ("an unknown payload", message("<a xmlns='b'/>"), "now"),
        ("available", presence_of("").build(), "later"),
        ("unavailable", presence_of("unavailable").build(), "later"),
        ("a subscription", presence_of("subscribe").build(), "now"),
        ("a presence error", presence_of("error").build(), "now"),
        (
            "own presence in a room",
            presence_of("unavailable").raw_payload(own.as_bytes()).build(),
            "now",
        ),
        (
            "another's presence in a room",
            presence_of("unavailable").raw_payload(other.as_bytes()).build(),
            "later",
        ),
    ];
    for (name, stanza, expected) in table {
        let mut pair = Pair::established(crate::pair::Cut::Whole, config());
        pair.client(INACTIVE);
        pair.log();
        pair.deliver(stanza);
        let now = pair.log();
        pair.client(ACTIVE);
        let later = pair.log().replace("* Active\n", "");
        let seen = match (now.is_empty(), later.is_empty()) {
            (false, true) => "now",
            (true, false) => "later",
            (true, true) => "never",
            (false, false) => "twice",
        };
        assert_eq!(seen, expected, "{name}");
    }
}

#[test]
fn what_somebody_waits_for_is_not_held_back() {
    inactive(
        |pair| {
            pair.deliver_tracked(message(RECEIPT), Some(Settle(1)));
            pair.deliver_tracked(message(STATE), Some(Settle(2)));
        },
        expect![[r#"
            <message from='romeo@example.org/o'>
              <received xmlns='urn:xmpp:receipts' id='1'/>
              </message>
        "#]],
    );
}

#[test]
fn at_its_bound_everything_held_is_sent() {
    let mut config = config();
    config.csi.held_stanzas_max = 3;
    let mut pair = Pair::established(crate::pair::Cut::Whole, config);
    pair.client(INACTIVE);
    pair.log();
    pair.deliver(message(RECEIPT)).deliver(message(RECEIPT));
    assert_eq!(pair.log(), "");
    pair.deliver(message(RECEIPT));
    assert_eq!(pair.log().matches("<received").count(), 3);
    pair.deliver(message(RECEIPT));
    assert_eq!(pair.log(), "");
}

#[test]
fn becoming_active_flushes_before_what_follows_is_answered() {
    inactive(
        |pair| {
            pair.deliver(message(RECEIPT));
            pair.client(&format!("{ACTIVE}<presence id='after'/>"));
        },
        expect![[r#"
            <message from='romeo@example.org/o'>
              <received xmlns='urn:xmpp:receipts' id='1'/>
              </message>
            * Active
            * stanza: <presence id='after'/>
        "#]],
    );
}

#[test]
fn under_stream_management_what_is_held_counts_when_it_is_sent() {
    inactive(
        |pair| {
            pair.client("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
            pair.log();
            pair.deliver(message(RECEIPT)).deliver(presence("a@example.org/1", "here"));
            pair.client("<a xmlns='urn:xmpp:sm:3' h='0'/>");
            pair.client(ACTIVE).client("<a xmlns='urn:xmpp:sm:3' h='2'/>");
        },
        expect![[r#"
            <message from='romeo@example.org/o'>
              <received xmlns='urn:xmpp:receipts' id='1'/>
              </message>
              <presence from='a@example.org/1'>
              <status>here</status>
              </presence>
              <r xmlns='urn:xmpp:sm:3'/>
            * Active
        "#]],
    );
}

#[test]
fn what_is_held_when_the_session_ends_is_handed_back() {
    let mut pair = Pair::established(crate::pair::Cut::Whole, config());
    pair.client(INACTIVE);
    pair.deliver(message(RECEIPT)).deliver(message(STATE));
    assert_eq!(pair.c2s.handle_disconnect(pair.now), Disconnected::Over);
    let left = pair.c2s.take_unacknowledged();
    assert_eq!(left.len(), 1);
    assert!(left[0].stanza.has("urn:xmpp:receipts", "received"));
}

#[test]
fn where_it_is_off_it_is_not_understood() {
    let mut config = config();
    config.csi.enabled = false;
    let mut pair = Pair::established(crate::pair::Cut::Whole, config);
    pair.client(INACTIVE);
    assert!(pair.log().contains("<unsupported-stanza-type "));
}
