//! SASL2 (XEP-0388) with Bind 2 (XEP-0386), resumption (XEP-0198 §9) and FAST (XEP-0484) inline.

use crate::pair::{
    BIND, Cut, GENERATION, HEADER, Pair, config, each_cut, message, secure, starttls, token,
};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use expect_test::{Expect, expect};
use jackdaw_stanza::StanzaError;
use jackdaw_stream::c2s::{StartTls, Transport};
use jackdaw_stream::sasl::{FastToken, Mechanism, Secret, UnixSeconds};

const AGENT: &str = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'>\
    <software>AwesomeXMPP</software></user-agent>";

fn authenticate(inline: &str) -> String {
    format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>\
         <initial-response>AGp1bGlldAByMG0zMA==</initial-response>{inline}</authenticate>"
    )
}

fn bind2(inner: &str) -> String {
    format!("<bind xmlns='urn:xmpp:bind:0'>{inner}</bind>")
}

/// What follows the features.
fn check(prepare: impl Fn(&mut Pair), inline: &str, expected: Expect) {
    let log = each_cut(|cut| {
        let mut pair = Pair::new(cut, config(), secure());
        prepare(&mut pair);
        pair.client(HEADER);
        pair.log();
        pair.client(&authenticate(inline));
        pair.log()
    });
    expected.assert_eq(&log);
}

#[test]
fn sasl2_is_for_streams_that_nobody_can_read() {
    let offers = |transport| {
        let mut pair = Pair::new(Cut::Whole, config(), transport);
        pair.client(HEADER);
        pair.log().contains("urn:xmpp:sasl:2")
    };
    assert!(offers(secure()));
    assert!(offers(Transport::Trusted), "a proxy on this machine did TLS");
    assert!(!offers(Transport::Plain(StartTls::Optional)));
}

