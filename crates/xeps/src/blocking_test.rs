use std::collections::BTreeSet;
use std::sync::Arc;

use jackdaw_ext::Subscription;
use jackdaw_jid::Jid;
use jackdaw_session::Session;

use super::{BlockList, Config, hides};
use crate::test_harness::Harness;

const GET: &str = "<blocklist xmlns='urn:xmpp:blocking'/>";
const JULIET: &str = "juliet@capulet.lit";

fn command(name: &str, jids: &[&str]) -> String {
    let items: String = jids.iter().map(|jid| format!("<item jid='{jid}'/>")).collect();
    match items.is_empty() {
        true => format!("<{name} xmlns='urn:xmpp:blocking'/>"),
        false => format!("<{name} xmlns='urn:xmpp:blocking'>{items}</{name}>"),
    }
}

fn juliet() -> (Harness, Arc<Session>) {
    let harness = Harness::new();
    let chamber = harness.online("juliet@capulet.lit/chamber");
    (harness, chamber)
}

#[track_caller]
fn block(harness: &Harness, session: &Arc<Session>, jid: &str) {
    assert_eq!(harness.set(session, "", &command("block", &[jid])), "");
}

#[test]
fn the_list_is_empty_at_first_and_holds_what_was_blocked() {
    let (harness, chamber) = juliet();
    assert_eq!(harness.get(&chamber, "", GET), GET);
    block(&harness, &chamber, "Romeo@Montague.lit");
    let expected = command("blocklist", &["romeo@montague.lit"]);
    assert_eq!(harness.get(&chamber, "", GET), expected);
}

#[test]
fn the_list_outlasts_the_session() {
    let (harness, chamber) = juliet();
    block(&harness, &chamber, "romeo@montague.lit");
    harness.services.sessions.unbind(&chamber);
    let balcony = harness.connect("juliet@capulet.lit/balcony");
    let expected = command("blocklist", &["romeo@montague.lit"]);
    assert_eq!(harness.get(&balcony, "", GET), expected);
}

#[test]
fn resources_that_asked_for_the_list_hear_of_changes() {
    let (harness, chamber) = juliet();
    harness.online("juliet@capulet.lit/balcony");
    harness.get(&chamber, "", GET);
    block(&harness, &chamber, "romeo@montague.lit");
    harness.set(&chamber, "", &command("unblock", &["romeo@montague.lit"]));
    harness.set(&chamber, "", &command("unblock", &[]));
    let pushes = harness.delivered();
    let expected = [
        command("block", &["romeo@montague.lit"]),
        command("unblock", &["romeo@montague.lit"]),
        command("unblock", &[]),
    ];
    assert_eq!(pushes.len(), expected.len());
    for (push, expected) in pushes.iter().zip(expected) {
        assert!(push.starts_with("chamber: <iq to='juliet@capulet.lit/chamber' "), "{push}");
        assert!(push.contains("type='set'") && push.contains(&expected), "{push}");
    }
}

#[test]
fn a_block_without_items_or_with_a_malformed_jid_changes_nothing() {
    let (harness, chamber) = juliet();
    assert_eq!(harness.set(&chamber, "", &command("block", &[])), "bad-request");
    let malformed = command("block", &["romeo@montague.lit", "@"]);
    assert_eq!(harness.set(&chamber, "", &malformed), "jid-malformed");
    assert_eq!(harness.get(&chamber, "", GET), GET);
}

#[test]
fn the_list_is_bounded() {
    let harness = Harness::with(|deps| deps.configs.set(Config { items_max: 1 }));
    let chamber = harness.connect("juliet@capulet.lit/chamber");
    block(&harness, &chamber, "romeo@montague.lit");
    block(&harness, &chamber, "romeo@montague.lit");
    let second = harness.set(&chamber, "", &command("block", &["iago@venice.lit"]));
    assert_eq!(second, "policy-violation");
}

#[test]
fn nothing_leaves_for_a_blocked_jid() {
    let (harness, chamber) = juliet();
    block(&harness, &chamber, "romeo@montague.lit");
    for stanza in [
        "<message to='romeo@montague.lit/orchard'><body>o</body></message>",
        "<presence to='romeo@montague.lit'/>",
        "<iq type='get' id='1' to='romeo@montague.lit/orchard'><ping xmlns='urn:xmpp:ping'/></iq>",
    ] {
        let error = harness.outbound(&chamber, stanza).error().to_element().to_xml("");
        assert!(error.contains("not-acceptable"), "{error}");
        assert!(error.contains("<blocked xmlns='urn:xmpp:blocking:errors'/>"), "{error}");
        assert!(error.contains("type='cancel'"), "{error}");
    }
    harness.outbound(&chamber, "<message to='nurse@montague.lit'/>").stanza();
}

