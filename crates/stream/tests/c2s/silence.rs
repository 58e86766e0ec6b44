//! Deadlines of negotiation, keep-alive and dead peers (RFC 6120 §4.6, bad-inputs T14).

use crate::pair::{AUTH, HEADER, Pair, config, each_cut, message, secure, starttls};
use expect_test::{Expect, expect};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn each_phase_has_its_deadline() {
    let auth_begun = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>";
    let starttls_sent = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let table: [(&str, Vec<&str>, bool, u64); 8] = [
        ("nothing", vec![], true, 10),
        ("half a header", vec!["<stream:stream to='exa"], true, 10),
        ("white space", vec![" ", " "], true, 10),
        ("before STARTTLS", vec![HEADER], false, 20),
        ("after TLS", vec![HEADER, starttls_sent], false, 10),
        ("before SASL", vec![HEADER], true, 30),
        ("in SASL", vec![HEADER, auth_begun], true, 30),
        ("before binding", vec![HEADER, AUTH, HEADER], true, 30),
    ];
    for (name, script, is_secure, seconds) in table {
        let transport = if is_secure { secure() } else { starttls() };
        let mut pair = Pair::new(crate::pair::Cut::Whole, config(), transport);
        script.iter().for_each(|xml| {
            pair.client(xml);
        });
        pair.wait(SECOND * (seconds as u32) - SECOND / 10);
        assert!(!pair.log().contains("* close"), "{name}: too early");
        pair.wait(SECOND);
        let log = pair.log();
        assert!(log.contains("<connection-timeout ") && log.contains("* close"), "{name}: {log}");
        assert!(log.contains("</stream:stream>"));
        assert_eq!(pair.c2s.next_timeout(), None, "{name}: a timer is left");
    }
}

#[test]
fn a_handshake_that_takes_too_long_is_cut_off_without_a_word() {
    let mut pair = Pair::new(crate::pair::Cut::Whole, config(), starttls());
    pair.answers.at_once = false;
    pair.client(HEADER).client("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert!(pair.log().ends_with("* handshake\n"));
    pair.wait(SECOND * 20);
    assert_eq!(pair.log(), "* close\n");
}

#[test]
fn failed_attempts_do_not_buy_time() {
    let mut pair = Pair::new(crate::pair::Cut::Whole, config(), secure());
    pair.client(HEADER);
    for _ in 0..2 {
        pair.wait(SECOND * 14);
        pair.client(&AUTH.replace("PLAIN", "NONE"));
    }
    pair.wait(SECOND * 2);
    assert!(pair.log().contains("<connection-timeout "));
}

#[test]
fn a_stream_without_a_header_is_closed_with_one() {
    let log = each_cut(|cut| {
        let mut pair = Pair::new(cut, config(), secure());
        pair.wait(SECOND * 10);
        pair.log()
    });
    expect![[r#"
        <?xml version='1.0'?>
          <stream:stream from='example.org' id='TAQ_kztILz_vyku7' version='1.0' xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>
          <stream:error>
          <connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>
          </stream:error>
          </stream:stream>
        * close
    "#]].assert_eq(&log);
}

fn established(script: impl Fn(&mut Pair), expected: Expect) {
    let log = each_cut(|cut| {
        let mut pair = Pair::established(cut, config());
        script(&mut pair);
        pair.log()
    });
    expected.assert_eq(&log);
}

#[test]
fn a_silent_client_is_pinged_and_its_answer_goes_no_further() {
    established(
        |pair| {
            pair.wait(SECOND * 300);
            pair.client("<iq type='error' id='jackdaw-probe' from='juliet@example.org/balcony'/>");
            pair.wait(SECOND * 299);
        },
        expect![[r#"
            <iq type='get' id='jackdaw-probe' from='example.org' to='juliet@example.org/balcony'>
              <ping xmlns='urn:xmpp:ping'/>
              </iq>
        "#]],
    );
}

#[test]
fn a_silent_client_that_does_not_answer_is_dead() {
    established(
        |pair| {
            pair.wait(SECOND * 360);
        },
        expect![[r#"
            <iq type='get' id='jackdaw-probe' from='example.org' to='juliet@example.org/balcony'>
              <ping xmlns='urn:xmpp:ping'/>
              </iq>
            <stream:error>
              <connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>
              </stream:error>
              </stream:stream>
            * ended
            * close
        "#]],
    );
}

#[test]
fn white_space_keeps_a_stream_alive() {
    established(
        |pair| {
            for _ in 0..20 {
                pair.wait(SECOND * 290).client(" ");
            }
        },
        expect![[""]],
    );
}

#[test]
fn under_stream_management_an_acknowledgement_is_the_probe() {
    established(
        |pair| {
            pair.client("<enable xmlns='urn:xmpp:sm:3'/>");
            pair.log();
            pair.wait(SECOND * 300).client("<a xmlns='urn:xmpp:sm:3' h='0'/>");
            pair.wait(SECOND * 299);
        },
        expect![[r#"
            <r xmlns='urn:xmpp:sm:3'/>
        "#]],
    );
}

#[test]
fn a_client_that_does_not_acknowledge_is_dead_before_it_was_idle_for_long() {
    let mut pair = Pair::established(crate::pair::Cut::Whole, config());
    pair.client("<enable xmlns='urn:xmpp:sm:3'/>").wait(SECOND * 10);
    pair.deliver(message("Ay me!")).wait(SECOND * 59);
    assert!(pair.c2s.is_established());
    pair.wait(SECOND);
    assert!(pair.log().contains("<connection-timeout "));
}

#[test]
fn a_client_that_is_not_read_is_not_called_silent() {
    let mut pair = Pair::established(crate::pair::Cut::Whole, config());
    pair.c2s.pause();
    pair.wait(SECOND * 1000).client("<presence/>");
    assert_eq!(pair.log(), "");
    pair.call(|c2s, cx| c2s.resume(cx));
    pair.read_on();
    assert_eq!(pair.log(), "* stanza: <presence/>\n");
}