#[test]
fn success_is_followed_by_features_without_a_restart() {
    let log = each_cut(|cut| {
        let mut pair = Pair::new(cut, config(), secure());
        pair.client(HEADER);
        pair.log();
        pair.client(&authenticate("")).client(BIND);
        assert!(pair.c2s.is_established());
        pair.log()
    });
    expect![[r#"
        <success xmlns='urn:xmpp:sasl:2'>
          <authorization-identifier>juliet@example.org</authorization-identifier>
          </success>
          <stream:features>
          <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>
          <required/>
          </bind>
          <sm xmlns='urn:xmpp:sm:3'/>
          <csi xmlns='urn:xmpp:csi:0'/>
          <limits xmlns='urn:xmpp:stream-limits:0'>
          <max-bytes>262144</max-bytes>
          <idle-seconds>300</idle-seconds>
          </limits>
          </stream:features>
        * bind juliet@example.org/balcony, carbons: Off
        <iq type='result' id='b1'>
          <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>
          <jid>juliet@example.org/balcony</jid>
          </bind>
          </iq>
    "#]]
    .assert_eq(&log);
}

#[test]
fn bind_2_binds_with_everything_asked_for() {
    let inner = "<tag>AwesomeXMPP</tag><enable xmlns='urn:xmpp:carbons:2'/>\
        <enable xmlns='urn:xmpp:sm:3' resume='1'/><inactive xmlns='urn:xmpp:csi:0'/>";
    check(
        |_| (),
        &format!("{AGENT}{}", bind2(inner)),
        expect![[r#"
            * bind juliet@example.org/AwesomeXMPP/tQnnyniWFGYfehFm, carbons: On
            <success xmlns='urn:xmpp:sasl:2'>
              <authorization-identifier>juliet@example.org/AwesomeXMPP/tQnnyniWFGYfehFm</authorization-identifier>
              <bound xmlns='urn:xmpp:bind:0'>
              <enabled xmlns='urn:xmpp:sm:3' id='AAAAAAAAAAdekksp8Rpnn8iAZyyRLk6j' resume='true' max='600'/>
              </bound>
              </success>
              <stream:features>
              <csi xmlns='urn:xmpp:csi:0'/>
              <limits xmlns='urn:xmpp:stream-limits:0'>
              <max-bytes>262144</max-bytes>
              <idle-seconds>300</idle-seconds>
              </limits>
              </stream:features>
            * managed, resumable: true
            * Inactive
        "#]],
    );
}

#[test]
fn the_resource_is_the_same_for_the_same_client_and_says_nothing_of_its_id() {
    let resource = |seed, inline: &str| {
        let mut pair = Pair::seeded(Cut::Whole, config(), secure(), seed);
        pair.client(HEADER).client(&authenticate(inline));
        pair.c2s.jid().expect("bound").resource().to_owned()
    };
    let tagged = format!("{AGENT}{}", bind2("<tag>A</tag>"));
    assert_eq!(resource(1, &tagged), resource(2, &tagged));
    assert_ne!(resource(1, &tagged), resource(1, &tagged.replace("<tag>A", "<tag>B")));
    assert_ne!(resource(1, &tagged), resource(1, &tagged.replace("d4565", "d4566")));
    assert_ne!(resource(1, &bind2("")), resource(2, &bind2("")));
    assert!(!resource(1, &tagged).contains("d4565"));
}

#[test]
fn a_bind_that_is_refused_leaves_the_client_authenticated() {
    check(
        |pair| pair.answers.bind = Err(StanzaError::conflict()),
        &bind2(""),
        expect![[r#"
        * bind juliet@example.org/XpJLKfEaZ5_IgGcs, carbons: Off
        <success xmlns='urn:xmpp:sasl:2'>
          <authorization-identifier>juliet@example.org</authorization-identifier>
          <failed xmlns='urn:xmpp:bind:0'>
          <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </failed>
          </success>
          <stream:features>
          <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>
          <required/>
          </bind>
          <sm xmlns='urn:xmpp:sm:3'/>
          <csi xmlns='urn:xmpp:csi:0'/>
          <limits xmlns='urn:xmpp:stream-limits:0'>
          <max-bytes>262144</max-bytes>
          <idle-seconds>300</idle-seconds>
          </limits>
          </stream:features>
    "#]],
    );
}

#[test]
fn a_tag_that_no_resource_can_have_is_refused() {
    let tag = format!("<tag>{}</tag>", "a".repeat(1020));
    let mut pair = Pair::new(Cut::Whole, config(), secure());
    pair.client(HEADER).client(&authenticate(&bind2(&tag)));
    assert!(pair.log().contains("<failed xmlns='urn:xmpp:bind:0'>"));
    assert!(!pair.c2s.is_established());
}

/// A session that can be resumed, and its id.
fn old(cut: Cut) -> (Box<Pair>, String) {
    let mut pair = Pair::seeded(cut, config(), secure(), 9);
    pair.log_in();
    pair.client("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    let id = pair.log().split('\'').nth(3).expect("an id").to_owned();
    pair.deliver(message("Ay me!"));
    pair.c2s.handle_disconnect(pair.now);
    (Box::new(pair), id)
}

#[test]
fn a_session_is_resumed_inline_and_the_bind_ignored() {
    let log = each_cut(|cut| {
        let (old, id) = old(cut);
        let mut pair = Pair::new(cut, config(), secure());
        pair.answers.old = Some(old);
        pair.client(HEADER);
        pair.log();
        let resume = format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>");
        pair.client(&authenticate(&format!("{resume}{}", bind2(""))));
        assert!(pair.c2s.is_established());
        pair.log().replace(&id, "ID")
    });
    expect![[r#"
        * resume juliet@example.org h=0
        <success xmlns='urn:xmpp:sasl:2'>
          <authorization-identifier>juliet@example.org/balcony</authorization-identifier>
          <resumed xmlns='urn:xmpp:sm:3' previd='ID' h='0'/>
          </success>
          <message from='romeo@example.org/orchard' to='juliet@example.org/balcony' type='chat'>
          <body>Ay me!</body>
          </message>
          <r xmlns='urn:xmpp:sm:3'/>
    "#]]
    .assert_eq(&log);
}

#[test]
fn where_resumption_fails_the_bind_is_done() {
    let resume = "<resume xmlns='urn:xmpp:sm:3' previd='gone' h='0'/>";
    let enable = bind2("<enable xmlns='urn:xmpp:sm:3'/>");
    check(
        |_| (),
        &format!("{resume}{AGENT}{enable}"),
        expect![[r#"
            * bind juliet@example.org/gh6Lbb_Lrc13JXJL, carbons: Off
            <success xmlns='urn:xmpp:sasl:2'>
              <authorization-identifier>juliet@example.org/gh6Lbb_Lrc13JXJL</authorization-identifier>
              <failed xmlns='urn:xmpp:sm:3'>
              <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
              </failed>
              <bound xmlns='urn:xmpp:bind:0'>
              <enabled xmlns='urn:xmpp:sm:3'/>
              </bound>
              </success>
              <stream:features>
              <csi xmlns='urn:xmpp:csi:0'/>
              <limits xmlns='urn:xmpp:stream-limits:0'>
              <max-bytes>262144</max-bytes>
              <idle-seconds>300</idle-seconds>
              </limits>
              </stream:features>
            * managed, resumable: false
        "#]],
    );
}

#[test]
fn a_token_is_issued_when_it_is_asked_for() {
    let request = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>";
    check(
        |pair| pair.answers.issue = Some(token("secret-token:fast-x")),
        &format!("{AGENT}{request}"),
        expect![[r#"
            * fast: used None, revoke No, issue Some(HtSha256Expr)
            <success xmlns='urn:xmpp:sasl:2'>
              <authorization-identifier>juliet@example.org</authorization-identifier>
              <token xmlns='urn:xmpp:fast:0' expiry='2030-01-01T00:00:00Z' token='secret-token:fast-x'/>
              </success>
              <stream:features>
              <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>
              <required/>
              </bind>
              <sm xmlns='urn:xmpp:sm:3'/>
              <csi xmlns='urn:xmpp:csi:0'/>
              <limits xmlns='urn:xmpp:stream-limits:0'>
              <max-bytes>262144</max-bytes>
              <idle-seconds>300</idle-seconds>
              </limits>
              </stream:features>
        "#]],
    );
}

#[test]
fn a_token_for_a_mechanism_that_is_not_offered_or_for_nobody_is_not_issued() {
    for inline in [
        format!("{AGENT}<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-UNIQ'/>"),
        format!("{AGENT}<request-token xmlns='urn:xmpp:fast:0' mechanism='PLAIN'/>"),
        format!("{AGENT}<request-token xmlns='urn:xmpp:fast:0'/>"),
        "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>".to_owned(),
    ] {
        let mut pair = Pair::new(Cut::Whole, config(), secure());
        pair.answers.issue = Some(token("secret-token:fast-x"));
        pair.client(HEADER).client(&authenticate(&inline));
        let log = pair.log();
        assert!(!log.contains("* fast") && log.contains("<success "), "{inline}: {log}");
    }
}

/// What a client with a token sends (draft-schmaus-kitten-sasl-ht).
fn with_token(agent: &str, fast: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret-token:fast-x");
    let mut message = b"juliet\0".to_vec();
    message.extend_from_slice(hmac::sign(&key, b"Initiator").as_ref());
    format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>{}\
         </initial-response>{agent}{fast}</authenticate>",
        STANDARD.encode(message)
    )
}

fn hold_token(pair: &mut Pair) {
    pair.answers.tokens.current = Some(FastToken {
        secret: Secret::new("secret-token:fast-x".to_owned()),
        mechanism: Mechanism::HtSha256None,
        generation: GENERATION,
        expires_at: UnixSeconds(u64::MAX),
        count: 3,
    });
}

#[test]
fn a_token_authenticates_in_one_round_trip_and_its_use_is_written_down() {
    let log = each_cut(|cut| {
        let mut pair = Pair::new(cut, config(), secure());
        hold_token(&mut pair);
        pair.client(HEADER);
        pair.log();
        pair.client(&with_token(AGENT, "<fast xmlns='urn:xmpp:fast:0' count='4' invalidate='1'/>"));
        pair.log()
    });
    expect![[r#"
        * fast: used Some((HtSha256None, TokenUse { slot: Current, count: 4, expires_at: UnixSeconds(18446744073709551615), is_news: true })), revoke Yes, issue None
        <success xmlns='urn:xmpp:sasl:2'>
          <additional-data>McV56FxSAZXBkmJVX+DeS6uWKAQCTZymMJJpkyDrOMw=</additional-data>
          <authorization-identifier>juliet@example.org</authorization-identifier>
          </success>
          <stream:features>
          <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>
          <required/>
          </bind>
          <sm xmlns='urn:xmpp:sm:3'/>
          <csi xmlns='urn:xmpp:csi:0'/>
          <limits xmlns='urn:xmpp:stream-limits:0'>
          <max-bytes>262144</max-bytes>
          <idle-seconds>300</idle-seconds>
          </limits>
          </stream:features>
    "#]].assert_eq(&log);
}

#[test]
fn a_token_without_its_client_or_its_element_is_refused() {
    let fast = "<fast xmlns='urn:xmpp:fast:0' count='4'/>";
    for (name, xml) in [
        ("no client", with_token("", fast)),
        ("no fast element", with_token(AGENT, "")),
        ("replayed", with_token(AGENT, &fast.replace('4', "3"))),
        ("a count that is none", with_token(AGENT, &fast.replace('4', "-4"))),
    ] {
        let mut pair = Pair::new(Cut::Whole, config(), secure());
        hold_token(&mut pair);
        pair.client(HEADER).client(&xml);
        let log = pair.log();
        assert!(log.contains("<failure xmlns='urn:xmpp:sasl:2'>"), "{name}: {log}");
        assert!(!log.contains("* fast"), "{name}: {log}");
    }
}

#[test]
fn nothing_inline_is_done_for_a_client_that_fails() {
    let log = each_cut(|cut| {
        let mut pair = Pair::new(cut, config(), secure());
        pair.client(HEADER);
        pair.log();
        let wrong = authenticate(&format!("{AGENT}{}", bind2("")));
        pair.client(&wrong.replace("AGp1bGlldAByMG0zMA==", "AGp1bGlldAB3cm9uZw=="));
        pair.log()
    });
    expect![[r#"
        <failure xmlns='urn:xmpp:sasl:2'>
          <not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>
          </failure>
    "#]]
    .assert_eq(&log);
}

#[test]
fn a_header_that_names_somebody_else_lets_nobody_in() {
    let mut pair = Pair::new(Cut::Whole, config(), secure());
    pair.client(&HEADER.replace("<stream:stream", "<stream:stream from='romeo@example.org'"));
    pair.client(&authenticate(&bind2("")));
    let log = pair.log();
    assert!(log.contains("<invalid-authzid ") && !log.contains("* bind"), "{log}");
}

#[test]
fn it_is_for_secure_streams_only() {
    let mut optional = Pair::new(
        Cut::Whole,
        config(),
        jackdaw_stream::c2s::Transport::Plain(jackdaw_stream::c2s::StartTls::Optional),
    );
    optional.client(HEADER);
    assert!(!optional.log().contains("urn:xmpp:sasl:2"));
    optional.client(&authenticate(""));
    assert!(optional.log().contains("<not-authorized "));

    let mut required = Pair::new(Cut::Whole, config(), starttls());
    required.client(HEADER).client(&authenticate(""));
    assert!(required.log().contains("<not-authorized "));
}

#[test]
fn authenticating_twice_ends_the_stream() {
    let mut pair = Pair::new(Cut::Whole, config(), secure());
    pair.client(HEADER).client(&authenticate("")).client(&authenticate(""));
    assert!(pair.log().ends_with("</stream:stream>\n* close\n"));
}
