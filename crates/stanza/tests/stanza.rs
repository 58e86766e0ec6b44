//! Stanzas as text in and text out.

use bytes::Bytes;
use expect_test::{Expect, expect};
use jackdaw_jid::Jid;
use jackdaw_stanza::{
    Address, Builder, IqType, MessageType, ParseError, PresenceType, Stanza, StanzaError, Type, ns,
};
use jackdaw_xml::{Element, Limits, Scope};

fn parse(xml: &str) -> Result<Stanza, ParseError> {
    let bytes = Bytes::copy_from_slice(xml.as_bytes());
    Stanza::parse(bytes, &Scope::client(), &Limits::after_auth())
}

fn stanza(xml: &str) -> Stanza {
    parse(xml).expect("a stanza")
}

fn jid(text: &str) -> Jid {
    Jid::parse(text).expect("a JID")
}

fn text(stanza: &Stanza) -> String {
    String::from_utf8(stanza.to_bytes().to_vec()).expect("UTF-8")
}

fn check(stanza: &Stanza, expected: Expect) {
    expected.assert_eq(&text(stanza));
    // What we write reads back as the same stanza.
    assert_eq!(text(&self::stanza(&text(stanza))), text(stanza));
}

#[test]
fn a_stanza_is_written_with_a_new_head_and_its_own_payload() {
    let mut message = stanza(
        "<message to='b@example.org' type=\"chat\" xml:lang='en' id='&lt;1&gt;'><body>a &amp; b\
         </body><x xmlns='urn:x' y='1'><z/></x></message>",
    );
    message.set_from(jid("a@example.org/it's"));
    assert_eq!(message.message_type(), Some(MessageType::Chat));
    assert_eq!(message.id().as_deref(), Some("<1>"));
    assert_eq!(message.lang().as_deref(), Some("en"));
    assert!(message.has("urn:x", "x") && message.has(ns::CLIENT, "body"));
    assert!(!message.has("urn:x", "z"), "only children count");
    check(
        &message,
        expect![[
            r#"<message from='a@example.org/it&apos;s' to='b@example.org' type="chat" xml:lang='en' id='&lt;1&gt;'><body>a &amp; b</body><x xmlns='urn:x' y='1'><z/></x></message>"#
        ]],
    );
}

#[test]
fn what_is_not_canonical_is_written_anew() {
    let scope = Scope::client();
    let xml = "<message to='b@x'><body><![CDATA[<&>]]>&#65;</body></message>";
    let bytes = Bytes::from_static(xml.as_bytes());
    let message = Stanza::parse(bytes, &scope, &Limits::after_auth()).expect("a stanza");
    check(&message, expect![[r#"<message to='b@x'><body>&lt;&amp;&gt;A</body></message>"#]]);
}

#[test]
fn payloads_can_be_added_and_removed() {
    let mut message = stanza(
        "<message to='b@x'><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='b@x'/><body>hi</body>\
         <stanza-id xmlns='urn:xmpp:sid:0' id='2' by='b@x'/></message>",
    );
    let removed = message.remove_payloads(|payload| payload.is(ns::STANZA_ID, "stanza-id"));
    assert_eq!(removed, 2);
    message.add_payload(&Element::new(ns::STANZA_ID, "stanza-id").with_attr("id", "3"));
    check(
        &message,
        expect![[
            r#"<message to='b@x'><body>hi</body><stanza-id xmlns='urn:xmpp:sid:0' id='3'/></message>"#
        ]],
    );
    let empty = stanza("<presence/>");
    check(&empty, expect!["<presence/>"]);
}

#[test]
fn addresses_are_normalised_or_known_to_be_malformed() {
    assert_eq!(
        stanza("<message to='B@X.example/R'/>").to().map(|j| j.to_string()).as_deref(),
        Some("b@x.example/R")
    );
    for malformed in ["", "@x", "a@", "a@b/", "a b@c"] {
        let message = stanza(&format!("<message to='{malformed}'/>"));
        assert!(matches!(message.to_address(), Address::Malformed), "{malformed:?}");
    }
    assert!(matches!(stanza("<message/>").to_address(), Address::Absent));
}

#[test]
fn types_are_those_of_the_rfc() {
    assert_eq!(stanza("<message type='x'/>").message_type(), Some(MessageType::Normal));
    assert_eq!(stanza("<presence/>").presence_type(), Some(PresenceType::Available));
    assert_eq!(stanza("<iq type='get'/>").iq_type(), Some(IqType::Get));
    for wrong in ["<iq/>", "<iq type='chat'/>", "<presence type='available'/>"] {
        assert!(matches!(parse(wrong), Err(ParseError::BadType(_))), "{wrong}");
    }
    for other in ["<foo/>", "<message xmlns='urn:x'/>", "<x:message xmlns:x='jabber:server'/>"] {
        assert!(matches!(parse(other), Err(ParseError::NotAStanza)), "{other}");
    }
}

#[test]
fn an_answer_turns_the_addresses_round() {
    let mut request = stanza("<iq type='get' id='1' to='x'><ping xmlns='urn:xmpp:ping'/></iq>");
    request.set_from(jid("a@x/r"));
    check(&request.result(None), expect![[r#"<iq from='x' to='a@x/r' type='result' id='1'/>"#]]);
    let error = request.error(&StanzaError::service_unavailable().text("not here"));
    assert_eq!(error.kind_and_type(), Type::Iq(IqType::Error));
    assert!(!error.may_be_answered() && request.may_be_answered());
    check(
        &error,
        expect![[
            r#"<iq from='x' to='a@x/r' type='error' id='1'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>not here</text></error></iq>"#
        ]],
    );
}

#[test]
fn a_built_stanza_is_like_a_received_one() {
    let built = Builder::message()
        .to(jid("b@x"))
        .from(jid("x"))
        .with_type("chat")
        .id("a'b")
        .payload(&Element::new(ns::CLIENT, "body").with_text("<hi>"))
        .build();
    assert_eq!(built.message_type(), Some(MessageType::Chat));
    assert!(built.has(ns::CLIENT, "body"));
    check(
        &built,
        expect![[
            r#"<message from='x' to='b@x' type='chat' id='a&apos;b'><body>&lt;hi&gt;</body></message>"#
        ]],
    );
}
