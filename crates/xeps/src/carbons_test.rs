use std::sync::Arc;

use jackdaw_session::Session;

use crate::test_harness::Harness;

const ENABLE: &str = "<enable xmlns='urn:xmpp:carbons:2'/>";
const DISABLE: &str = "<disable xmlns='urn:xmpp:carbons:2'/>";

struct Romeo {
    harness: Harness,
    garden: Arc<Session>,
}

/// Romeo with four clients: carbons in the garden, at home and (unavailable) in the tomb; none in
/// the orchard.
fn romeo() -> Romeo {
    let harness = Harness::new();
    let garden = harness.online("romeo@capulet.lit/garden");
    let home = harness.online("romeo@capulet.lit/home");
    let tomb = harness.connect("romeo@capulet.lit/tomb");
    harness.online("romeo@capulet.lit/orchard");
    for session in [&garden, &home, &tomb] {
        assert_eq!(harness.set(session, "", ENABLE), "");
    }
    Romeo { harness, garden }
}

/// Who gets copies of what Romeo sends from the garden.
#[track_caller]
fn check_sent(attributes: &str, payload: &str, expected: &[&str]) {
    let romeo = romeo();
    let message = format!("<message {attributes}>{payload}</message>");
    romeo.harness.outbound(&romeo.garden, &message).stanza();
    assert_eq!(romeo.harness.delivered_to(), expected, "{message}");
}

/// Who gets copies of what reaches Romeo.
#[track_caller]
fn check_received(attributes: &str, payload: &str, expected: &[&str]) {
    let romeo = romeo();
    let message = format!("<message {attributes}>{payload}</message>");
    romeo.harness.inbound("romeo@capulet.lit", &message).stanza();
    assert_eq!(romeo.harness.delivered_to(), expected, "{message}");
}

const TO_GARDEN: &str = "type='chat' from='juliet@verona.lit/b' to='romeo@capulet.lit/garden'";
const BODY: &str = "<body>o</body>";

#[test]
fn a_directed_message_is_copied_to_the_other_clients() {
    let romeo = romeo();
    let message = format!("<message {TO_GARDEN}>{BODY}<thread>t</thread></message>");
    romeo.harness.inbound("romeo@capulet.lit", &message).stanza();
    let copies = romeo.harness.delivered();
    assert_eq!(copies.len(), 2);
    assert_eq!(
        copies[0],
        "home: <message from='romeo@capulet.lit' to='romeo@capulet.lit/home' type='chat'>\
         <received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
         <message xmlns='jabber:client' from='juliet@verona.lit/b' \
         to='romeo@capulet.lit/garden' type='chat'><body>o</body><thread>t</thread></message>\
         </forwarded></received></message>"
    );
}

#[test]
fn a_message_to_the_account_is_copied_only_to_clients_that_it_does_not_reach() {
    let to = "type='chat' from='juliet@verona.lit/b' to='romeo@capulet.lit'";
    check_received(to, BODY, &["tomb"]);
    let gone = "type='chat' from='juliet@verona.lit/b' to='romeo@capulet.lit/gone'";
    check_received(gone, BODY, &["tomb"]);
}

#[test]
fn what_is_sent_is_copied_to_the_other_clients() {
    let romeo = romeo();
    let message = "<message type='chat' to='juliet@verona.lit'><body>o</body></message>";
    romeo.harness.outbound(&romeo.garden, message).stanza();
    let copies = romeo.harness.delivered();
    assert_eq!(copies.len(), 2);
    assert!(copies[0].starts_with("home: <message from='romeo@capulet.lit' "), "{copies:?}");
    assert!(copies[0].contains("<sent xmlns='urn:xmpp:carbons:2'>"), "{copies:?}");
    assert!(copies[0].contains("from='romeo@capulet.lit/garden'"), "{copies:?}");
}

#[test]
fn a_message_to_oneself_is_copied_once_and_not_to_its_sender() {
    let romeo = romeo();
    let message = "<message type='chat' to='romeo@capulet.lit/orchard'><body>o</body></message>";
    romeo.harness.outbound(&romeo.garden, message).stanza();
    assert!(romeo.harness.delivered().is_empty());
    romeo.harness.inbound_from(&romeo.garden, "romeo@capulet.lit", message);
    assert_eq!(romeo.harness.delivered_to(), ["home", "tomb"]);
}

