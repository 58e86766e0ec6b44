//! What clients get wrong, or do on purpose: each by its condition (bad-inputs X, A).

use crate::pair::{AUTH, BIND, Cut, HEADER, Pair, config, each_cut, secure, starttls, tls};
use expect_test::expect;
use jackdaw_stream::c2s::{StartTls, TlsInfo, Transport};

const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// How far a client got before it sends the input.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Connected,
    Plain,
    Secured,
    InSasl,
    Authenticated,
    Bound,
}

fn at(phase: Phase, cut: Cut) -> Pair {
    let transport = match phase {
        Phase::Plain => starttls(),
        _ => secure(),
    };
    let mut pair = Pair::new(cut, config(), transport);
    let in_sasl = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>";
    let script: &[&str] = match phase {
        Phase::Connected => &[],
        Phase::Plain | Phase::Secured => &[HEADER],
        Phase::InSasl => &[HEADER, in_sasl],
        Phase::Authenticated => &[HEADER, AUTH, HEADER],
        Phase::Bound => &[HEADER, AUTH, HEADER, BIND],
    };
    script.iter().for_each(|xml| {
        pair.client(xml);
    });
    pair.log();
    pair
}

#[test]
fn each_breach_has_its_stream_error() {
    use Phase::{Authenticated, Bound, Connected, InSasl, Plain, Secured};
    let header = |from: &str, to: &str| HEADER.replace(from, to);
    let table: Vec<(Phase, String, &str)> = vec![
        // Headers.
        (Connected, header("example.org", "example.com"), "host-unknown"),
        (Connected, header("to='example.org'", ""), "improper-addressing"),
        (Connected, header("example.org", "juliet@example.org"), "host-unknown"),
        (Connected, header("example.org", "..."), "host-unknown"),
        (Connected, header(" version='1.0' ", " "), "unsupported-version"),
        (Connected, header(" version='1.0' ", " version='0.9' "), "unsupported-version"),
        (Connected, header(" version='1.0' ", " version='one' "), "unsupported-version"),
        (Connected, header("jabber:client", "jabber:server"), "invalid-namespace"),
        (Connected, header("http://etherx.jabber.org/streams", "x:y"), "invalid-namespace"),
        (Connected, header("<stream:stream ", "<stream:stream from='@' "), "invalid-from"),
        (
            Connected,
            header("version='1.0'?>", "version='1.0' encoding='latin1'?>"),
            "unsupported-encoding",
        ),
        (Connected, "GET / HTTP/1.1\r\n".into(), "not-well-formed"),
        (Connected, "\u{16}\u{3}\u{1}".into(), "not-well-formed"),
        (Connected, "<!DOCTYPE a [<!ENTITY b 'c'>]>".into(), "restricted-xml"),
        (Connected, "<?xml version='1.0'?><!DOCTYPE a>".into(), "restricted-xml"),
        (Connected, format!("<stream:stream to='{}", "a".repeat(10_000)), "policy-violation"),
        // Before TLS nothing else goes (A04).
        (Plain, AUTH.into(), "not-authorized"),
        (Plain, BIND.into(), "not-authorized"),
        (Plain, "<a xmlns='b'/>".into(), "unsupported-stanza-type"),
        // Before authentication no stanza goes.
        (
            Secured,
            "<message to='romeo@example.org'><body>a</body></message>".into(),
            "not-authorized",
        ),
        (Secured, BIND.into(), "not-authorized"),
        (Secured, "<a xmlns='b'/>".into(), "unsupported-stanza-type"),
        (Secured, STARTTLS.into(), "policy-violation"),
        (
            Secured,
            "<compress xmlns='http://jabber.org/protocol/compress'/>".into(),
            "unsupported-stanza-type",
        ),
        (Secured, format!("<auth>{}</auth>", "a".repeat(10_000)), "policy-violation"),
        (Secured, format!("<a{}/>", " b".repeat(4_000)), "not-well-formed"),
        (Secured, format!("{}{}", "<a>".repeat(100), "</a>".repeat(100)), "policy-violation"),
        (Secured, format!("<a>{}</a>", "<b/>".repeat(2_000)), "policy-violation"),
        (Secured, " ".repeat(70_000), "policy-violation"),
        (Secured, "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".into(), "not-authorized"),
        // In the middle of SASL there is nothing but SASL.
        (InSasl, "<message/>".into(), "not-authorized"),
        (InSasl, "<response xmlns='urn:xmpp:sasl:2'/>".into(), "not-authorized"),
        (InSasl, AUTH.into(), "not-authorized"),
        // Before a resource is bound.
        (Authenticated, "<message/>".into(), "not-authorized"),
        (Authenticated, "<presence/>".into(), "not-authorized"),
        (
            Authenticated,
            "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>".into(),
            "not-authorized",
        ),
        (Authenticated, BIND.replace("id='b1'", ""), "not-authorized"),
        (Authenticated, AUTH.into(), "unsupported-stanza-type"),
        (Authenticated, "<resume xmlns='urn:xmpp:sm:3' previd='a'/>".into(), "bad-format"),
        // With a resource.
        (Bound, "<a xmlns='b'/>".into(), "unsupported-stanza-type"),
        (Bound, "<a/>".into(), "unsupported-stanza-type"),
        (Bound, "<ping/>".into(), "unsupported-stanza-type"),
        (Bound, "<message xmlns='jabber:server'/>".into(), "unsupported-stanza-type"),
        (Bound, AUTH.into(), "unsupported-stanza-type"),
        (Bound, "<message></presence>".into(), "not-well-formed"),
        (Bound, "text".into(), "not-well-formed"),
        (Bound, "<message><body>&nbsp;</body></message>".into(), "restricted-xml"),
        (Bound, "<!-- a -->".into(), "restricted-xml"),
        (Bound, "<?a b?>".into(), "restricted-xml"),
        (Bound, "<message><stream:error/></message>".into(), "bad-format"),
        (Bound, "<message><stream:stream/></message>".into(), "bad-format"),
        (Bound, "<message a='1' a='2'/>".into(), "not-well-formed"),
        (Bound, "<a:message/>".into(), "bad-namespace-prefix"),
        (Bound, format!("<message><body>{}", "a".repeat(300_000)), "policy-violation"),
        (Bound, format!("<message>{}", "<a>".repeat(100)), "policy-violation"),
    ];
    for (phase, input, condition) in table {
        let shown: String = input.chars().take(60).collect();
        let log = each_cut(|cut| {
            let mut pair = at(phase, cut);
            pair.client(&input);
            assert_eq!(pair.c2s.next_timeout(), None, "{shown}: a timer is left");
            pair.log()
        });
        let wanted = format!("<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
        assert!(log.contains(&wanted), "{phase:?} {shown}: {log}");
        assert!(log.contains("</stream:stream>\n") && log.ends_with("* close\n"), "{shown}: {log}");
        assert_eq!(log.contains("* ended"), matches!(phase, Bound), "{shown}");
        assert!(!log.contains("* stanza"), "{shown}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_end_the_stream() {
    for bytes in [b"<message a='\xeb'/>".as_slice(), b"<message>\xc0\xaf</message>", b"\xff"] {
        for cut in [Cut::Whole, Cut::Bytes] {
            let mut pair = at(Phase::Bound, cut);
            pair.client_bytes(bytes);
            let log = pair.log();
            assert!(log.contains("<stream:error>") && log.ends_with("* ended\n* close\n"), "{log}");
        }
    }
}

/// A04: what somebody in between put behind `<starttls/>` is not the client's.
#[test]
fn what_is_pipelined_behind_starttls_is_not_read() {
    for cut in [Cut::Whole, Cut::Bytes] {
        let mut pair = Pair::new(Cut::Whole, config(), starttls());
        pair.client(HEADER);
        let injected = format!("{STARTTLS}{HEADER}{AUTH}");
        match cut {
            Cut::Whole => pair.client(&injected),
            Cut::Bytes => pair.client(STARTTLS),
        };
        assert!(
            pair.log().ends_with("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\n* secured\n")
        );
        pair.client(HEADER);
        assert!(pair.log().contains("<mechanisms "));
    }
}

#[test]
fn starttls_a_second_time_is_refused() {
    let mut pair = Pair::new(Cut::Whole, config(), starttls());
    pair.client(HEADER).client(STARTTLS).client(HEADER);
    pair.log();
    pair.client(STARTTLS);
    let log = pair.log();
    assert!(log.contains("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), "{log}");
    assert!(log.ends_with("* close\n"));
}

/// A02: who authenticated on one domain, as one account, stays there.
#[test]
fn the_host_and_the_account_are_pinned_once_the_client_is_authenticated() {
    let from =
        |jid: &str| HEADER.replace("<stream:stream", &format!("<stream:stream from='{jid}'"));
    for (header, condition) in [
        (HEADER.replace("example.org", "example.net"), Some("not-authorized")),
        (from("romeo@example.org"), Some("invalid-from")),
        (from("juliet@example.net"), Some("invalid-from")),
        (from("Juliet@EXAMPLE.org"), None),
        (from("juliet@example.org/balcony"), None),
    ] {
        let log = each_cut(|cut| {
            let mut pair = Pair::new(cut, config(), secure());
            pair.client(HEADER).client(AUTH);
            pair.log();
            pair.client(&header);
            pair.log()
        });
        match condition {
            Some(condition) => assert!(log.contains(&format!("<{condition} ")), "{header}: {log}"),
            None => assert!(log.contains("<bind "), "{header}: {log}"),
        }
    }
}

/// A02: the name in the TLS handshake chose the certificate.
#[test]
fn a_stream_is_for_the_domain_it_was_secured_for() {
    for (sni, is_allowed) in [
        (Some("example.org"), true),
        (Some("EXAMPLE.org"), true),
        (Some("example.net"), false),
        (Some("xmpp7.hosting.example"), true),
        (None, true),
    ] {
        let tls = TlsInfo { sni: sni.map(Box::from), ..tls() };
        let mut pair = Pair::new(Cut::Whole, config(), Transport::Secure(tls));
        pair.client(HEADER);
        let log = pair.log();
        assert_eq!(log.contains("<mechanisms "), is_allowed, "{sni:?}: {log}");
        assert_eq!(log.contains("<not-authorized "), !is_allowed, "{sni:?}: {log}");
    }
}

#[test]
fn attempts_at_sasl_are_counted() {
    let log = each_cut(|cut| {
        let mut pair = at(Phase::Secured, cut);
        pair.client(&AUTH.replace("PLAIN", "NONE"));
        pair.client("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>?</auth>");
        pair.client("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>");
        pair.client("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        pair.log()
    });
    expect![[r#"
        <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>
          <invalid-mechanism/>
          </failure>
        <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>
          <incorrect-encoding/>
          </failure>
        <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>
          </challenge>
        <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>
          <aborted/>
          </failure>
          <stream:error>
          <policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>
          <text xml:lang='en' xmlns='urn:ietf:params:xml:ns:xmpp-streams'>too many failed attempts</text>
          </stream:error>
          </stream:stream>
        * close
    "#]].assert_eq(&log);
}

/// A10, and every other mechanism that is not offered.
#[test]
fn what_was_not_offered_is_refused() {
    for mechanism in ["ANONYMOUS", "EXTERNAL", "HT-SHA-256-NONE", "CRAM-MD5", "plain", ""] {
        let mut pair = at(Phase::Secured, Cut::Whole);
        pair.client(&AUTH.replace("PLAIN", mechanism));
        assert!(pair.log().contains("<invalid-mechanism/>"), "{mechanism}");
    }
}

#[test]
fn plain_is_not_offered_without_tls_unless_the_listener_is_trusted() {
    let offers = |transport| {
        let mut pair = Pair::new(Cut::Whole, config(), transport);
        pair.client(HEADER);
        pair.log().contains("<mechanism>PLAIN</mechanism>")
    };
    assert!(!offers(Transport::Plain(StartTls::Optional)));
    assert!(offers(Transport::Trusted));
}

#[test]
fn a_stanza_of_an_unknown_type_is_answered_and_the_stream_goes_on() {
    let log = each_cut(|cut| {
        let mut pair = at(Phase::Bound, cut);
        pair.client("<iq id='1' to='romeo@example.org'><a xmlns='b'/></iq>");
        pair.client("<presence type='x'/>").client("<presence/>");
        pair.log()
    });
    expect![[r#"
        <iq from='romeo@example.org' to='juliet@example.org/balcony' type='error' id='1'>
          <error type='modify'>
          <bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </error>
          </iq>
        <presence to='juliet@example.org/balcony' type='error'>
          <error type='modify'>
          <bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </error>
          </presence>
        * stanza: <presence/>
    "#]]
    .assert_eq(&log);
}

#[test]
fn a_resource_that_cannot_be_is_refused_and_another_may_be_tried() {
    let log = each_cut(|cut| {
        let mut pair = at(Phase::Authenticated, cut);
        pair.client(&BIND.replace("balcony", &"a".repeat(1024)));
        pair.answers.bind = Err(jackdaw_stanza::StanzaError::conflict());
        pair.client(BIND);
        pair.answers.bind = Ok(1);
        pair.client(&BIND.replace("<resource>balcony</resource>", ""));
        pair.log()
    });
    expect![[r#"
        <iq type='error' id='b1'>
          <error type='modify'>
          <bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </error>
          </iq>
        * bind juliet@example.org/balcony, carbons: Off
        <iq type='error' id='b1'>
          <error type='cancel'>
          <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
          </error>
          </iq>
        * bind juliet@example.org/Hk11h3klBNNFYYdU, carbons: Off
        <iq type='result' id='b1'>
          <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>
          <jid>juliet@example.org/Hk11h3klBNNFYYdU</jid>
          </bind>
          </iq>
    "#]]
    .assert_eq(&log);
}

#[test]
fn after_the_end_bytes_mean_nothing() {
    let mut pair = at(Phase::Bound, Cut::Whole);
    pair.client(&format!("</stream:stream><presence/>{HEADER}\u{0}"));
    assert_eq!(pair.log(), "</stream:stream>\n* ended\n* close\n");
    pair.client("<presence/>").close(jackdaw_stream::StreamError::reset());
    assert_eq!(pair.log(), "");
}

#[test]
fn a_client_that_reports_an_error_is_closed_without_another() {
    let log = each_cut(|cut| {
        let mut pair = at(Phase::Bound, cut);
        pair.client(
            "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        );
        pair.log()
    });
    expect![[r#"
        </stream:stream>
        * ended
        * close
    "#]]
    .assert_eq(&log);
}

#[test]
fn registration_before_authentication_is_the_drivers_where_it_is_on() {
    let query = "<iq type='get' id='r1' to='example.org'><query xmlns='jabber:iq:register'/></iq>";
    let log = each_cut(|cut| {
        let mut config = config();
        config.registration = true;
        let mut pair = Pair::new(cut, config, secure());
        pair.client(HEADER);
        assert!(pair.log().contains("<register xmlns='http://jabber.org/features/iq-register'/>"));
        pair.client(query).client(query);
        pair.client("<iq type='get' id='r2'><ping xmlns='urn:xmpp:ping'/></iq>");
        pair.log()
    });
    expect![[r#"
        <iq from='example.org' type='result' id='r1'/>
        <iq from='example.org' type='result' id='r1'/>
        <stream:error>
          <not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>
          </stream:error>
          </stream:stream>
        * close
    "#]]
    .assert_eq(&log);
}

/// Nothing is allocated for a stream that is idle, and its machine is small.
#[test]
fn the_machine_is_small() {
    let size = size_of::<jackdaw_stream::C2s>();
    assert!(size <= 224, "{size} bytes");
}