#[test]
fn blocked_sender_sees_the_user_as_offline() {
    let (harness, chamber) = juliet();
    block(&harness, &chamber, "romeo@montague.lit");
    let from = "from='romeo@montague.lit/o' to='juliet@capulet.lit'";
    let inbound = |stanza: &str| harness.inbound(JULIET, stanza);
    for stanza in [
        format!("<message {from}><body>o</body></message>"),
        format!("<iq type='get' id='1' {from}><ping xmlns='urn:xmpp:ping'/></iq>"),
    ] {
        assert_eq!(inbound(&stanza).error().condition().name(), "service-unavailable");
    }
    for kind in ["", "type='probe'", "type='subscribe'", "type='unavailable'"] {
        assert!(inbound(&format!("<presence {kind} {from}/>")).is_stopped());
    }
    harness.set(&chamber, "", &command("unblock", &[]));
    inbound(&format!("<message {from}/>")).stanza();
}

#[test]
fn own_resources_are_never_blocked() {
    let (harness, chamber) = juliet();
    for jid in ["juliet@capulet.lit", "capulet.lit"] {
        block(&harness, &chamber, jid);
    }
    let message = "<message to='juliet@capulet.lit/balcony'/>";
    harness.outbound(&chamber, message).stanza();
    harness.inbound_from(&chamber, JULIET, message);
}

#[test]
fn a_subscriber_sees_the_user_leave_and_come_back() {
    let (harness, chamber) = juliet();
    harness.connect("juliet@capulet.lit/silent");
    harness.subscribe(JULIET, "romeo@montague.lit", Subscription::Both);
    harness.subscribe(JULIET, "paris@montague.lit", Subscription::To);
    block(&harness, &chamber, "montague.lit");
    assert_eq!(
        harness.routed(),
        ["<presence from='juliet@capulet.lit/chamber' to='romeo@montague.lit' \
          type='unavailable'/>"]
    );
    block(&harness, &chamber, "romeo@montague.lit");
    assert!(harness.routed().is_empty(), "blocked already");
    harness.set(&chamber, "", &command("unblock", &["montague.lit"]));
    assert!(harness.routed().is_empty(), "blocked still");
    harness.set(&chamber, "", &command("unblock", &[]));
    assert_eq!(
        harness.routed(),
        ["<presence from='juliet@capulet.lit/chamber' to='romeo@montague.lit'>\
          <priority>0</priority></presence>"]
    );
}

#[test]
fn a_new_account_of_an_old_name_blocks_nobody() {
    let (harness, chamber) = juliet();
    block(&harness, &chamber, "romeo@montague.lit");
    harness.services.sessions.unbind(&chamber);
    harness.erase(JULIET);
    let chamber = harness.connect("juliet@capulet.lit/chamber");
    assert_eq!(harness.get(&chamber, "", GET), GET);
}

#[test]
fn presence_is_hidden_from_blocked_contacts() {
    let (harness, chamber) = juliet();
    block(&harness, &chamber, "romeo@montague.lit");
    let account = harness.account(JULIET);
    for (contact, expected) in [("romeo@montague.lit", true), ("nurse@capulet.lit", false)] {
        let contact = jackdaw_jid::BareJid::parse(contact).expect("a JID");
        assert_eq!(hides(&account, &contact), expected);
    }
}

#[test]
fn jids_match_as_xep_0191_section_6_says() {
    for (blocked, jid, expected) in [
        ("a@b/c", "a@b/c", true),
        ("a@b/c", "a@b/d", false),
        ("a@b/c", "a@b", false),
        ("a@b", "a@b/c", true),
        ("a@b", "a@b", true),
        ("a@b", "b", false),
        ("b/c", "b/c", true),
        ("b/c", "a@b/c", false),
        ("b", "b", true),
        ("b", "a@b/c", true),
        ("b", "b/c", true),
        ("b", "a@sub.b", false),
    ] {
        let jids = BTreeSet::from([Jid::parse(blocked).expect("a JID")]);
        let jid = Jid::parse(jid).expect("a JID");
        let blocks = BlockList { jids }.blocks(jid.as_jid_ref());
        assert_eq!(blocks, expected, "{blocked} and {jid}");
    }
}