#[test]
fn messages_of_instant_messaging_are_eligible() {
    let all: &[&str] = &["home", "tomb"];
    let to = "to='juliet@verona.lit'";
    let state = "<active xmlns='http://jabber.org/protocol/chatstates'/>";
    check_sent(&format!("type='chat' {to}"), "", all);
    check_sent(to, BODY, all);
    check_sent(to, "<subject>s</subject>", &[]);
    check_sent(to, state, all);
    check_sent(to, "<received xmlns='urn:xmpp:receipts' id='1'/>", all);
    check_sent(to, "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", all);
    check_sent(&format!("type='headline' {to}"), BODY, &[]);
    check_sent(&format!("type='groupchat' {to}"), BODY, &[]);
}

#[test]
fn errors_of_a_conversation_are_copied() {
    let to = "to='romeo@capulet.lit/garden'";
    let error = "<error type='cancel'/>";
    check_received(
        &format!("type='error' from='juliet@verona.lit' {to}"),
        error,
        &["home", "tomb"],
    );
    check_received(&format!("type='error' from='juliet@verona.lit/b' {to}"), error, &[]);
}

#[test]
fn of_rooms_invitations_and_sent_private_messages_are_copied() {
    let x = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
    let to = "to='romeo@capulet.lit/garden'";
    check_received(&format!("from='room@muc.verona.lit' {to}"), x, &["home", "tomb"]);
    check_received(&format!("type='chat' from='room@muc.verona.lit/n' {to}"), x, &[]);
    check_received(
        &format!("from='juliet@verona.lit' {to}"),
        "<x xmlns='jabber:x:conference' jid='room@muc.verona.lit'/>",
        &["home", "tomb"],
    );
    check_sent("type='chat' to='room@muc.verona.lit/n'", x, &["home", "tomb"]);
}

#[test]
fn a_private_message_is_not_copied_and_keeps_its_mark() {
    for mark in ["<private xmlns='urn:xmpp:carbons:2'/>", "<no-copy xmlns='urn:xmpp:hints'/>"] {
        check_sent("type='chat' to='juliet@verona.lit'", mark, &[]);
        check_received(TO_GARDEN, mark, &[]);
        let romeo = romeo();
        let message = format!("<message {TO_GARDEN}>{mark}</message>");
        let passed = romeo.harness.inbound("romeo@capulet.lit", &message).stanza();
        assert!(passed.contains(mark), "{passed}");
    }
}

#[test]
fn a_client_that_disabled_copies_gets_none_and_may_disable_twice() {
    let romeo = romeo();
    let home = romeo.harness.connect("romeo@capulet.lit/home");
    for _ in 0..2 {
        assert_eq!(romeo.harness.set(&home, "", DISABLE), "");
    }
    let message = "<message type='chat' to='juliet@verona.lit'><body>o</body></message>";
    romeo.harness.outbound(&romeo.garden, message).stanza();
    assert_eq!(romeo.harness.delivered_to(), ["tomb"]);
}

#[test]
fn a_forged_copy_never_reaches_a_client() {
    for name in ["received", "sent"] {
        let forged = format!(
            "<c:{name} xmlns:c='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
             <message xmlns='jabber:client' from='juliet@verona.lit'/></forwarded></c:{name}>"
        );
        let romeo = romeo();
        let alone = format!("<message {TO_GARDEN}>{forged}</message>");
        assert!(romeo.harness.inbound("romeo@capulet.lit", &alone).is_stopped());
        let twice = format!("<message {TO_GARDEN}>{forged}{BODY}{forged}</message>");
        let passed = romeo.harness.inbound("romeo@capulet.lit", &twice).stanza();
        assert!(!passed.contains("carbons"), "{passed}");
        let sent = format!("<message to='juliet@verona.lit'>{forged}</message>");
        let error = romeo.harness.outbound(&romeo.garden, &sent).error();
        assert_eq!(error.condition().name(), "policy-violation");
    }
}
